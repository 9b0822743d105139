"""The platform's orders and refunds as those of the port. Both modes: a 服务商 gets `sp_`/`sub_` names.

Everything here was signed. Fields are read exactly (see `exact_json`); nothing is compared with our own order yet.
"""

from __future__ import annotations

from typing import Any

from backend.partners.paying.exact_json import Ambiguous, fen, group, moment, moment_or_none, text, text_or_none
from backend.partners.paying.port import ChannelOrder, ChannelOrderState, ChannelRefund, ChannelRefundState

_ORDER_STATES = {
    "NOTPAY": ChannelOrderState.UNPAID,
    "USERPAYING": ChannelOrderState.PAYING,
    "SUCCESS": ChannelOrderState.PAID,
    "REFUND": ChannelOrderState.REFUNDED,
    "CLOSED": ChannelOrderState.CLOSED,
    "REVOKED": ChannelOrderState.CLOSED,
    "PAYERROR": ChannelOrderState.FAILED,
}
_WITH_MONEY = frozenset({ChannelOrderState.PAID, ChannelOrderState.REFUNDED})
_REFUND_STATES = {
    "SUCCESS": ChannelRefundState.SUCCEEDED,
    "PROCESSING": ChannelRefundState.PROCESSING,
    "CLOSED": ChannelRefundState.CLOSED,
    "ABNORMAL": ChannelRefundState.ABNORMAL,
}


def order_of(content: dict[str, Any]) -> ChannelOrder:
    """An order, out of a notice or an answer. Raises Ambiguous."""
    raw = text(content, "trade_state")
    if raw not in _ORDER_STATES:
        raise Ambiguous("trade_state is unknown")
    state = _ORDER_STATES[raw]
    paid = state in _WITH_MONEY
    amount = group(content, "amount") if paid or content.get("amount") is not None else {}
    total = fen(amount, "total") if paid or "total" in amount else None
    return ChannelOrder(
        number=text(content, "out_trade_no"),
        state=state,
        app_id=_one_of(content, "appid", "sp_appid"),
        merchant_id=_one_of(content, "mchid", "sp_mchid"),
        sub_merchant_id=text_or_none(content, "sub_mchid"),
        transaction_id=text(content, "transaction_id") if paid else text_or_none(content, "transaction_id"),
        amount_fen=total,
        currency=text(amount, "currency", most=16) if paid else text_or_none(amount, "currency", most=16) or "CNY",
        payer=_payer(content),
        paid_at=moment(content, "success_time") if raw == "SUCCESS" else moment_or_none(content, "success_time"),
        raw_state=raw,
    )


def refund_of(content: dict[str, Any], *, merchant_id: str | None = None) -> ChannelRefund:
    """A refund, out of a notice or, with the `merchant_id` that asked, out of an answer. Raises Ambiguous."""
    raw = _one_of(content, "status", "refund_status")
    if raw not in _REFUND_STATES:
        raise Ambiguous("the refund's status is unknown")
    amount = group(content, "amount")
    return ChannelRefund(
        number=text(content, "out_refund_no"),
        payment_number=text(content, "out_trade_no"),
        state=_REFUND_STATES[raw],
        merchant_id=merchant_id or _one_of(content, "mchid", "sp_mchid"),
        refund_id=text(content, "refund_id"),
        transaction_id=text_or_none(content, "transaction_id"),
        amount_fen=fen(amount, "refund"),
        total_fen=fen(amount, "total") if "total" in amount else None,
        account=text_or_none(content, "user_received_account"),
        succeeded_at=moment_or_none(content, "success_time"),
        raw_state=raw,
    )


def _one_of(content: dict[str, Any], name: str, other: str) -> str:
    """The field under the one name or the other, never under both."""
    if name in content and other in content:
        raise Ambiguous(f"{name} and {other}")
    return text(content, name if name in content else other)


def _payer(content: dict[str, Any]) -> str | None:
    payer = content.get("payer")
    if payer is None:
        return None
    payer = group(content, "payer")
    if "openid" in payer:
        return text_or_none(payer, "openid", most=128)
    # We pay in our own app, which in partner mode is the 服务商's.
    return text_or_none(payer, "sp_openid", most=128) or text_or_none(payer, "sub_openid", most=128)
