"""快递鸟, simulated: subscriptions, signed pushes of the full list, questions.

Its signature is written here once more: base64 of the lower-case hexadecimal digits.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus, urlencode

import msgspec

from backend.partners.courier.sandbox.desk import Call, CourierDesk
from backend.partners.courier.sandbox.places import COMPANIES
from backend.partners.courier.sandbox.pushing import FORM, CourierFault, CourierSender, Draft
from backend.partners.courier.sandbox.world import CourierWorld, Event, Parcel, object_in, written

GAPS = (300.0, 600.0, 1800.0)
"""Seconds between attempts."""
SHIPPERS: dict[str, str] = {
    "SF": "shunfeng", "EMS": "ems", "YZPY": "youzhengguonei", "YZBK": "youzhengbk", "ZTO": "zhongtong",
    "STO": "shentong", "YTO": "yuantong", "YD": "yunda", "JD": "jd", "JTSD": "jtexpress", "DBL": "debangkuaidi",
    "HTKY": "huitongkuaidi", "HHTT": "tiantian", "UC": "youshuwuliu", "ZJS": "zhaijisong",
}  # fmt: skip
CODES: dict[str, tuple[str, str]] = {
    "ordered": ("1", "10"),
    "collected": ("1", "1"),
    "collect_failed": ("4", "4"),
    "departed": ("2", "2"),
    "transit": ("2", "204"),
    "arrived": ("2", "201"),
    "out": ("2", "202"),
    "failed": ("4", "405"),
    "station": ("2", "211"),
    "delayed": ("4", "417"),
    "refused": ("4", "404"),
    "returning": ("4", "407"),
    "returned": ("4", "406"),
    "lost": ("4", "4"),
    "cancelled": ("4", "415"),
    "signed": ("3", "301"),
    "proxy": ("3", "304"),
    "station_signed": ("3", "311"),
}
"""State and finer state per kind of step."""
_WANT_PHONE = frozenset({"SF", "ZTO", "JTSD"})


class KdniaoDesk(CourierDesk):
    """快递鸟's side of a world."""

    name = "kdniao"
    base_path = "/api/dist"
    operation_field = "RequestType"
    operations = {
        "1008": "subscribe", "8008": "subscribe", "1002": "query", "8001": "query", "8002": "query"
    }  # fmt: skip

    def __init__(self, world: CourierWorld, pushes: CourierSender) -> None:
        super().__init__(world, pushes)
        self.subscriptions: dict[tuple[str, str], str] = {}
        """Shipper and number → end of a phone."""
        world.subscribers.append(self.push_event)

    def calls(self) -> Mapping[str, Call]:
        return {self.base_path: self.call}

    def push_to(self, base: str) -> None:
        self.address = f"{base}/kdniao"

    def list_subscriptions(self) -> list[dict[str, Any]]:
        return [{"partner": self.name, "company": shipper, "waybill": number} for shipper, number in self.subscriptions]

    def call(self, fields: dict[str, str]) -> dict[str, Any]:
        """POST /api/dist: one form for every RequestType."""
        data = fields.get("RequestData", "")
        ours = fields.get("EBusinessID") == self._world.named["kdniao_business_id"]
        if not ours or fields.get("DataSign") != self._sign(data):
            return self._refused("数据验证不通过：DataSign 或 EBusinessID 错误")
        said = object_in(data)
        if said is None or fields.get("DataType") != "2":
            return self._refused("请求数据格式错误")
        shipper, number = str(said.get("ShipperCode", "")), str(said.get("LogisticCode", ""))
        if shipper not in SHIPPERS or not number:
            return self._refused("不支持的快递公司或单号为空")
        phone = str(said.get("CustomerName", ""))
        if shipper in _WANT_PHONE and not phone:
            return self._refused("缺少 CustomerName（手机号后四位）")
        match fields.get("RequestType"):
            case "1008" | "8008":
                return self._subscribe(shipper, number, phone)
            case "1002" | "8001" | "8002":
                return self._query(shipper, number, phone)
        return self._refused("没有可用套餐")

    def refused(self, code: str, message: str) -> dict[str, Any]:
        """An answer that refuses a call: words, no code."""
        return self._refused(message)

    def _refused(self, reason: str) -> dict[str, Any]:
        return {"EBusinessID": self._world.named["kdniao_business_id"], "Success": False, "Reason": reason}

    def _subscribe(self, shipper: str, number: str, phone: str) -> dict[str, Any]:
        if (shipper, number) in self.subscriptions:
            return self._refused("该单号重复订阅")
        self.subscriptions[shipper, number] = phone

        async def first() -> None:
            parcel = self._world.find(number)
            if parcel is not None:
                await self._push(parcel, None)

        self._world.agenda.later(0, first)
        named, now = self._world.named["kdniao_business_id"], written(self._world.agenda.now())
        return {"EBusinessID": named, "UpdateTime": now, "Success": True, "Reason": "", "EstimatedDeliveryTime": ""}

    def _query(self, shipper: str, number: str, phone: str) -> dict[str, Any]:
        parcel = self._world.find(number, SHIPPERS[shipper])
        opened = parcel if parcel is not None and (shipper not in _WANT_PHONE or parcel.opens_to(phone)) else None
        return self._list(shipper, number, opened, _seen(opened) if opened else [], CourierFault())

    # -- pushes ---------------------------------------------------------------------------

    async def push_event(self, parcel: Parcel, event: Event) -> None:
        """A parcel moved: its subscriber is pushed the whole list."""
        await self._push(parcel, None)

    async def push_now(self, parcels: Sequence[Parcel], fault: CourierFault | None, *, named: bool) -> None:
        """Push the list as it stands once more."""
        for parcel in parcels:
            await self._push(parcel, fault)

    async def forge(self, parcel: Parcel, event: Event, fault: CourierFault) -> None:
        """A list with an event at its end that never happened."""
        await self._push(parcel, fault, event)

    async def _push(self, parcel: Parcel, fault: CourierFault | None, forged: Event | None = None) -> None:
        events = _seen(parcel) + ([forged] if forged is not None else [])
        for shipper, number in list(self.subscriptions):
            phone = self.subscriptions[shipper, number]
            fits = SHIPPERS[shipper] == parcel.company and (shipper not in _WANT_PHONE or parcel.opens_to(phone))
            if number == parcel.waybill and events and fits:
                await self._send(shipper, parcel, events, fault)

    async def _send(self, shipper: str, parcel: Parcel, events: list[Event], fault: CourierFault | None) -> None:
        named = self._world.named["kdniao_business_id"]

        def write(fault: CourierFault) -> tuple[str, bytes]:
            said = {
                "EBusinessID": named,
                "PushTime": written(self._world.agenda.now()),
                "Count": "1",
                "Data": [self._list(shipper, parcel.waybill, parcel, events, fault)],
            }
            data = msgspec.json.encode(said).decode()
            sign = (
                b64encode(b"0" * 32).decode() if fault.bad_signature else self._sign(data, secret=not fault.empty_salt)
            )
            shown = data.replace(named, f"{named[:-1]}9", 1) if fault.tampered else data
            fields = {"RequestData": shown, "RequestType": "101"}
            if not fault.unsigned:
                fields["DataSign"] = quote_plus(sign)  # theirs is escaped once before it is put into the form
            return FORM, urlencode(fields).encode()

        draft = Draft(self.name, (parcel.waybill,), self.address, events, write, _is_taken, GAPS)
        await self._pushes.push(draft, fault=fault)

    def _list(
        self, shipper: str, number: str, parcel: Parcel | None, events: list[Event], fault: CourierFault
    ) -> dict[str, Any]:
        state, finer = CODES[events[-1].kind] if events else ("0", "0")
        return {
            "EBusinessID": self._world.named["kdniao_business_id"],
            "OrderCode": parcel.number if parcel is not None else "",
            "ShipperCode": shipper,
            "LogisticCode": number,
            "Success": True,
            "Reason": "" if events else "暂无轨迹信息",
            "State": fault.code(state),
            "StateEx": fault.code(finer),
            "Location": events[-1].place.city if events else "",
            "Traces": [
                {
                    "AcceptTime": fault.time(each),
                    "AcceptStation": each.text,
                    "Action": fault.code(CODES[each.kind][1]),
                    "Location": each.place.city,
                    "Remark": "",
                }
                for each in fault.nodes(events)
            ],
        }

    def _sign(self, data: str, *, secret: bool = True) -> str:
        key = self._world.named["kdniao_app_key"] if secret else ""
        digits = hashlib.md5((data + key).encode(), usedforsecurity=False).hexdigest()
        return b64encode(digits.encode()).decode()


def _seen(parcel: Parcel) -> list[Event]:
    return [each for each in parcel.events if each.kind in CODES and parcel.company in COMPANIES]


def _is_taken(status: int, answer: bytes) -> bool:
    return status == 200 and (object_in(answer) or {}).get("Success") is True
