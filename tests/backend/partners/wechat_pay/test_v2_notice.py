"""The XML notice of a console refund: sealed by hand here as the documentation says, and everything hostile."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from backend.partners.paying.port import (
    ChannelRefundState,
    NoticeKind,
    PaymentNoticeInvalid,
    PaymentNoticeSignatureInvalid,
)
from backend.partners.wechat_pay.v2_notice import ACCEPTED, is_v2, open_v2_notice

V2_KEY = "0123456789abcdef0123456789abcdef"
MCHID = "1900000109"
INSIDE = (
    "<root><out_refund_no><![CDATA[50000001]]></out_refund_no><out_trade_no><![CDATA[P20260101X]]></out_trade_no>"
    "<refund_account><![CDATA[REFUND_SOURCE_RECHARGE_FUNDS]]></refund_account><refund_fee><![CDATA[500]]></refund_fee>"
    "<refund_id><![CDATA[50000002]]></refund_id><refund_recv_accout><![CDATA[支付用户零钱]]></refund_recv_accout>"
    "<refund_request_source><![CDATA[VENDOR_PLATFORM]]></refund_request_source>"
    "<refund_status><![CDATA[SUCCESS]]></refund_status><settlement_refund_fee><![CDATA[500]]></settlement_refund_fee>"
    "<settlement_total_fee><![CDATA[1500]]></settlement_total_fee>"
    "<success_time><![CDATA[2026-01-02 09:00:00]]></success_time><total_fee><![CDATA[1500]]></total_fee>"
    "<transaction_id><![CDATA[42000001]]></transaction_id></root>"
)


def sealed(inside: str, key: str = V2_KEY) -> str:
    padder = PKCS7(128).padder()
    padded = padder.update(inside.encode()) + padder.finalize()
    secret = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest().encode()
    encryptor = Cipher(algorithms.AES(secret), modes.ECB()).encryptor()
    return b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def a_notice(req_info: str, *, mchid: str = MCHID, more: str = "") -> bytes:
    return (
        f"<xml><return_code>SUCCESS</return_code><appid><![CDATA[wx1]]></appid><mch_id><![CDATA[{mchid}]]></mch_id>"
        f"<nonce_str><![CDATA[n]]></nonce_str><req_info><![CDATA[{req_info}]]></req_info>{more}</xml>"
    ).encode()


def test_a_console_refund_is_recognised_and_kept_without_being_acted_upon():
    body = a_notice(sealed(INSIDE))

    notice = open_v2_notice(body, v2_key=V2_KEY, merchant_id=MCHID)

    assert is_v2(body)
    assert notice.kind is NoticeKind.FOREIGN
    assert notice.identity == "v2-50000002-SUCCESS"
    assert notice.refund is not None
    assert (notice.refund.number, notice.refund.payment_number) == ("50000001", "P20260101X")
    assert (notice.refund.amount_fen, notice.refund.total_fen) == (500, 1500)
    assert notice.refund.state is ChannelRefundState.SUCCEEDED
    assert notice.refund.succeeded_at is not None
    assert notice.refund.succeeded_at.isoformat() == "2026-01-02T09:00:00+08:00"
    assert notice.plaintext == INSIDE
    assert b"SUCCESS" in ACCEPTED


@pytest.mark.parametrize("key", ["", "fedcba9876543210fedcba9876543210"])
def test_what_does_not_open_with_our_key_is_forged(key: str):
    with pytest.raises(PaymentNoticeSignatureInvalid):
        open_v2_notice(a_notice(sealed(INSIDE)), v2_key=key, merchant_id=MCHID)


@pytest.mark.parametrize("req_info", ["%%%", "QUJD", b64encode(b"x" * 32).decode()])
def test_rubbish_in_place_of_what_is_sealed_is_forged(req_info: str):
    with pytest.raises(PaymentNoticeSignatureInvalid):
        open_v2_notice(a_notice(req_info), v2_key=V2_KEY, merchant_id=MCHID)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<xml>",
        a_notice(sealed(INSIDE), mchid="1900000001"),
        a_notice(sealed(INSIDE), more="<mch_id>1900000109</mch_id>"),
        a_notice(sealed("<root></root>")),
        a_notice(sealed("hello")),
        a_notice(sealed(INSIDE.replace("500", "5.00"))),
        a_notice(sealed(INSIDE.replace("SUCCESS", "MAYBE"))),
        a_notice(sealed(INSIDE.replace("2026-01-02", "2026-02-30"))),
        b'<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml><mch_id>&x;</mch_id></xml>',
    ],
)
def test_what_is_no_such_notice_of_ours_is_malformed(body: bytes):
    with pytest.raises(PaymentNoticeInvalid):
        open_v2_notice(body, v2_key=V2_KEY, merchant_id=MCHID)


def test_a_notice_of_the_third_version_is_not_taken_for_one():
    assert not is_v2(b'{"id":"x"}')
    assert is_v2(b"\xef\xbb\xbf\n <xml/>")
