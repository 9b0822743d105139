"""EMS's open platform, simulated: sealed orders, labels and traces. It pushes nothing.

Opens what the adapter seals: prefix, base64, SM4 in ECB mode, and the key's text behind the content.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from backend import clock
from backend.partners.courier.sandbox.desk import Call, CourierDesk
from backend.partners.courier.sandbox.journeys import Person
from backend.partners.courier.sandbox.labels import label
from backend.partners.courier.sandbox.pushing import CourierSender
from backend.partners.courier.sandbox.world import CourierWorld, Event, Parcel, written

COMPANY = "ems"
STALE = timedelta(minutes=30)
"""By how much the time of a call may differ from the true clock."""
CODES: dict[str, tuple[str, str]] = {
    "collected": ("203", "收寄计费信息"),
    "departed": ("954", "离开收寄机构"),
    "transit": ("306", "到达"),
    "arrived": ("306", "到达"),
    "out": ("702", "投递邮件接收-下段"),
    "failed": ("705", "投递结果反馈-未妥投"),
    "station": ("748", "邮件投递至自提点"),
    "delayed": ("389", "邮件滞留"),
    "refused": ("705", "投递结果反馈-未妥投"),
    "returning": ("711", "退回"),
    "returned": ("712", "退回妥投"),
    "lost": ("399", "邮件异常"),
    "signed": ("704", "投递结果反馈-妥投"),
    "proxy": ("704", "投递结果反馈-妥投"),
    "station_signed": ("704", "投递结果反馈-妥投"),
}
"""opCode and opName per kind of step; what is not here is not pushed."""


class Wrong(Exception):
    """An answer that is a refusal."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class EmsDesk(CourierDesk):
    """EMS's side of a world."""

    name = "ems"
    base_path = "/amp/api/open"
    operation_field = "apiCode"
    operations = {"020003": "order", "020006": "cancel", "010004": "label", "040001": "query"}
    refusal_code = "S00001"
    code_fields = ("retCode",)

    def __init__(self, world: CourierWorld, pushes: CourierSender) -> None:
        super().__init__(world, pushes)
        self._services: Mapping[str, Callable[[Any], Awaitable[Any]]] = {
            "020003": self._ordered,
            "020006": self._cancelled,
            "010004": self._labelled,
            "040001": self._traced,
        }

    def calls(self) -> Mapping[str, Call]:
        return {self.base_path: self.call}

    async def call(self, fields: dict[str, str]) -> dict[str, Any]:
        """POST …/open: one form for every apiCode."""
        try:
            content = self._opened(fields)
            service = self._services.get(fields.get("apiCode", ""))
            if service is None:
                raise Wrong("B00010", "无接口权限")
            body = await service(content)
        except Wrong as wrong:
            return self.refused(wrong.code, wrong.message)
        text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
        return {"retCode": "00000", "retMsg": "成功", "retBody": text, "retDate": written(self._world.agenda.now())}

    def refused(self, code: str, message: str) -> dict[str, Any]:
        """An answer that is a refusal."""
        return {"retCode": code, "retMsg": message, "retBody": None, "retDate": written(self._world.agenda.now())}

    def _opened(self, fields: dict[str, str]) -> Any:
        named = self._world.named
        if (fields.get("senderNo"), fields.get("authorization")) != (
            named["ems_sender_no"],
            named["ems_authorization"],
        ):
            raise Wrong("B00010", "授权码或客户代码不正确")
        if (
            fields.get("msgType") != "0"
            or fields.get("version") != "V1.0.0"
            or not _is_now(fields.get("timeStamp", ""))
        ):
            raise Wrong("B00001", "msgType、version 或 timeStamp 不正确")
        plain = unsealed(fields.get("logitcsInterface", ""), named["ems_sign_key"])
        try:
            return msgspec.json.decode(plain)
        except msgspec.DecodeError:
            raise Wrong("B00001", "报文不是 JSON") from None

    async def _ordered(self, said: Any) -> Any:
        order = said[0] if isinstance(said, list) and said and isinstance(said[0], dict) else {}
        number = str(order.get("logisticsOrderNo") or "")
        people = [_person(order.get(each)) for each in ("sender", "receiver")]
        if not number or not order.get("cargos") or not order.get("bizProductNo"):
            raise Wrong("B00001", "logisticsOrderNo、cargos、bizProductNo 不可为空")
        content = {name: value for name, value in order.items() if name != "createdTime"}
        before = self._world.of_order(number, "ems")
        if before is not None and before.asked != content:
            raise Wrong("B00001", "物流订单号重复，内容不一致")
        if before is None:
            goods = str(order["cargos"][0].get("cargoName", ""))
            waybill = self._world.waybill_for(COMPANY)
            before = Parcel(waybill, COMPANY, people[0], people[1], number, goods, by="ems", asked=content)
            await self._world.send(before)
        return {"logisticsOrderNo": number, "waybillNo": before.waybill, "routeCode": "", "markDestinationName": ""}

    async def _cancelled(self, said: Any) -> Any:
        order = said[0] if isinstance(said, list) and said and isinstance(said[0], dict) else {}
        parcel = self._world.of_order(str(order.get("logisticsOrderNo", "")), "ems")
        if parcel is None or parcel.waybill != order.get("waybillNo"):
            raise Wrong("B00001", "订单不存在")
        if "collected" in parcel.kinds:
            raise Wrong("B00001", "邮件已收寄，不能取消")
        self._world.cancel(parcel)
        return {"waybillNo": parcel.waybill}

    async def _labelled(self, said: Any) -> Any:
        parcel = self._world.find(str(said.get("waybillNo", "")) if isinstance(said, dict) else "", COMPANY)
        if parcel is None or parcel.cancelled:
            raise Wrong("B00001", "邮件号不存在")
        if str(said.get("getURL")) == "1":
            return f"{self._world.base}/couriers/labels/{parcel.waybill}.pdf"
        return b64encode(label(parcel)).decode()

    async def _traced(self, said: Any) -> Any:
        waybill = str(said.get("waybillNo", "")) if isinstance(said, dict) else ""
        parcel = self._world.find(waybill, COMPANY)
        events = [] if parcel is None else [each for each in parcel.events if each.kind in CODES]
        if isinstance(said, dict) and str(said.get("direction")) == "1":
            events = events[::-1]
        return {"responseItems": [_item(waybill, each) for each in events]}


def unsealed(sealed: str, sign_key: str) -> str:
    """The content of `logitcsInterface`. Raises Wrong when it was sealed with another key, or not at all."""
    refused = Wrong("S00003", "报文解密失败，请检查密钥")
    if not sealed.startswith("|$4|"):
        raise refused
    try:
        opener = Cipher(SM4(b64decode(sign_key)), modes.ECB()).decryptor()
        plain = opener.update(b64decode(sealed[4:], validate=True)) + opener.finalize()
        pad = plain[-1]
        text = plain[:-pad].decode()
    except (ValueError, IndexError):
        raise refused from None
    if plain[-pad:] != bytes([pad]) * pad or not 1 <= pad <= 16 or not text.endswith(sign_key):
        raise refused
    return text.removesuffix(sign_key)


def _is_now(stamp: str) -> bool:
    """Whether it is about the time of Shanghai's clocks, written as they want it."""
    try:
        at = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=clock.SHANGHAI)
    except ValueError:
        return False
    return written(at) == stamp and abs(at - clock.now()) < STALE


def _person(said: Any) -> Person:
    given = said if isinstance(said, dict) else {}
    name, phone, province, city, county, street = (
        str(given.get(each) or "") for each in ("name", "mobile", "prov", "city", "county", "address")
    )
    if not name or not phone or not street:
        raise Wrong("B00001", "姓名、电话、地址不可为空")
    return Person(name, phone, (province, city, county), street)


def _item(waybill: str, event: Event) -> dict[str, str]:
    code, name = CODES[event.kind]
    return {
        "waybillNo": waybill,
        "opTime": written(event.at),
        "opCode": code,
        "opName": name,
        "opDesc": event.text,
        "opOrgProvName": event.place.places[0],
        "opOrgCity": event.place.city if event.place.city != event.place.places[0] else "",
        "opOrgCode": "13000100",
        "opOrgName": f"{event.place.city}营业部",
        "operatorNo": "13000100001",
        "operatorName": "",
    }
