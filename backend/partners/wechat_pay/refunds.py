"""Refunds: requesting, querying, and a bank card for one that the payer's account did not take."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from backend.partners.base import Repeat
from backend.partners.paying.exact_json import Ambiguous
from backend.partners.paying.port import (
    ChannelRefund,
    PartnerUnreachable,
    PayerCard,
    PaymentNoticeSignatureInvalid,
    RefundRequest,
)
from backend.partners.wechat_pay.api import WeChatPayApi
from backend.partners.wechat_pay.errors import NAME, OF_REFUND_QUERIES
from backend.partners.wechat_pay.orders import sub_merchant
from backend.partners.wechat_pay.reading import refund_of
from backend.partners.wechat_pay.sealing import seal_field

PATH = "/v3/refund/domestic/refunds"
LONGEST_REASON = 80


async def refund(api: WeChatPayApi, request: RefundRequest) -> ChannelRefund:
    """Request a refund."""
    content: dict[str, Any] = {
        **_who(api, request.sub_merchant_id),
        # Always by our own number: the same refund is then the same bytes although more has become known.
        "out_trade_no": request.payment_number,
        "out_refund_no": request.number,
        "reason": request.reason[:LONGEST_REASON],
        "notify_url": api.merchant.notify_url,
        "amount": {"refund": request.amount_fen, "total": request.total_fen, "currency": request.currency},
    }
    return _read(api, request.number, await api.post("refund", PATH, content, errors={}))


async def query_refund(api: WeChatPayApi, number: str, sub_merchant_id: str | None) -> ChannelRefund:
    """Query a refund."""
    path = f"{PATH}/{quote(number, safe='')}"
    return _read(api, number, await api.get("query_refund", path, _who(api, sub_merchant_id), errors=OF_REFUND_QUERIES))


async def refund_to_card(
    api: WeChatPayApi, number: str, refund_id: str, card: PayerCard, sub_merchant_id: str | None
) -> ChannelRefund:
    """Send an abnormal refund to a card. Holder and number are sealed for the platform before they leave us; not
    repeated by itself once it was sent."""
    try:
        key = await api.keys.sealing_key()
    except PaymentNoticeSignatureInvalid:
        raise PartnerUnreachable(NAME, "no-key") from None
    content = {
        **_who(api, sub_merchant_id),
        "out_refund_no": number,
        "type": "USER_BANK_CARD",
        "bank_type": card.bank,
        "bank_account": seal_field(key.key, card.number),
        "real_name": seal_field(key.key, card.name),
    }
    path = f"{PATH}/{quote(refund_id, safe='')}/apply-abnormal-refund"
    answer = await api.post(
        "apply_abnormal_refund",
        path,
        content,
        errors=OF_REFUND_QUERIES,
        repeat=Repeat.IF_NEVER_SENT,
        serial=key.serial,
    )
    return _read(api, number, answer)


def _read(api: WeChatPayApi, number: str, answer: dict[str, Any]) -> ChannelRefund:
    try:
        observed = refund_of(answer, merchant_id=api.merchant.mchid)
    except Ambiguous as error:
        raise PartnerUnreachable(NAME, "unreadable", str(error), maybe_done=True) from None
    if observed.number != number:
        raise PartnerUnreachable(NAME, "another-refund", maybe_done=True)
    return observed


def _who(api: WeChatPayApi, sub_merchant_id: str | None) -> dict[str, str]:
    return {"sub_mchid": sub_merchant(sub_merchant_id)} if api.merchant.partner_mode else {}
