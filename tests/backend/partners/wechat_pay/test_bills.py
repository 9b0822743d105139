"""Bills: the published one, every amount to the fen, and files that contradict themselves."""

from __future__ import annotations

import gzip
import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.partners.paying.port import ChannelBillInvalid
from backend.partners.wechat_pay.bill_reading import Unreadable, read_bill
from backend.partners.wechat_pay.bills import unpacked
from tests.backend.partners.wechat_pay.platform import BILL, MESSAGES

MCHID = MESSAGES["mchid"]
TEXT = BILL.decode("utf-8-sig")
LIMIT = 10_000_000


def test_the_published_bill_has_its_hash_and_is_read():
    payment, refund = read_bill(BILL, merchant_id=MCHID)

    assert hashlib.sha1(BILL, usedforsecurity=False).hexdigest() == "96dd32e631790b9d6449f6f077194e174d385196"
    assert (payment.number, payment.amount_fen, payment.charge_fen, payment.state) == (
        "GOV20260101000001",
        1000,
        6,
        "SUCCESS",
    )
    assert payment.at.isoformat() == "2026-01-01T12:00:04+08:00"
    assert payment.refund_number is None
    assert (refund.refund_number, refund.refund_id, refund.amount_fen, refund.charge_fen) == (
        "GOVR20260101000001",
        "50000000002026010100000000001",
        400,
        -2,
    )
    assert refund.number == payment.number


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("\r\n", "\n"),
        "\ufeff" + TEXT.replace("\r\n", "\n"),
        TEXT.rstrip("\r\n"),
        TEXT + "\r\n\r\n",
        TEXT.replace("case=DEMO-1", "a,`b,`c,`d"),
        TEXT.replace("case=DEMO-1", "a\nb"),
        TEXT.replace("工本费-示例", "总交易单数"),
    ],
    ids=["as it is", "LF", "BOM", "no end", "empty lines", "the separator in a text", "a line feed in a text", "words"],
)
def test_however_lines_end_and_with_any_free_text_the_rows_are_the_same(text: str):
    assert read_bill(text.encode(), merchant_id=MCHID) == read_bill(BILL, merchant_id=MCHID)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("`2,`10.00,`4.00", "`3,`10.00,`4.00"),
        ("`2,`10.00,`4.00", "`2,`10.01,`4.00"),
        ("`2,`10.00,`4.00", "`2,`10.00,`4.01"),
        ("`0.04000,`10.00,`4.00", "`0.04001,`10.00,`4.00"),
        ("`0.04000,`10.00,`4.00", "`0.04000,`9.99,`4.00"),
        ("`0.04000,`10.00,`4.00", "`0.04000,`10.00,`3.99"),
        ("`0.60%,`10.00,`0.00", "`0.60%,`1O.00,`0.00"),
        ("`0.60%,`10.00,`0.00", "`0.60%,`1e1,`0.00"),
        ("`0.60%,`10.00,`0.00", "`0.60%,`10.001,`0.00"),
        ("`0.60%,`10.00,`0.00", "`0.60%,`-10.00,`0.00"),
        ("2026-01-01 12:00:04", "2026-13-01 12:00:04"),
        ("`1234567891,`0,", "`1234567899,`0,"),
        ("`SUCCESS,`OTHERS", "`MAYBE,`OTHERS"),
        ("`50000000002026010100000000001,`GOVR20260101000001", "`0,`0"),
        ("交易时间", "时间"),
        ("总交易单数", "总数"),
        ("手续费总金额,订单总金额,申请退款总金额", "手续费总金额,订单总金额"),
        ("应结订单金额,代金券金额", "应结订单金额,应结订单金额"),
    ],
)
def test_a_bill_that_contradicts_itself_is_not_read(old: str, new: str):
    assert old in TEXT

    with pytest.raises(Unreadable):
        read_bill(TEXT.replace(old, new).encode(), merchant_id=MCHID)


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"hello", TEXT.partition("总交易")[0].encode(), TEXT[:400].encode()])
def test_a_file_that_is_not_whole_is_not_read(raw: bytes):
    with pytest.raises(Unreadable):
        read_bill(raw, merchant_id=MCHID)


def written(amounts: list[int]) -> bytes:
    """A bill of payments of these amounts."""
    header, summary = TEXT.splitlines()[0], TEXT.splitlines()[3]
    row = (
        TEXT.splitlines()[1]
        .replace("`10.00,`0.00,`0,`0", "`{yuan},`0.00,`0,`0")
        .replace("`0.60%,`10.00", "`0.60%,`{yuan}")
    )
    row = row.replace("`0.06000", "`0.00000")
    yuan = [f"{fen // 100}.{fen % 100:02d}" for fen in amounts]
    total = f"{sum(amounts) // 100}.{sum(amounts) % 100:02d}"
    rows = [row.replace("{yuan}", each) for each in yuan]
    sums = f"`{len(amounts)},`{total},`0.00,`0.00,`0.00000,`{total},`0.00"
    return "\r\n".join([header, *rows, summary, sums]).encode()


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=20))
def test_every_amount_is_read_to_the_fen(amounts: list[int]):
    assert [row.amount_fen for row in read_bill(written(amounts), merchant_id=MCHID)] == amounts


def test_a_large_bill_is_read_whole():
    amounts = [random.Random(7).randrange(1, 10**6) for _ in range(20_000)]

    assert sum(row.amount_fen for row in read_bill(written(amounts), merchant_id=MCHID)) == sum(amounts)


def test_a_packed_bill_is_unpacked_also_in_several_parts():
    assert unpacked(gzip.compress(BILL), LIMIT) == BILL
    assert unpacked(gzip.compress(BILL[:100]) + gzip.compress(BILL[100:]), LIMIT) == BILL
    assert unpacked(BILL, LIMIT) == BILL


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(BILL)[:-4],
        gzip.compress(BILL)[:40],
        gzip.compress(BILL) + b"rest",
        gzip.compress(b"0" * (LIMIT + 1)),
        b"\x1f\x8b",
    ],
    ids=["no end", "half", "something behind", "a bomb", "nothing"],
)
def test_a_broken_or_bursting_package_is_refused(packed: bytes):
    with pytest.raises(ChannelBillInvalid):
        unpacked(packed, LIMIT)
