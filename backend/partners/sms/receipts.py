"""What the gateways push after they accepted a text: whether it reached the phone.

These pushes carry no signature. The names of their fields are data (`tencent.toml`, `aliyun.toml`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from backend.errors import Malformed
from backend.partners.bodies import Bounds, Unreadable, at, json_list, text_of
from backend.partners.errors import WithReason
from backend.partners.sms.tables import Receipt, Table

MOST = 1_000
"""Receipts in one push; both gateways send far fewer."""
LARGEST = 524_288
"""Bytes of a push."""
BOUNDS = Bounds(largest=LARGEST, deepest=4, most=50_000)
_SERIAL_ROOM, _CODE_ROOM = 64, 48
_PLAIN = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*", re.ASCII)


class SmsReceiptsInvalid(WithReason, Malformed):
    """The push is no list of receipts."""

    title = "短信回执的格式不正确"


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


def read(body: bytes, table: Table) -> tuple[SmsReceipt, ...]:
    """The receipts of a push. Raises SmsReceiptsInvalid for anything but a list of them."""
    try:
        listed = json_list(text_of(body, BOUNDS), BOUNDS)
    except Unreadable as error:
        raise SmsReceiptsInvalid(str(error)) from None
    if not 0 < len(listed) <= MOST or not all(isinstance(each, dict) for each in listed):
        raise SmsReceiptsInvalid("no list of receipts")
    return tuple(_receipt(each, table.receipt) for each in listed)


def _receipt(entry: Mapping[str, Any], names: Receipt) -> SmsReceipt:
    serial, outcome = _text(entry, names.serial), entry.get(names.outcome)
    if not serial or outcome not in (names.arrived, names.failed):
        raise SmsReceiptsInvalid(names.outcome if serial else names.serial)
    country, phone = _text(entry, names.country), _text(entry, names.phone)
    return SmsReceipt(
        serial=serial,
        reference=_text(entry, names.reference),
        phone=f"+{country}{phone}" if country and phone else phone,
        arrived=outcome == names.arrived,
        code=_text(entry, names.code)[:_CODE_ROOM],
        at=_moment(entry.get(names.at)),
    )


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) and len(value) <= _SERIAL_ROOM and _PLAIN.fullmatch(value) else ""


def _moment(value: object) -> datetime | None:
    """`2026-11-22 15:04:05` in China; None when it is unreadable."""
    try:
        return at(value) if isinstance(value, str) else None
    except Unreadable:
        return None
