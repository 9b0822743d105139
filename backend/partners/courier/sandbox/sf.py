"""顺丰丰桥, simulated: orders that are taken once, routes when asked. What it pushes is in `sf_pushes.py`.

The digest of a call is made here by hand, as Java's URLEncoder and MessageDigest would, apart from the adapter's.
"""

from __future__ import annotations

import hashlib
import uuid
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from backend import clock
from backend.partners.courier.sandbox.desk import Call, CourierDesk
from backend.partners.courier.sandbox.journeys import Person
from backend.partners.courier.sandbox.pushing import CourierFault, CourierSender
from backend.partners.courier.sandbox.sf_pushes import CODES, SfPushes
from backend.partners.courier.sandbox.world import CourierWorld, Event, Parcel, object_in, written

COMPANY = "shunfeng"
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-*_")
STALE = 1800
"""Seconds by which the timestamp of a call may differ from the true clock."""
COLLECTED = "collected"


class Wrong(Exception):
    """The inner answer is a refusal."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class SfDesk(CourierDesk):
    """顺丰's side of a world."""

    name = "sf"
    base_path = "/std/service"
    operation_field = "serviceCode"
    operations = {
        "EXP_RECE_CREATE_ORDER": "order",
        "EXP_RECE_SEARCH_ORDER_RESP": "find",
        "EXP_RECE_UPDATE_ORDER": "cancel",
        "COM_RECE_CLOUD_PRINT_WAYBILLS": "label",
        "EXP_RECE_SEARCH_ROUTES": "query",
    }
    refusal_code = "A1099"
    code_fields = ("apiResultCode",)
    signs = False

    def __init__(self, world: CourierWorld, pushes: CourierSender) -> None:
        super().__init__(world, pushes)
        self._routes_pushed = SfPushes(self, world, pushes)
        self._services: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "EXP_RECE_SEARCH_ORDER_RESP": self._order_found,
            "EXP_RECE_UPDATE_ORDER": self._changed,
            "EXP_RECE_SEARCH_ROUTES": self._routes,
        }

    def calls(self) -> Mapping[str, Call]:
        return {self.base_path: self.call}

    def push_to(self, base: str) -> None:
        self.address = f"{base}/sf/{self._world.named['courier_push_token']}"

    async def push_now(self, parcels: Sequence[Parcel], fault: CourierFault | None, *, named: bool) -> None:
        """Push the routes of one parcel again, or the last route of several in one push."""
        ordered = [each for each in parcels if each.by == self.name]
        if len(parcels) > 1:
            await self._routes_pushed.push_all(ordered, fault)
        elif parcels and (named or ordered):
            await self._routes_pushed.push_now(parcels[0], fault)

    async def forge(self, parcel: Parcel, event: Event, fault: CourierFault) -> None:
        """Push a route that never happened, as a sender that has learned the address."""
        await self._routes_pushed.forge(parcel, event, fault)

    def may_print(self, parcel: Parcel, headers: Mapping[str, str]) -> bool:
        return headers.get("X-Auth-token") == label_token(parcel.waybill)

    async def call(self, fields: dict[str, str]) -> dict[str, Any]:
        """POST /std/service: one form for every service."""
        code, message = self._platform(fields)
        inner = ""
        if code == "A1000":
            try:
                content = await self._served(fields["serviceCode"], _object(fields["msgData"]))
                answer: dict[str, Any] = {"success": True, "errorCode": "S0000", "errorMsg": None, **content}
            except Wrong as wrong:
                answer = {"success": False, "errorCode": wrong.code, "errorMsg": wrong.message, "msgData": None}
            inner = msgspec.json.encode(answer).decode()
        identity = uuid.uuid4().hex.upper()
        return {"apiErrorMsg": message, "apiResponseID": identity, "apiResultCode": code, "apiResultData": inner}

    def refused(self, code: str, message: str) -> dict[str, Any]:
        """The answer that a test demands: codes that begin with A are the platform's, others the service's."""
        if code.startswith("A"):
            return {"apiErrorMsg": message, "apiResponseID": "0", "apiResultCode": code, "apiResultData": ""}
        inner = msgspec.json.encode({"success": False, "errorCode": code, "errorMsg": message, "msgData": None})
        return {"apiErrorMsg": "", "apiResponseID": "0", "apiResultCode": "A1000", "apiResultData": inner.decode()}

    def _platform(self, fields: dict[str, str]) -> tuple[str, str]:
        needed = ("partnerID", "requestID", "serviceCode", "timestamp", "msgDigest", "msgData")
        if any(not fields.get(each) for each in needed) or len(fields["requestID"]) > 40:
            return "A1001", "必传参数不可为空"
        if fields["partnerID"] != self._world.named["sf_partner_id"]:
            return "A1004", "无对应服务权限"
        stamp = fields["timestamp"]
        seconds = int(stamp) // (1000 if len(stamp) >= 13 else 1) if stamp.isascii() and stamp.isdecimal() else 0
        if abs(seconds - clock.timestamp()) > STALE:
            return "A1002", "请求时效已过期"
        if fields["msgDigest"] != digest(fields["msgData"] + stamp + self._world.named["sf_checkword"]):
            return "A1006", "数字签名无效"
        known = ("EXP_RECE_CREATE_ORDER", "COM_RECE_CLOUD_PRINT_WAYBILLS", *self._services)
        return ("A1000", "") if fields["serviceCode"] in known else ("A1004", "无对应服务权限")

    async def _served(self, service: str, said: dict[str, Any]) -> dict[str, Any]:
        if service == "EXP_RECE_CREATE_ORDER":
            return {"msgData": await self._ordered(said)}
        if service == "COM_RECE_CLOUD_PRINT_WAYBILLS":
            return {"obj": self._printed(said), "requestId": uuid.uuid4().hex}
        return {"msgData": self._services[service](said)}

    # -- orders ----------------------------------------------------------------------------------

    async def _ordered(self, said: dict[str, Any]) -> dict[str, Any]:
        number = _needed(said, "orderId")
        if self._world.of_order(number, "sf") is not None:
            raise Wrong("8016", "重复下单")
        people = {each.get("contactType"): _person(each) for each in _list(said, "contactInfoList")}
        if 1 not in people or 2 not in people or not _list(said, "cargoDetails"):
            raise Wrong("S0001", "contactInfoList 或 cargoDetails 不完整")
        if not isinstance(said.get("expressTypeId"), int) or said.get("payMethod") not in (1, 2, 3):
            raise Wrong("S0001", "expressTypeId 或 payMethod 不正确")
        address = "".join(people[2].places) + people[2].street
        if any(word in address for word in self._world.rules.unreachable):
            return {"orderId": number, "filterResult": 3, "remark": "1", "waybillNoInfoList": []}
        goods = str(_list(said, "cargoDetails")[0].get("name", ""))
        waybill = self._world.waybill_for(COMPANY)
        parcel = Parcel(waybill, COMPANY, people[1], people[2], number, goods, by="sf", asked=said)
        await self._world.send(parcel)
        if self._world.rules.push_before_answer:
            await self._world.travel(parcel, "collected")
        return self._shown(parcel)

    def _order_found(self, said: dict[str, Any]) -> dict[str, Any]:
        return self._shown(self._parcel(said))

    def _changed(self, said: dict[str, Any]) -> dict[str, Any]:
        parcel = self._parcel(said)
        if said.get("dealType") != 2:
            raise Wrong("S0001", "dealType 不正确")
        named = [str(each.get("waybillNo")) for each in said.get("waybillNoInfoList") or [] if isinstance(each, dict)]
        if named and parcel.waybill not in named:
            raise Wrong("8024", "运单号与订单不符")
        if parcel.cancelled:
            raise Wrong("8037", "已消单")
        if COLLECTED in parcel.kinds:
            raise Wrong("8253", "已收件，不可消单")
        self._world.cancel(parcel)
        return {"orderId": parcel.number, "resStatus": 2, "waybillNoInfoList": _numbers(parcel)}

    def _shown(self, parcel: Parcel) -> dict[str, Any]:
        return {
            "orderId": parcel.number,
            "originCode": self._world.area(parcel.sender)[:4],
            "destCode": self._world.area(parcel.receiver)[:4],
            "filterResult": 2,
            "remark": "",
            "waybillNoInfoList": _numbers(parcel),
        }

    def _parcel(self, said: dict[str, Any]) -> Parcel:
        if (parcel := self._world.of_order(_needed(said, "orderId"), "sf")) is None:
            raise Wrong("8024", "未下单")
        return parcel

    def _printed(self, said: dict[str, Any]) -> dict[str, Any]:
        documents, template = _list(said, "documents"), said.get("templateCode")
        waybills = [str(each.get("masterWaybillNo", "")) for each in documents]
        if template != self._world.named["sf_label_template"] or not waybills:
            raise Wrong("S0001", "templateCode 或 documents 不正确")
        parcels = [self._world.find(each, COMPANY) for each in waybills]
        if None in parcels:
            raise Wrong("8024", "未下单")
        base = f"{self._world.base}/couriers/labels"
        files = [
            {"areaNo": 1, "pageNo": 1, "seqNo": n + 1, "url": f"{base}/{each}.pdf", "token": label_token(each)}
            for n, each in enumerate(waybills)
        ]
        return {"clientCode": self._world.named["sf_partner_id"], "fileType": "pdf", "files": files}

    # -- routes ----------------------------------------------------------------------------------

    def _routes(self, said: dict[str, Any]) -> dict[str, Any]:
        numbers = said.get("trackingNumber")
        if not isinstance(numbers, list) or not 1 <= len(numbers) <= 10 or said.get("trackingType") not in ("1", "2"):
            raise Wrong("S0001", "trackingNumber 或 trackingType 不正确")
        if not said.get("language") or said.get("methodType") != "1":
            raise Wrong("S0001", "language 或 methodType 不正确")
        phone = str(said.get("checkPhoneNo", ""))
        if phone and not (len(phone) == 4 and phone.isascii() and phone.isdecimal()):
            raise Wrong("S0001", "checkPhoneNo 为电话号码后四位")
        found = []
        for each in map(str, numbers):
            by_order = said["trackingType"] == "2"
            parcel = self._world.of_order(each, "sf") if by_order else self._world.find(each, COMPANY)
            seen = parcel if parcel is not None and (by_order or (phone and parcel.opens_to(phone))) else None
            events = [] if seen is None else [event for event in seen.events if event.kind in CODES]
            found.append({"mailNo": each if seen is None else seen.waybill, "routes": [route(e) for e in events]})
        return {"routeResps": found}


def route(event: Event) -> dict[str, str]:
    """A route as an answer has it."""
    return {
        "acceptTime": written(event.at),
        "acceptAddress": event.place.city,
        "remark": event.text,
        "opCode": CODES[event.kind],
    }


def digest(text: str) -> str:
    """base64 of the MD5 of the text as Java's URLEncoder writes it: space as +, `.-*_` as they are."""
    encoded = "".join(
        chr(byte) if byte in _PLAIN else "+" if byte == 0x20 else f"%{byte:02X}" for byte in text.encode()
    )
    return b64encode(hashlib.md5(encoded.encode(), usedforsecurity=False).digest()).decode()


def label_token(waybill: str) -> str:
    """What has to be sent as `X-Auth-token` to fetch a label."""
    return hashlib.sha256(f"label|{waybill}".encode()).hexdigest()[:32]


def _numbers(parcel: Parcel) -> list[dict[str, Any]]:
    return [{"waybillType": 1, "waybillNo": parcel.waybill}]


def _person(said: dict[str, Any]) -> Person:
    province, city, county = (str(said.get(each) or "") for each in ("province", "city", "county"))
    name, phone, street = (str(said.get(each) or "") for each in ("contact", "mobile", "address"))
    if not name or not phone or not street:
        raise Wrong("S0001", "contact、mobile、address 不可为空")
    return Person(name, phone, (province, city, county), street)


def _needed(said: dict[str, Any], name: str) -> str:
    if not isinstance(value := said.get(name), str) or not value or len(value) > 64:
        raise Wrong("S0001", f"{name} 不正确")
    return value


def _list(said: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = said.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _object(text: str) -> dict[str, Any]:
    if (value := object_in(text)) is None:
        raise Wrong("S0001", "msgData 不是 JSON")
    return value
