"""Notices of Alipay: both varieties, three charsets, and every way of not being one."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend import clock
from backend.amounts import yuan
from backend.partners.alipay.amounts import fen_of
from backend.partners.alipay.notices import open_notice
from backend.partners.alipay.signing import content_of, sign
from backend.partners.paying.exact_json import Ambiguous
from backend.partners.paying.port import (
    ChannelOrderState,
    NoticeKind,
    PaymentNoticeExpired,
    PaymentNoticeInvalid,
    PaymentNoticeSignatureInvalid,
)
from tests.backend.partners.alipay.platform import (
    KNOWN,
    MERCHANT,
    OURS,
    PUBLISHED,
    SENT,
    a_form,
    fields,
)
from tests.backend.partners.wechat_pay.platform import JAVA, private


def test_the_signed_contents_of_the_published_notice_are_recomputed():
    raw = {name: value.encode() for name, value in KNOWN["params_without_sign"].items()}
    key = private(JAVA["pem"]["wechat_pay_private_key"])
    plain, kept = content_of(raw, without=frozenset({"sign", "sign_type"})), content_of(raw, without=frozenset())

    assert (plain.decode(), kept.decode()) == (KNOWN["sign_content_v1"], KNOWN["sign_content_keep_sign_type"])
    assert (sign(key, plain), sign(key, kept)) == (KNOWN["sign_v1"], KNOWN["sign_keep_sign_type"])


@pytest.mark.parametrize("variety", ["sign_v1", "sign_keep_sign_type"])
def test_the_published_notice_is_accepted_in_both_varieties(variety: str):
    form = KNOWN["form_body"].replace(quote_plus(KNOWN["sign_v1"]), quote_plus(KNOWN[variety]))

    with clock.travel(to=SENT):
        notice = open_notice(PUBLISHED, form.encode())

    assert notice.kind is NoticeKind.ORDER
    assert notice.identity == KNOWN["params_without_sign"]["notify_id"]
    assert notice.order is not None
    assert notice.order.state is ChannelOrderState.PAID
    assert (notice.order.number, notice.order.amount_fen) == ("GOV20260101000002", 1000)
    assert (notice.order.app_id, notice.order.merchant_id) == ("2021000000000001", "2088000000000001")
    assert notice.order.paid_at == SENT - timedelta(seconds=1)


@pytest.mark.parametrize("charset", ["utf-8", "GBK", "gb2312"])
@pytest.mark.parametrize("keep", [False, True])
def test_a_fresh_notice_is_accepted_in_the_charset_that_it_names(charset: str, keep: bool):
    with clock.travel(to=SENT):
        notice = open_notice(MERCHANT, a_form(fields(charset=charset), charset=charset, keep=keep))

    assert "subject=工本费 示例&测试" in notice.plaintext


FORGERIES: dict[str, bytes] = {
    "no signature": KNOWN["form_body"].partition("&sign=")[0].encode(),
    "a stranger's": a_form(fields(), key=OURS),
    "other amount": a_form(fields()).replace(b"total_amount=10.00", b"total_amount=0.01"),
    "one more field": a_form(fields()) + b"&passback_params=x",
    "SHA-1": a_form(fields(sign_type="RSA")),
    "no sign_type": a_form({name: value for name, value in fields().items() if name != "sign_type"}),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_notice_that_alipay_did_not_sign_is_forged(name: str):
    with pytest.raises(PaymentNoticeSignatureInvalid) as refused, clock.travel(to=SENT):
        open_notice(MERCHANT, FORGERIES[name])

    assert not isinstance(refused.value, PaymentNoticeExpired)


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "no form": b"hello",
    "a field twice": a_form(fields()) + b"&total_amount=10.00",
    "a broken escape": a_form(fields()) + b"&x=%G0",
    "too large": a_form(fields(body="x" * 70_000)),
    "too many": a_form(fields()) + b"&a=1" * 200,
    "unknown charset": a_form(fields(charset="utf-7")),
    "other charset": a_form(fields(charset="utf-8"), charset="gbk"),
    "amount with exponent": a_form(fields(total_amount="1e1")),
    "amount with three places": a_form(fields(total_amount="10.001")),
    "amount zero": a_form(fields(total_amount="0.00")),
    "amount negative": a_form(fields(total_amount="-10.00")),
    "amount in other digits": a_form(fields(total_amount="１０.00")),
    "no id": a_form(fields(notify_id="")),
    "no number": a_form(fields(out_trade_no="")),
    "unknown state": a_form(fields(trade_status="MAYBE")),
    "no time": a_form(fields(notify_time="yesterday")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_form_with_no_single_meaning_is_malformed(name: str):
    with pytest.raises(PaymentNoticeInvalid), clock.travel(to=SENT):
        open_notice(MERCHANT, MALFORMED[name])


@pytest.mark.parametrize("off", [timedelta(hours=26, minutes=1), timedelta(minutes=-6)])
def test_a_notice_older_than_every_repeat_or_of_the_future_is_stale(off: timedelta):
    with pytest.raises(PaymentNoticeExpired), clock.travel(to=SENT + off):
        open_notice(MERCHANT, a_form(fields()))


def test_the_notice_of_a_refund_is_something_to_query():
    reported = fields(
        trade_status="TRADE_CLOSED", refund_fee="10.00", gmt_refund="2026-01-01 12:00:05", out_biz_no="R1"
    )

    with clock.travel(to=SENT):
        notice = open_notice(MERCHANT, a_form(reported))

    assert notice.kind is NoticeKind.FOREIGN
    assert notice.refund is not None
    assert (notice.refund.number, notice.refund.amount_fen) == ("R1", 1000)


def test_notices_of_other_kinds_are_kept_and_not_acted_upon():
    with clock.travel(to=SENT):
        assert open_notice(MERCHANT, a_form(fields(notify_type="dut_user_sign"))).kind is NoticeKind.FOREIGN


@given(st.integers(1, 10**13))
def test_every_amount_goes_to_yuan_and_back_to_the_fen(fen: int):
    assert fen_of(yuan(fen)) == fen


def test_what_is_no_amount_is_ambiguous():
    for text in ("", "10.", ".5", "+1", "1,000.00", None, 10):
        with pytest.raises(Ambiguous):
            fen_of(text)
