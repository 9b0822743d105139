"""Receipts that the gateway pushes: lists of JSON objects in either dialect, repeated until they are taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from backend.clock import SHANGHAI
from backend.partners.own_time import OwnTime
from backend.partners.push_kit import Push, PushFault, PushRequest, PushSender
from backend.partners.sms.tables import Gateway

ATTEMPTS = 3
TAKEN = {"tencent": ("result", 0), "aliyun": ("code", 0)}


class ReceiptFault(PushFault, frozen=True):
    """What is wrong with a receipt, or unusual about it. After `late` it also states a time so much later."""

    outcome: Literal["arrived", "failed"] = "arrived"
    code: str = ""
    """The gateway's word; empty means its usual one."""
    serial: str = ""
    """Another serial than the one that was given out."""
    without_reference: bool = False


@dataclass
class Receipt:
    """The receipt of one text."""

    gateway: Gateway
    serial: str
    reference: str
    phone: str
    at: datetime
    fault: ReceiptFault = field(default_factory=ReceiptFault)
    pushes: list[ReceiptPush] = field(default_factory=list, repr=False)

    @property
    def attempts(self) -> list[str]:
        """Of each attempt the HTTP status and the answer, `taken`, or the kind of failure."""
        return [attempt.answer for push in self.pushes for attempt in push.attempts]

    @property
    def arrived(self) -> bool:
        """Whether we took it."""
        return any(push.arrived for push in self.pushes)

    def summary(self) -> dict[str, Any]:
        """The receipt with the answers to its attempts, as the test control shows it."""
        about = {name: getattr(self, name) for name in ("gateway", "serial", "reference", "phone", "at", "fault")}
        return {**about, "attempts": self.attempts, "arrived": self.arrived}


@dataclass(kw_only=True)
class ReceiptPush(Push):
    """Receipts that are pushed as one list; the fault is that of the first."""

    receipts: Sequence[Receipt]


class ReceiptSender(PushSender[ReceiptPush]):
    """Sends the receipts of a gateway; without an address they are held."""

    apart = None

    def __init__(self, time: OwnTime) -> None:
        super().__init__(time)
        self.url = ""
        self.gap = 1.0
        """Real seconds between attempts."""
        self.hold = False
        self.fault = ReceiptFault()
        """What is wrong with every receipt that names no fault of its own."""

    def push(self, receipts: Sequence[Receipt]) -> ReceiptPush:
        """Push receipts as one list, in the background."""
        one = receipts[0]
        push = ReceiptPush(id=one.serial, about=one.serial, url=self.url, fault=one.fault, receipts=receipts)
        for each in receipts:
            each.pushes.append(push)
        return self.dispatch(push)

    def requests(self, push: ReceiptPush, *, first: bool) -> Iterator[PushRequest]:
        """The list, which is not signed."""
        yield PushRequest([("Content-Type", "application/json")], written(push.receipts))

    def accepts(self, push: ReceiptPush, status: int, body: bytes) -> bool:
        """200 and the gateway's own word of success."""
        name, expected = TAKEN[push.receipts[0].gateway]
        try:
            content = msgspec.json.decode(body)
        except msgspec.DecodeError:
            return False
        return status == 200 and isinstance(content, dict) and content.get(name) == expected

    def describe(self, push: ReceiptPush, status: int, body: bytes) -> str:
        """`taken`, or status and text."""
        return "taken" if self.accepts(push, status, body) else f"{status} {body[:64].decode('utf-8', 'replace')}"

    def gaps(self, push: ReceiptPush) -> Sequence[float]:
        """The same pause every time."""
        return (self.gap,) * (ATTEMPTS - 1)


def written(receipts: Sequence[Receipt]) -> bytes:
    """The body of a push."""
    writers = {"tencent": _tencent, "aliyun": _aliyun}
    return msgspec.json.encode([writers[each.gateway](each) for each in receipts])


def _wall(at: datetime) -> str:
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"


def _tencent(receipt: Receipt) -> dict[str, Any]:
    arrived = receipt.fault.outcome == "arrived"
    return {
        "user_receive_time": _wall(receipt.at + timedelta(seconds=receipt.fault.late)),
        "nationcode": "86",
        "mobile": receipt.phone.removeprefix("+86"),
        "report_status": "SUCCESS" if arrived else "FAIL",
        "errmsg": receipt.fault.code or ("DELIVRD" if arrived else "MK:0001"),
        "description": "用户短信送达成功" if arrived else "用户短信送达失败",
        "sid": receipt.fault.serial or receipt.serial,
    }


def _aliyun(receipt: Receipt) -> dict[str, Any]:
    arrived = receipt.fault.outcome == "arrived"
    return {
        "phone_number": receipt.phone.removeprefix("+86"),
        "send_time": _wall(receipt.at),
        "report_time": _wall(receipt.at + timedelta(seconds=receipt.fault.late)),
        "success": arrived,
        "err_code": receipt.fault.code or ("DELIVERED" if arrived else "MK:0012"),
        "err_msg": "用户接收成功" if arrived else "用户关机或无法接通",
        "sms_size": "1",
        "biz_id": receipt.fault.serial or receipt.serial,
        "out_id": "" if receipt.fault.without_reference else receipt.reference,
    }
