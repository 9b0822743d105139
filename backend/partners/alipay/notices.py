"""Alipay's notices: a form whose signature covers the values as they were before escaping, in the charset that the form
itself names.

Some products sign with the field `sign_type` and some without: both are tried. The notice of a refund comes to the
same address with the *sum* of all refunds of the order so far (`refund_fee`), so the refunded amount is taken from
the answer to the refund or a query, and such a notice is kept as one that we do not act upon.
"""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import unquote_to_bytes

from backend import clock
from backend.partners.alipay.amounts import fen_of, instant_of
from backend.partners.alipay.merchant import AlipayMerchant
from backend.partners.alipay.signing import content_of, fits
from backend.partners.paying.exact_json import Ambiguous, text, text_or_none
from backend.partners.paying.port import (
    ChannelOrder,
    ChannelOrderState,
    ChannelRefund,
    ChannelRefundState,
    Notice,
    NoticeKind,
    PaymentNoticeExpired,
    PaymentNoticeInvalid,
    PaymentNoticeSignatureInvalid,
)

LARGEST = 65_536
"""Bytes of a notice."""
MOST = 100
"""Fields of a notice."""
OLDEST = timedelta(hours=26)
"""Alipay repeats for 25 hours."""
AHEAD = timedelta(minutes=5)
CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "gbk": "gb18030", "gb2312": "gb18030", "gb18030": "gb18030"}
STATES = {
    "WAIT_BUYER_PAY": ChannelOrderState.UNPAID,
    "TRADE_CLOSED": ChannelOrderState.CLOSED,
    "TRADE_SUCCESS": ChannelOrderState.PAID,
    "TRADE_FINISHED": ChannelOrderState.PAID,
}
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NAME = re.compile(rb"[0-9A-Za-z_]{1,64}")


def open_notice(merchant: AlipayMerchant, body: bytes) -> Notice:
    """Verify and read a notice."""
    raw = _form(body)
    signature = raw.get("sign", b"").decode("ascii", "replace")
    if raw.get("sign_type") != b"RSA2":
        raise PaymentNoticeSignatureInvalid("sign_type")
    contents = (content_of(raw, without=frozenset(names)) for names in ({"sign", "sign_type"}, {"sign"}))
    if not any(fits(merchant.public_key, content, signature) for content in contents):
        raise PaymentNoticeSignatureInvalid("signature")
    try:
        fields = _decoded(raw)
        _fresh(fields)
        return _notice(fields)
    except Ambiguous as error:
        raise PaymentNoticeInvalid(str(error)) from None


def _form(body: bytes) -> dict[str, bytes]:
    """The fields as bytes, unescaped once. Raises PaymentNoticeInvalid, also for a repeated field."""
    if len(body) > LARGEST or body.count(b"&") >= MOST or _BROKEN_ESCAPE.search(body):
        raise PaymentNoticeInvalid("no form")
    fields: dict[str, bytes] = {}
    for part in body.split(b"&"):
        name, equals, value = part.partition(b"=")
        if not equals or not _NAME.fullmatch(name) or name.decode() in fields:
            raise PaymentNoticeInvalid("no form")
        fields[name.decode()] = unquote_to_bytes(value.replace(b"+", b" "))
    return fields


def _decoded(raw: dict[str, bytes]) -> dict[str, str]:
    charset = CHARSETS.get(raw.get("charset", b"utf-8").decode("ascii", "replace").lower())
    if charset is None:
        raise Ambiguous("an unknown charset")
    try:
        return {name: value.decode(charset) for name, value in raw.items()}
    except UnicodeDecodeError:
        raise Ambiguous("not in its charset") from None


def _fresh(fields: dict[str, str]) -> None:
    sent, now = instant_of(fields.get("notify_time")), clock.now()
    if not now - OLDEST <= sent <= now + AHEAD:
        raise PaymentNoticeExpired("stale")


def _notice(fields: dict[str, str]) -> Notice:
    plaintext = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if name != "sign")
    identity, event = text(fields, "notify_id", most=128), text(fields, "notify_type")
    status = text_or_none(fields, "trade_status")
    if event != "trade_status_sync" or status is None:
        return Notice(identity=identity, kind=NoticeKind.FOREIGN, event=event, plaintext=plaintext)
    if fields.get("refund_fee") or fields.get("gmt_refund"):
        return Notice(
            identity=identity, kind=NoticeKind.FOREIGN, event="REFUND", refund=_refund(fields), plaintext=plaintext
        )
    return Notice(identity=identity, kind=NoticeKind.ORDER, event=status, order=_order(fields), plaintext=plaintext)


def _order(fields: dict[str, str]) -> ChannelOrder:
    raw = text(fields, "trade_status")
    if raw not in STATES:
        raise Ambiguous("trade_status is unknown")
    return ChannelOrder(
        number=text(fields, "out_trade_no"),
        state=STATES[raw],
        app_id=text(fields, "app_id"),
        merchant_id=text(fields, "seller_id"),
        transaction_id=text(fields, "trade_no"),
        amount_fen=fen_of(fields.get("total_amount")),
        payer=text_or_none(fields, "buyer_open_id", most=128) or text_or_none(fields, "buyer_id", most=128),
        paid_at=instant_of(fields["gmt_payment"]) if fields.get("gmt_payment") else None,
        raw_state=raw,
    )


def _refund(fields: dict[str, str]) -> ChannelRefund:
    # Without out_biz_no it is the refund of a whole order made in the console.
    return ChannelRefund(
        number=text_or_none(fields, "out_biz_no") or text(fields, "out_trade_no"),
        payment_number=text(fields, "out_trade_no"),
        state=ChannelRefundState.SUCCEEDED,
        merchant_id=text(fields, "seller_id"),
        transaction_id=text(fields, "trade_no"),
        amount_fen=fen_of(fields.get("refund_fee")),
        total_fen=fen_of(fields.get("total_amount")),
        succeeded_at=instant_of(fields["gmt_refund"]) if fields.get("gmt_refund") else None,
        raw_state=text(fields, "trade_status"),
    )
