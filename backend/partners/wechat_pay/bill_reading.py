"""The trade bill as rows, and whether its own sums agree with them.

Layout (下载交易账单): a line of column names; rows in which every value begins with a backtick, because descriptions
may hold commas; a line of names of sums; one row of sums. Amounts are yuan as decimal text: they become whole numbers
by moving the point, never by way of floating point. A byte order mark and CRLF are accepted, and their absence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from backend import clock
from backend.partners.paying.port import BillRow

PLACES = 5
"""Decimal places of a fee; all other amounts have two."""
_UNITS: int = 10**PLACES
_FEN = _UNITS // 100
_YUAN = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,5}))?")
_SUMMARY = "总交易单数"
_SUMS = {
    "应结订单总金额": "应结订单金额",
    "退款总金额": "退款金额",
    "充值券退款总金额": "充值券退款金额",
    "手续费总金额": "手续费",
    "订单总金额": "订单金额",
    "申请退款总金额": "申请退款金额",
}
"""Which sum is that of which column."""
_NEEDED = ("交易时间", "商户号", "微信订单号", "商户订单号", "交易状态", "微信退款单号", "商户退款单号", "手续费")
_FREE_TEXT = "商品名称"
"""From this column up to the merchant's own data, the texts are free."""


class Unreadable(ValueError):
    """The file is no bill, or contradicts itself; the message says where and quotes no row."""


class _Columns(NamedTuple):
    left: Mapping[str, int]
    right: Mapping[str, int]
    width: int

    def of(self, parts: list[str]) -> dict[str, str]:
        """Values by column: those before the free text counted from the left, those behind it from the right, so that
        a text which holds the separator itself moves nothing."""
        if len(parts) < self.width:
            raise Unreadable("a row with too few values")
        return {name: parts[at] for name, at in (*self.left.items(), *self.right.items())}


def read_bill(raw: bytes, *, merchant_id: str) -> tuple[BillRow, ...]:
    """The rows. Raises Unreadable when a row is not one, is another merchant's, or the sums do not agree."""
    try:
        lines = raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise Unreadable("no UTF-8") from None
    lines = [line.removesuffix("\r") for line in lines]
    columns = _columns(lines[0])
    rows: list[BillRow] = []
    sums: dict[str, int] = dict.fromkeys(_SUMS.values(), 0)
    written, rest = _rows(lines[1:])
    for text in written:
        row = columns.of(_split(text))
        if row["商户号"] != merchant_id:
            raise Unreadable("a row of another merchant")
        for column in sums:
            sums[column] += _units(row.get(column, "0"))
        rows.append(_row(row))
    _compare(rest, len(rows), sums, columns)
    return tuple(rows)


def _columns(line: str) -> _Columns:
    names = [name.strip().removeprefix("`") for name in line.split(",")]
    if len(set(names)) != len(names) or not set(_NEEDED) <= set(names):
        raise Unreadable("no line of column names")
    middle = names.index(_FREE_TEXT) if _FREE_TEXT in names else len(names)
    behind = middle + 2  # 商品名称 and 商户数据包
    left = {name: at for at, name in enumerate(names[:middle])}
    right = {name: at - len(names) for at, name in enumerate(names) if at >= behind}
    if not set(_NEEDED) <= left.keys() | right.keys():
        raise Unreadable("columns in another order")
    return _Columns(left, right, len(names))


def _rows(lines: list[str]) -> tuple[list[str], list[str]]:
    """The texts of the rows, and the lines of the sums. A line that begins with no backtick belongs to the row above:
    a description holds a line feed."""
    rows: list[str] = []
    for at, line in enumerate(lines):
        if line.lstrip("`").startswith(_SUMMARY):
            return rows, [each for each in lines[at:] if each.strip()]
        if line.startswith("`"):
            rows.append(line)
        elif rows:
            rows[-1] += f"\n{line}"
        elif line.strip():
            raise Unreadable("a row without backtick")
    raise Unreadable("no sums: the file is not whole")


def _split(row: str) -> list[str]:
    return row.removeprefix("`").rstrip("\n").split(",`")


def _row(row: dict[str, str]) -> BillRow:
    state = row["交易状态"].strip()
    is_refund = state in ("REFUND", "REVOKED")
    if not is_refund and state != "SUCCESS":
        raise Unreadable("an unknown state of a row")
    refund_id, refund_number = (_filled(row[name]) for name in ("微信退款单号", "商户退款单号"))
    if is_refund and refund_id is None and refund_number is None:
        raise Unreadable("a refund without a number")
    asked, paid = row.get("申请退款金额"), row.get("订单金额")
    if is_refund:
        units = _units(row["退款金额"] if asked is None else asked)
    elif paid is not None:
        units = _units(paid)
    else:
        units = _units(row["应结订单金额"]) + _units(row.get("代金券金额", "0"))
    return BillRow(
        number=_filled(row["商户订单号"]) or "",
        transaction_id=_filled(row["微信订单号"]) or "",
        amount_fen=_whole_fen(units),
        state=state,
        at=_at(row["交易时间"]),
        refund_number=(refund_number or refund_id) if is_refund else None,
        refund_id=refund_id if is_refund else None,
        charge_fen=_rounded_fen(_units(row["手续费"])),
    )


def _filled(value: str) -> str | None:
    return None if value.strip() in ("", "0") else value.strip()


def _at(value: str) -> datetime:
    try:
        return datetime.strptime(value.strip(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=clock.SHANGHAI)
    except ValueError:
        raise Unreadable("a row without its time") from None


def _units(value: str) -> int:
    """Yuan as text, in hundred-thousandths."""
    found = _YUAN.fullmatch(value.strip())
    if found is None:
        raise Unreadable("an amount that is none")
    sign, whole, decimals = found.groups()
    return (-1 if sign else 1) * (int(whole) * _UNITS + int((decimals or "").ljust(PLACES, "0")))


def _whole_fen(units: int) -> int:
    if units % _FEN or units < 0:
        raise Unreadable("an amount that is not whole fen")
    return units // _FEN


def _rounded_fen(units: int) -> int:
    """A fee to the nearest fen, half away from zero."""
    magnitude = (abs(units) + _FEN // 2) // _FEN
    return magnitude if units >= 0 else -magnitude


def _compare(lines: list[str], count: int, sums: dict[str, int], columns: _Columns) -> None:
    if len(lines) != 2:
        raise Unreadable("no sums: the file is not whole")
    names = [name.strip().removeprefix("`") for name in lines[0].split(",")]
    values = _split(lines[1])
    if len(names) != len(values):
        raise Unreadable("sums without names")
    totals = dict(zip(names, values, strict=True))
    if totals[_SUMMARY].strip() != str(count):
        raise Unreadable("the number of rows differs")
    known = columns.left.keys() | columns.right.keys()
    checked = 0
    for name, column in _SUMS.items():
        if name in totals and column in known:
            checked += 1
            if _units(totals[name]) != sums[column]:
                raise Unreadable(f"the sum of a column differs: {column}")
    if not checked:
        raise Unreadable("no sums that we know")
