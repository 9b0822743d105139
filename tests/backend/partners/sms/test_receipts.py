"""Receipts in both dialects: read as the sandbox writes them, and refused when they are anything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.partners.sms import receipts
from backend.partners.sms.receipts import MOST, SmsReceipt, SmsReceiptsInvalid
from backend.partners.sms.sandbox.pushing import Receipt, ReceiptFault, written
from backend.partners.sms.tables import GATEWAYS, Gateway, load

AT = datetime(2026, 11, 22, 7, 4, 5, tzinfo=UTC)
TENCENT = {"user_receive_time": "", "nationcode": "86", "mobile": "13800000001", "report_status": "SUCCESS",
           "errmsg": "DELIVRD", "description": "", "sid": "s1"}  # fmt: skip
ALIYUN = {"phone_number": "13800000001", "success": True, "err_code": "DELIVERED", "biz_id": "s1"}


def read(gateway: Gateway, body: bytes, folder: str = "") -> tuple[SmsReceipt, ...]:
    return receipts.read(body, load(gateway, folder))


def a_receipt(gateway: Gateway, **fault: Any) -> Receipt:
    return Receipt(gateway, "f825bba6", "0194a1b2", "+8613800000001", AT, ReceiptFault(**fault))


def test_a_receipt_of_tencent_says_when_the_phone_had_it():
    assert read("tencent", written([a_receipt("tencent")])) == (
        SmsReceipt(serial="f825bba6", phone="+8613800000001", arrived=True, code="DELIVRD", at=AT),
    )


def test_a_receipt_of_aliyun_brings_our_own_id_back():
    assert read("aliyun", written([a_receipt("aliyun")])) == (
        SmsReceipt(serial="f825bba6", reference="0194a1b2", phone="13800000001", arrived=True, code="DELIVERED", at=AT),
    )


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_failure_keeps_the_gateways_own_word(gateway: Gateway):
    [told] = read(gateway, written([a_receipt(gateway, outcome="failed", code="MK:0001")]))

    assert (told.arrived, told.code) == (False, "MK:0001")


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"{}", b"[]", b"[1]", b'[{"sid": "s"}]', b"[" * 100_000, b'[{"success": "yes", "biz_id": "s"}]',
     b'[{"report_status": "MAYBE", "sid": "s"}]', b"\xff\xfe", b'[{"sid": 1e999, "biz_id": NaN, "success": true}]',
     b'[{"sid": "s", "sid": "t", "biz_id": "s", "biz_id": "t", "report_status": "SUCCESS", "success": true}]',
     b'[{"sid": "s", "biz_id": "s", "report_status": "SUCCESS", "success": true, "a": [[[[1]]]]}]',
     b'[{"success": true, "report_status": "SUCCESS"}]'],
)  # fmt: skip
def test_what_is_no_list_of_receipts_is_refused(gateway: Gateway, body: bytes):
    with pytest.raises(SmsReceiptsInvalid):
        read(gateway, body)


@pytest.mark.parametrize(("gateway", "one"), [("tencent", TENCENT), ("aliyun", ALIYUN)])
def test_more_than_anybody_sends_at_once_is_refused(gateway: Gateway, one: dict[str, Any]):
    assert len(read(gateway, json.dumps([one] * MOST).encode())) == MOST
    with pytest.raises(SmsReceiptsInvalid):
        read(gateway, json.dumps([one] * (MOST + 1)).encode())


@pytest.mark.parametrize(("gateway", "one"), [("tencent", TENCENT), ("aliyun", ALIYUN)])
def test_an_unreadable_time_is_no_reason_to_lose_the_receipt(gateway: Gateway, one: dict[str, Any]):
    odd = ("yesterday", "2026-13-40 99:99:99", "0001-01-01 00:00:00", "9999-12-31 23:59:59", 7, None, [], {})
    for value in odd:
        [told] = read(gateway, json.dumps([{**one, "user_receive_time": value, "report_time": value}]).encode())
        assert told.at is None


def test_a_gateway_whose_fields_are_called_otherwise_is_a_matter_of_a_file(tmp_path: Path):
    own = '[receipt]\nserial = "id"\noutcome = "ok"\narrived = "1"\nfailed = "0"\n[answers]\ntaken = "ok"\n'
    (tmp_path / "aliyun.toml").write_text(own)

    [told] = read("aliyun", b'[{"id": 7, "ok": 1, "phone_number": "13800000001"}]', str(tmp_path))

    assert (told.serial, told.arrived, told.phone) == ("7", True, "13800000001")
    assert load("aliyun", str(tmp_path)).answers.taken == "ok"
    assert load("aliyun", str(tmp_path)).answers.not_taken == load("aliyun").answers.not_taken


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(gateway=st.sampled_from(GATEWAYS), changes=st.dictionaries(st.sampled_from([*TENCENT, *ALIYUN]), ANYTHING))
def test_every_value_of_a_field_is_read_or_refused(gateway: Gateway, changes: dict[str, Any]):
    one = {**(TENCENT if gateway == "tencent" else ALIYUN), **changes}
    try:
        [told] = read(gateway, json.dumps([one]).encode())
    except SmsReceiptsInvalid:
        return

    assert 0 < len(told.serial) <= 64
    assert (told.serial + told.reference + told.code).isascii()
