"""A payment channel in memory that keeps the promises of the port: for tests of what we do, not of how it is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from uuid_utils.compat import uuid7

from backend import clock, partners
from backend.partners import Partners
from backend.partners.paying.port import (
    Bill,
    ChannelBillEmpty,
    ChannelNotOffered,
    ChannelOrder,
    ChannelOrderClosed,
    ChannelOrderInConflict,
    ChannelOrderNotFound,
    ChannelOrderPaid,
    ChannelOrderState,
    ChannelRefund,
    ChannelRefundNotFound,
    ChannelRefundState,
    Notice,
    NoticeKind,
    OrderRequest,
    PartnerUnreachable,
    PayerCard,
    PaymentNoticeSignatureInvalid,
    PrepaidOrder,
    RefundRequest,
)
from tests.factories.payments import APP_ID, MERCHANT_ID, a_transaction_id


@dataclass
class StoredOrder:
    """An order as the channel has it."""

    wanted: OrderRequest
    prepay_id: str
    state: ChannelOrderState = ChannelOrderState.UNPAID
    transaction_id: str | None = None
    paid_fen: int | None = None
    paid_at: datetime | None = None
    payer: str | None = None


@dataclass
class Till:
    """One merchant at one channel, with test controls: `fail` and `lose` make the next call of that name go wrong."""

    name: str = "wechat_pay"
    app_id: str = APP_ID
    merchant_id: str = MERCHANT_ID
    sub_merchants: Mapping[str, str] = field(default_factory=dict)
    orders: dict[str, StoredOrder] = field(default_factory=dict)
    refunds: dict[str, ChannelRefund] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    signed: int = 0
    refunds_at_once: bool = True
    _failures: dict[str, list[Exception]] = field(default_factory=dict)
    _lost: Counter[str] = field(default_factory=Counter)
    _notices: dict[bytes, Notice] = field(default_factory=dict)

    # -- test controls ---------------------------------------------------------------------------------
    def fail(self, call: str, *errors: Exception) -> None:
        """The next calls of this name raise these, and nothing happens."""
        self._failures.setdefault(call, []).extend(errors)

    def lose(self, call: str, times: int = 1) -> None:
        """The next calls of this name do what they should, and the answer is lost."""
        self._lost[call] += times

    def pay(self, number: str, *, fen: int | None = None, payer: str | None = None) -> ChannelOrder:
        """The payer confirms; a closed order is paid in its last second."""
        order = self.orders[number]
        if order.state is not ChannelOrderState.PAID:
            order.state, order.transaction_id = ChannelOrderState.PAID, a_transaction_id()
            order.paid_fen, order.paid_at = fen or order.wanted.amount_fen, clock.now()
            order.payer = payer or order.wanted.payer
        return self._seen(order)

    def notice(self, seen: ChannelOrder | ChannelRefund | None, identity: str | None = None) -> bytes:
        """The body of a push that says so; pushed again with the same `identity` it is the same notice."""
        identity = identity or uuid7().hex
        kind = {ChannelOrder: NoticeKind.ORDER, ChannelRefund: NoticeKind.REFUND}.get(type(seen), NoticeKind.FOREIGN)
        body = f"{identity} {len(self._notices)}".encode()
        self._notices[body] = Notice(
            identity=identity,
            kind=kind,
            event="TRANSACTION.SUCCESS" if kind is NoticeKind.ORDER else "REFUND.SUCCESS",
            order=seen if isinstance(seen, ChannelOrder) else None,
            refund=seen if isinstance(seen, ChannelRefund) else None,
            plaintext='{"what": "it said"}',
        )
        return body

    def refunded(self, number: str, state: ChannelRefundState = ChannelRefundState.SUCCEEDED) -> ChannelRefund:
        """The refund has come to this."""
        at = clock.now() if state is ChannelRefundState.SUCCEEDED else None
        before = self.refunds[number]
        values = {name: getattr(before, name) for name in ChannelRefund.__struct_fields__}
        self.refunds[number] = ChannelRefund(**{**values, "state": state, "succeeded_at": at})
        return self.refunds[number]

    # -- the port -------------------------------------------------------------------------------
    async def place(self, order: OrderRequest) -> PrepaidOrder:
        self._begin("place")
        there = self.orders.get(order.number)
        if there is None:
            there = self.orders[order.number] = StoredOrder(order, f"wx{uuid7().hex}")
        elif there.wanted != order:
            raise ChannelOrderInConflict(self.name)
        elif there.state is ChannelOrderState.PAID:
            raise ChannelOrderPaid(self.name)
        elif there.state is ChannelOrderState.CLOSED:
            raise ChannelOrderClosed(self.name)
        self._end("place")
        return PrepaidOrder(there.prepay_id, clock.now() + timedelta(hours=2))

    def front_end_parameters(self, prepay_id: str) -> Mapping[str, str]:
        self.signed += 1
        return {"package": f"prepay_id={prepay_id}", "nonceStr": str(self.signed), "signType": "RSA"}

    async def query(self, number: str, *, sub_merchant_id: str | None = None) -> ChannelOrder:
        self._begin("query")
        if number not in self.orders:
            raise ChannelOrderNotFound(self.name)
        self._end("query")
        return self._seen(self.orders[number])

    async def close(self, number: str, *, sub_merchant_id: str | None = None) -> None:
        self._begin("close")
        if number not in self.orders:
            raise ChannelOrderNotFound(self.name)
        if self.orders[number].state is ChannelOrderState.PAID:
            raise ChannelOrderPaid(self.name)
        self.orders[number].state = ChannelOrderState.CLOSED
        self._end("close")

    async def refund(self, request: RefundRequest) -> ChannelRefund:
        self._begin("refund")
        if request.number not in self.refunds:
            self.refunds[request.number] = ChannelRefund(
                number=request.number,
                payment_number=request.payment_number,
                state=ChannelRefundState.PROCESSING,
                merchant_id=self.merchant_id,
                refund_id=f"5{uuid7().hex[:20]}",
                transaction_id=request.transaction_id,
                amount_fen=request.amount_fen,
                total_fen=request.total_fen,
            )
            if self.refunds_at_once:
                self.refunded(request.number)
        self._end("refund")
        return self.refunds[request.number]

    async def refund_to_card(
        self, number: str, refund_id: str, card: PayerCard, *, sub_merchant_id: str | None = None
    ) -> ChannelRefund:
        raise ChannelNotOffered(self.name)

    async def query_refund(
        self, number: str, *, payment_number: str, sub_merchant_id: str | None = None
    ) -> ChannelRefund:
        self._begin("query_refund")
        if number not in self.refunds:
            raise ChannelRefundNotFound(self.name)
        return self.refunds[number]

    async def bill(self, day: date, *, sub_merchant_id: str | None = None) -> Bill:
        raise ChannelBillEmpty(self.name)

    async def open_notice(self, headers: Mapping[str, str], body: bytes) -> Notice:
        if body not in self._notices:
            raise PaymentNoticeSignatureInvalid("signature")
        return self._notices[body]

    # -------------------------------------------------------------------------------------------
    def _begin(self, call: str) -> None:
        self.calls[call] += 1
        if waiting := self._failures.get(call):
            raise waiting.pop(0)

    def _end(self, call: str) -> None:
        if self._lost[call] > 0:
            self._lost[call] -= 1
            raise PartnerUnreachable(self.name, "timeout", maybe_done=True)

    def _seen(self, order: StoredOrder) -> ChannelOrder:
        return ChannelOrder(
            number=order.wanted.number,
            state=order.state,
            app_id=self.app_id,
            merchant_id=self.merchant_id,
            sub_merchant_id=order.wanted.sub_merchant_id,
            transaction_id=order.transaction_id,
            amount_fen=order.paid_fen,
            currency=order.wanted.currency,
            payer=order.payer,
            paid_at=order.paid_at,
        )


def with_tills(*tills: Till) -> Mapping[str, Till]:
    """Have jobs call these channels; what use cases take as `channels`."""
    channels = {each.name: each for each in tills}
    partners.equip(Partners(wechat=None, sms=None, wire=None, channels=channels))  # type: ignore[arg-type]
    return channels
