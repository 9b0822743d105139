"""Alipay, the second channel: orders that the app itself brings to Alipay, and the gateway for everything after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from backend.amounts import yuan
from backend.partners.alipay import notices
from backend.partners.alipay.amounts import fen_of, instant_of, written
from backend.partners.alipay.gateway import AlipayGateway
from backend.partners.alipay.merchant import NAME, merchant_from
from backend.partners.alipay.signing import signed_form
from backend.partners.base import Wire
from backend.partners.paying.exact_json import Ambiguous, text, text_or_none
from backend.partners.paying.port import (
    Bill,
    ChannelBillNotOffered,
    ChannelNotOffered,
    ChannelOrder,
    ChannelOrderClosed,
    ChannelOrderNotFound,
    ChannelOrderPaid,
    ChannelOrderState,
    ChannelRefund,
    ChannelRefundNotFound,
    ChannelRefundState,
    Notice,
    OrderRequest,
    PartnerRefused,
    PartnerUnreachable,
    PayerCard,
    PrepaidOrder,
    RefundRequest,
)
from backend.settings import Settings

LONGEST_SUBJECT = 60
"""Characters of a description that travel in what stands for a prepay_id, which is kept in 128."""
_PAID = frozenset({ChannelOrderState.PAID, ChannelOrderState.REFUNDED})


class LiveAlipay:
    """The port `PayChannel`; what each call means and raises is written there.

    Alipay learns of an order when a payer opens it, so placing makes no call, and an order that no payer opened is
    unknown there. Raises SettingsError when app, seller or keys cannot be right.
    """

    name = "alipay"

    def __init__(self, wire: Wire, values: Settings) -> None:
        self.merchant = merchant_from(values)
        self.app_id = self.merchant.app_id
        self.merchant_id = self.merchant.seller_id
        self.sub_merchants: Mapping[str, str] = {}
        self.gateway = AlipayGateway(self.merchant, wire, values)

    async def place(self, order: OrderRequest) -> PrepaidOrder:
        if order.currency != "CNY":
            raise PartnerRefused(NAME, "currency")
        subject = order.description.replace("|", " ")[:LONGEST_SUBJECT]
        prepay_id = f"{order.number}|{order.amount_fen}|{int(order.expires_at.timestamp())}|{subject}"
        return PrepaidOrder(prepay_id, order.expires_at)

    def front_end_parameters(self, prepay_id: str) -> Mapping[str, str]:
        number, amount, until, subject = prepay_id.split("|", 3)
        content = {
            "out_trade_no": number,
            "total_amount": yuan(int(amount)),
            "subject": subject,
            "product_code": "QUICK_MSECURITY_PAY",
            "time_expire": written(datetime.fromtimestamp(int(until), UTC)),
        }
        fields = self.gateway.fields("alipay.trade.app.pay", content, notify=True)
        return {"orderStr": signed_form(self.merchant.key, fields)}

    async def query(self, number: str, *, sub_merchant_id: str | None = None) -> ChannelOrder:
        answer = await self.gateway.call("alipay.trade.query", {"out_trade_no": number})
        try:
            return self._order(number, answer)
        except Ambiguous as error:
            raise PartnerUnreachable(NAME, "unreadable", str(error), maybe_done=True) from None

    async def close(self, number: str, *, sub_merchant_id: str | None = None) -> None:
        try:
            await self.gateway.call("alipay.trade.close", {"out_trade_no": number})
        except ChannelOrderClosed:
            return
        except ChannelOrderPaid:
            # One code says that the state does not allow it, whichever state that is.
            if (await self.query(number)).state in _PAID:
                raise

    async def refund(self, request: RefundRequest) -> ChannelRefund:
        content = {
            "out_trade_no": request.payment_number,
            "out_request_no": request.number,
            "refund_amount": yuan(request.amount_fen),
            "refund_reason": request.reason[:80],
        }
        await self.gateway.call("alipay.trade.refund", content)
        try:
            # Its answer has the sum of all refunds; a query has this one.
            return await self.query_refund(request.number, payment_number=request.payment_number)
        except ChannelRefundNotFound:
            return ChannelRefund(
                number=request.number,
                payment_number=request.payment_number,
                state=ChannelRefundState.PROCESSING,
                merchant_id=self.merchant_id,
                transaction_id=request.transaction_id,
                amount_fen=request.amount_fen,
                total_fen=request.total_fen,
                raw_state="",
            )

    async def refund_to_card(
        self, number: str, refund_id: str, card: PayerCard, *, sub_merchant_id: str | None = None
    ) -> ChannelRefund:
        raise ChannelNotOffered(NAME, "refund-to-card")

    async def query_refund(
        self, number: str, *, payment_number: str, sub_merchant_id: str | None = None
    ) -> ChannelRefund:
        content = {
            "out_trade_no": payment_number,
            "out_request_no": number,
            "query_options": ["gmt_refund_pay"],
        }
        try:
            answer = await self.gateway.call("alipay.trade.fastpay.refund.query", content)
        except ChannelOrderNotFound as error:
            raise ChannelRefundNotFound(NAME, error.partner_code) from None
        if not answer.get("out_request_no"):
            raise ChannelRefundNotFound(NAME, "no-refund")
        try:
            return self._refund(answer)
        except Ambiguous as error:
            raise PartnerUnreachable(NAME, "unreadable", str(error), maybe_done=True) from None

    async def bill(self, day: date, *, sub_merchant_id: str | None = None) -> Bill:
        raise ChannelBillNotOffered(NAME, "bill")

    async def open_notice(self, headers: Mapping[str, str], body: bytes) -> Notice:
        return notices.open_notice(self.merchant, body)

    def _order(self, number: str, answer: dict[str, Any]) -> ChannelOrder:
        raw = text(answer, "trade_status")
        if raw not in notices.STATES or text(answer, "out_trade_no") != number:
            raise Ambiguous("another order, or an unknown trade_status")
        state = notices.STATES[raw]
        paid_at = instant_of(answer["send_pay_date"]) if answer.get("send_pay_date") else None
        if raw == "TRADE_CLOSED" and paid_at is not None:
            state = ChannelOrderState.REFUNDED  # closed because everything went back
        return ChannelOrder(
            number=number,
            state=state,
            app_id=self.app_id,
            merchant_id=self.merchant_id,
            transaction_id=text(answer, "trade_no") if state in _PAID else text_or_none(answer, "trade_no"),
            amount_fen=fen_of(answer.get("total_amount")),
            payer=text_or_none(answer, "buyer_open_id", most=128) or text_or_none(answer, "buyer_user_id", most=128),
            paid_at=paid_at,
            raw_state=raw,
        )

    def _refund(self, answer: dict[str, Any]) -> ChannelRefund:
        raw = text_or_none(answer, "refund_status") or ""
        done = raw == "REFUND_SUCCESS"
        return ChannelRefund(
            number=text(answer, "out_request_no"),
            payment_number=text(answer, "out_trade_no"),
            state=ChannelRefundState.SUCCEEDED if done else ChannelRefundState.PROCESSING,
            merchant_id=self.merchant_id,
            transaction_id=text_or_none(answer, "trade_no"),
            amount_fen=fen_of(answer.get("refund_amount")),
            total_fen=fen_of(answer["total_amount"]) if answer.get("total_amount") else None,
            succeeded_at=instant_of(answer["gmt_refund_pay"]) if answer.get("gmt_refund_pay") else None,
            raw_state=raw,
        )
