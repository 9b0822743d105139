"""What the gateways push after a text was taken: whether it reached the phone. One dialect per gateway.

Nobody signs these pushes. [recalled: the fields of both, from the gateways' documents of their delivery reports]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from backend.clock import SHANGHAI
from backend.errors import Malformed

MOST = 1_000
"""Receipts in one push; both gateways send far fewer."""
_SERIAL_ROOM, _CODE_ROOM = 64, 48
_PLAIN = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*", re.ASCII)

Gateway = Literal["tencent", "aliyun"]


class ReceiptsUnreadable(Malformed):
    """The push is no list of receipts."""

    code = "sms-receipts-unreadable"
    title = "短信回执的格式不正确"

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class SmsReceipt(Struct, frozen=True, kw_only=True):
    """What became of one text."""

    serial: str
    """The gateway's id of the text, as `SmsAccepted.serial`."""
    reference: str = ""
    """Our own id of it, where the gateway sends it back; else empty."""
    phone: str = ""
    """To whom, as `SmsMessage.phone`."""
    arrived: bool
    code: str
    """The gateway's word, such as `DELIVRD` or `MK:0001`."""
    at: datetime | None = None
    """When the phone had it, or the operator gave up."""


class Dialect(NamedTuple):
    """How one gateway pushes, and how it wants to be answered."""

    read_one: Callable[[Mapping[str, Any]], SmsReceipt]
    taken: bytes
    not_taken: bytes


def read(gateway: Gateway, body: bytes) -> tuple[SmsReceipt, ...]:
    """The receipts of a push. Raises ReceiptsUnreadable for anything but a list of them."""
    try:
        listed = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ReceiptsUnreadable("not JSON") from None
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST:
        raise ReceiptsUnreadable("not a list")
    if not all(isinstance(each, Mapping) for each in listed):
        raise ReceiptsUnreadable("not a list of objects")
    return tuple(DIALECTS[gateway].read_one(each) for each in listed)


def _tencent(told: Mapping[str, Any]) -> SmsReceipt:
    status = told.get("report_status")
    if status not in ("SUCCESS", "FAIL"):
        raise ReceiptsUnreadable("report_status")
    country, mobile = _text(told, "nationcode"), _text(told, "mobile")
    return SmsReceipt(
        serial=_serial(told, "sid"),
        phone=f"+{country}{mobile}" if country and mobile else mobile,
        arrived=status == "SUCCESS",
        code=_code(told, "errmsg"),
        at=_moment(told, "user_receive_time"),
    )


def _aliyun(told: Mapping[str, Any]) -> SmsReceipt:
    success = told.get("success")
    if not isinstance(success, bool):
        raise ReceiptsUnreadable("success")
    phone = _text(told, "phone_number")
    return SmsReceipt(
        serial=_serial(told, "biz_id"),
        reference=_text(told, "out_id"),
        phone=phone,
        arrived=success,
        code=_code(told, "err_code"),
        at=_moment(told, "report_time"),
    )


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if len(text) <= _SERIAL_ROOM and _PLAIN.fullmatch(text) else ""


def _serial(told: Mapping[str, Any], name: str) -> str:
    if not (serial := _text(told, name)):
        raise ReceiptsUnreadable(name)
    return serial


def _code(told: Mapping[str, Any], name: str) -> str:
    return _text(told, name)[:_CODE_ROOM]


def _moment(told: Mapping[str, Any], name: str) -> datetime | None:
    """`2026-11-22 15:04:05` in China; None when nobody can read it."""
    try:
        return datetime.strptime(str(told.get(name, "")), "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    except ValueError:
        return None


DIALECTS: Mapping[Gateway, Dialect] = {
    "tencent": Dialect(_tencent, b'{"result":0,"errmsg":"OK"}', b'{"result":1,"errmsg":"try again"}'),
    "aliyun": Dialect(_aliyun, '{"code":0,"msg":"成功"}'.encode(), '{"code":1,"msg":"请稍后重试"}'.encode()),
}
"""The gateways whose receipts we understand, whichever of them sends our texts now: those of the last one still come
after a change."""
