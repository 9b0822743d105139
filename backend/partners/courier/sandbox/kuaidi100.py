"""快递100, simulated: subscriptions, pushes of the full list, questions at intervals.

Its signing is written here once more, apart from the adapter's: a mistake there must not be answered by the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import msgspec

from backend.partners.courier.sandbox.desk import Call, CourierDesk
from backend.partners.courier.sandbox.places import COMPANIES
from backend.partners.courier.sandbox.pushing import FORM, CourierFault, CourierSender, Draft
from backend.partners.courier.sandbox.world import CourierWorld, Event, Parcel, object_in, written

HALF_AN_HOUR, DAY = 1800.0, 86_400.0
SILENT, STILL = 3 * DAY, 60 * DAY
"""After so many seconds without a record, or without a new one, it gives up."""
MOST = 4
"""Subscriptions of one number within a month."""
CODES: dict[str, tuple[str, str, str]] = {
    "ordered": ("1", "揽收", "101"),
    "collected": ("1", "揽收", "103"),
    "collect_failed": ("2", "疑难", "204"),
    "departed": ("0", "在途", "1002"),
    "transit": ("0", "在途", "1002"),
    "arrived": ("0", "在途", "1001"),
    "out": ("5", "派件", "5"),
    "failed": ("2", "疑难", "204"),
    "station": ("5", "派件", "501"),
    "delayed": ("2", "疑难", "208"),
    "refused": ("14", "拒签", "203"),
    "returning": ("6", "退回", "6"),
    "returned": ("4", "退签", "4"),
    "lost": ("2", "疑难", "2"),
    "cancelled": ("2", "疑难", "401"),
    "signed": ("3", "签收", "301"),
    "proxy": ("3", "签收", "303"),
    "station_signed": ("3", "签收", "304"),
}
"""Per kind of step: state, its name, and the finer code of editions 4 and 8."""
_CLOSED = frozenset({"signed", "proxy", "station_signed", "returned"})


@dataclass
class Subscription:
    """A subscription to a number at a company."""

    company: str
    number: str
    address: str
    salt: str | None
    edition: str
    phone: str
    since: datetime
    status: str = "polling"
    ended: datetime | None = None
    corrected: bool = False
    turn: int = 0


class Refused(Exception):
    """An answer that is a refusal."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Kuaidi100Desk(CourierDesk):
    """快递100's side of a world. It learns from subscriptions where to push."""

    name = "kuaidi100"
    operations = {"/poll": "subscribe", "/poll/query.do": "query"}
    refusal_code = "501"
    code_fields = ("returnCode", "status")

    def __init__(self, world: CourierWorld, pushes: CourierSender) -> None:
        super().__init__(world, pushes)
        self.subscriptions: list[Subscription] = []
        self._asked: dict[tuple[str, str], datetime] = {}
        world.subscribers.append(self.push_event)

    def calls(self) -> Mapping[str, Call]:
        return {"/poll": self.subscribe, "/poll/query.do": self.query}

    def refused(self, code: str, message: str) -> dict[str, Any]:
        return {"result": False, "returnCode": code, "message": message}

    def list_subscriptions(self) -> list[dict[str, Any]]:
        return [
            {
                "partner": self.name,
                "company": each.company,
                "waybill": each.number,
                "status": each.status,
                "since": written(each.since),
                "signed": bool(each.salt),
            }
            for each in self.subscriptions
        ]

    # -- what is asked ---------------------------------------------------------------------------

    def subscribe(self, fields: dict[str, str]) -> dict[str, Any]:
        """POST /poll."""
        try:
            said = _object(fields.get("param", ""))
            given = said.get("parameters")
            given = given if isinstance(given, dict) else {}
            company, number = str(said.get("company", "")), str(said.get("number", ""))
            self._may_subscribe(fields, said, given, company, number)
        except Refused as refused:
            return self.refused(refused.code, refused.message)
        made = Subscription(
            company, number, given["callbackurl"], given.get("salt"), str(given.get("resultv2", "")),
            str(given.get("phone", "")), self._world.agenda.now(),
        )  # fmt: skip
        self.subscriptions.append(made)
        self._world.agenda.later(0, lambda: self._first(made))
        return {"result": True, "returnCode": "200", "message": "提交成功"}

    def query(self, fields: dict[str, str]) -> dict[str, Any]:
        """POST /poll/query.do."""
        try:
            param, named = fields.get("param", ""), self._world.named
            made = _md5(param + named["kuaidi100_key"] + named["kuaidi100_customer"])
            if fields.get("customer") != named["kuaidi100_customer"] or fields.get("sign") != made:
                raise Refused("503", "验证签名失败")
            said = _object(param)
            company, number = str(said.get("com", "")), str(said.get("num", ""))
            if company not in COMPANIES or not 6 <= len(number) <= 32:
                raise Refused("400", "找不到对应公司")
            return self._found(company, number, str(said.get("phone", "")), str(said.get("resultv2", "")))
        except Refused as refused:
            return self.refused(refused.code, refused.message)

    def _may_subscribe(
        self, fields: dict[str, str], said: dict[str, Any], given: dict[str, Any], company: str, number: str
    ) -> None:
        if said.get("key") != self._world.named["kuaidi100_key"]:
            raise Refused("600", "您不是合法的订阅者（即授权Key出错）")
        if fields.get("schema") != "json" or not str(given.get("callbackurl", "")).startswith(("http://", "https://")):
            raise Refused("700", "订阅方的订阅数据存在错误：callbackurl")
        if str(given.get("resultv2", "")) not in ("", "1", "4", "8"):
            raise Refused("700", "订阅方的订阅数据存在错误：resultv2")
        if not 6 <= len(number) <= 32 or (company == "shunfeng" and not given.get("phone")):
            raise Refused("700", "订阅方的订阅数据存在错误：number 或 phone")
        if company not in COMPANIES:
            raise Refused("701", "拒绝订阅的快递公司")
        same = [each for each in self.subscriptions if (each.company, each.number) == (company, number)]
        now = self._world.agenda.now()
        if any(each.status == "polling" for each in same):
            raise Refused("501", "重复订阅")
        if any(each.ended and now < each.ended + timedelta(seconds=HALF_AN_HOUR) for each in same):
            raise Refused("700", "该单号刚结束跟踪，请30分钟后再订阅")
        if sum(each.since > now - timedelta(days=31) for each in same) >= MOST:
            raise Refused("700", "该单号本月订阅次数已达上限")

    def _found(self, company: str, number: str, phone: str, edition: str) -> dict[str, Any]:
        now, before = self._world.agenda.now(), self._asked.get((company, number))
        if before is not None and now < before + timedelta(seconds=self._world.rules.query_seconds):
            raise Refused("502", "同一单号查询过于频繁，请30分钟后再试")
        self._asked[company, number] = now
        parcel = self._world.find(number, company)
        if parcel is not None and company == "shunfeng" and not (phone and parcel.opens_to(phone)):
            raise Refused("408", "验证码错误")
        events = [] if parcel is None else _seen(parcel)
        if not events:
            raise Refused("500", "查询无结果，请隔段时间再查")
        return self._list(number, company, events, edition, CourierFault())

    # -- pushes ---------------------------------------------------------------------------

    async def push_event(self, parcel: Parcel, event: Event) -> None:
        """Push the whole list to the parcel's subscribers."""
        for each in self._following(parcel):
            await self._push(each, parcel)

    async def push_now(self, parcels: Sequence[Parcel], fault: CourierFault | None, *, named: bool) -> None:
        """Push the list as it stands once more, to present and former subscribers."""
        for parcel in parcels:
            for each in self.subscriptions:
                if each.number == parcel.waybill and _seen(parcel):
                    await self._send(each, parcel, _seen(parcel), each.status, "", fault)

    async def forge(self, parcel: Parcel, event: Event, fault: CourierFault) -> None:
        """A list with an event at its end that never happened."""
        for each in self.subscriptions:
            if each.number == parcel.waybill:
                status = "shutdown" if event.kind in _CLOSED else "polling"
                await self._send(each, parcel, [*_seen(parcel), event], status, "", fault)

    def _following(self, parcel: Parcel) -> Iterator[Subscription]:
        for each in list(self.subscriptions):
            fits = each.company != "shunfeng" or parcel.opens_to(each.phone)
            if each.number == parcel.waybill and each.status == "polling" and fits:
                yield each

    async def _first(self, subscription: Subscription) -> None:
        """What is known already is pushed at once; an unknown number is given up after three days."""
        parcel = self._world.find(subscription.number)
        if parcel is not None and _seen(parcel) and subscription in list(self._following(parcel)):
            await self._push(subscription, parcel)
        else:
            self._watch(subscription, SILENT)

    async def _push(self, subscription: Subscription, parcel: Parcel) -> None:
        if not (events := _seen(parcel)):
            return
        if subscription.company != parcel.company and not subscription.corrected:
            subscription.corrected = True
            await self._send(subscription, parcel, [], "abort", "快递公司参数异常：已自动识别并更正", None)
        if events[-1].kind in _CLOSED:
            self._end(subscription, "shutdown")
        await self._send(subscription, parcel, events, subscription.status, "", None)
        if subscription.status == "polling":
            self._watch(subscription, STILL)

    def _watch(self, subscription: Subscription, seconds: float) -> None:
        """Give up when nothing has been pushed by then."""
        subscription.turn += 1
        turn = subscription.turn

        async def give_up() -> None:
            if subscription.turn == turn and subscription.status == "polling":
                self._end(subscription, "abort")
                parcel = self._world.find(subscription.number)
                words = "3天查询无记录" if seconds == SILENT else "60天无变化时"
                await self._send(subscription, parcel, _seen(parcel) if parcel else [], "abort", words, None)

        self._world.agenda.later(seconds, give_up)

    def _end(self, subscription: Subscription, status: str) -> None:
        subscription.status, subscription.ended = status, self._world.agenda.now()

    async def _send(
        self,
        subscription: Subscription,
        parcel: Parcel | None,
        events: list[Event],
        status: str,
        message: str,
        fault: CourierFault | None,
    ) -> None:
        company = parcel.company if parcel is not None and subscription.corrected and events else subscription.company
        correcting = subscription.corrected and parcel is not None
        other = parcel.company if parcel is not None and correcting else ""

        def write(fault: CourierFault) -> tuple[str, bytes]:
            said = {
                "status": status,
                "billstatus": "check" if events and events[-1].kind in _CLOSED else "got",
                "message": message,
                "autoCheck": "1" if correcting else "0",
                "comOld": subscription.company if correcting else "",
                "comNew": other,
                "lastResult": self._list(subscription.number, company, events, subscription.edition, fault),
            }
            return FORM, _signed(msgspec.json.encode(said).decode(), subscription.salt, fault)

        gaps = (HALF_AN_HOUR,) * 3
        draft = Draft(self.name, (subscription.number,), subscription.address, events, write, _is_taken, gaps)
        await self._pushes.push(draft, fault=fault)

    def _list(
        self, number: str, company: str, events: list[Event], edition: str, fault: CourierFault
    ) -> dict[str, Any]:
        nodes = fault.nodes(events)[::-1]
        state = CODES[events[-1].kind][0] if events else "0"
        return {
            "message": "ok" if events else "查询无结果",
            "state": fault.code(state),
            "status": "200",
            "condition": "F00",
            "ischeck": "1" if events and events[-1].kind in _CLOSED else "0",
            "com": company,
            "nu": number,
            "data": [self._node(each, edition, fault) for each in nodes],
        }

    def _node(self, event: Event, edition: str, fault: CourierFault) -> dict[str, str | None]:
        _, name, code = CODES[event.kind]
        moment, area = fault.time(event), self._world.area(event.place)
        node: dict[str, str | None] = {"context": event.text, "time": moment, "ftime": moment}
        if edition in ("1", "4", "8"):
            names = [each.removesuffix("省") for each in event.place.named]
            node |= {"areaCode": f"CN{area}000000" if area else None, "areaName": ",".join(names), "status": name}
        if edition in ("4", "8"):
            node["statusCode"] = fault.code(code)
        if edition == "8":
            node["location"] = event.place.city
        return node


def _seen(parcel: Parcel) -> list[Event]:
    """What 快递100 sees of a journey: the proof of delivery has no code there."""
    return [each for each in parcel.events if each.kind in CODES]


def _signed(param: str, salt: str | None, fault: CourierFault) -> bytes:
    given = "" if fault.empty_salt else salt or ""
    sign = "0" * 32 if fault.bad_signature else _md5(param + given)
    body = f"param={quote_plus(param.replace('200', '201', 1) if fault.tampered else param)}"
    return (body if salt is None or fault.unsigned else f"sign={sign}&{body}").encode()


def _is_taken(status: int, answer: bytes) -> bool:
    said = object_in(answer) or {}
    return status == 200 and said.get("result") is True and said.get("returnCode") == "200"


def _object(text: str) -> dict[str, Any]:
    if (value := object_in(text)) is None:
        raise Refused("700", "订阅方的订阅数据存在错误：param")
    return value


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()
