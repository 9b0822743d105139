"""A channel in memory that keeps the one promise that refunds rest on: a number is refunded once.

For everything about bytes and signatures there is the sandbox; this one dies and lies where a test says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from backend import clock, database, jobs, partners
from backend.database import transaction
from backend.partners import Partners
from backend.partners.paying.port import (
    ChannelNotOffered,
    ChannelOrder,
    ChannelOrderNotFound,
    ChannelRefund,
    ChannelRefundNotFound,
    ChannelRefundState,
    PayerCard,
    RefundRequest,
)
from backend.payments.refund_settling import settle_refund
from backend.payments.refunding import refund_remainder
from models.events import EventRecord
from models.payments import Channel, Payment, Refund, RefundCause
from tests.factories.payments import APP_ID, MERCHANT_ID

CARD = PayerCard(bank="ICBC_DEBIT", number="6222020200112230119", name="田秀英")


class FakeChannel:
    """What the service asks of a channel about refunds."""

    name = "wechat_pay"
    app_id = APP_ID
    merchant_id = MERCHANT_ID

    def __init__(self) -> None:
        self.refunds: dict[str, ChannelRefund] = {}
        self.orders: dict[str, ChannelOrder] = {}
        self.calls: Counter[str] = Counter()
        self.before: list[Exception | None] = []
        """Raised by the next calls, before the channel gets them."""
        self.afterwards: list[Exception | None] = []
        """Raised by the next calls, when the channel has done what was asked: the answer is lost."""
        self.answers = ChannelRefundState.PROCESSING
        self.during: Callable[[], Any] | None = None
        """Awaited while the caller waits for the answer."""

    async def _called(self, name: str) -> None:
        assert not database.in_transaction()
        self.calls[name] += 1
        if self.before and (error := self.before.pop(0)) is not None:
            raise error

    async def refund(self, request: RefundRequest) -> ChannelRefund:
        await self._called("refund")
        if request.number not in self.refunds:
            self.refunds[request.number] = ChannelRefund(
                number=request.number,
                payment_number=request.payment_number,
                state=self.answers,
                merchant_id=MERCHANT_ID,
                refund_id=f"5030{len(self.refunds):024d}",
                transaction_id=request.transaction_id,
                amount_fen=request.amount_fen,
                total_fen=request.total_fen,
                account="招商银行信用卡0403",
                raw_state=self.answers.upper(),
            )
        if self.during is not None:
            await self.during()
        if self.afterwards and (error := self.afterwards.pop(0)) is not None:
            raise error
        return self.refunds[request.number]

    async def refund_to_card(
        self, number: str, refund_id: str, card: PayerCard, *, sub_merchant_id: str | None = None
    ) -> ChannelRefund:
        await self._called("refund_to_card")
        if self.refunds[number].refund_id != refund_id:
            raise ChannelNotOffered(self.name)
        return self.now(number, ChannelRefundState.PROCESSING)

    async def query_refund(
        self, number: str, *, payment_number: str, sub_merchant_id: str | None = None
    ) -> ChannelRefund:
        await self._called("query_refund")
        try:
            return self.refunds[number]
        except KeyError:
            raise ChannelRefundNotFound(self.name, "RESOURCE_NOT_EXISTS") from None

    async def query(self, number: str, *, sub_merchant_id: str | None = None) -> ChannelOrder:
        await self._called("query")
        try:
            return self.orders[number]
        except KeyError:
            raise ChannelOrderNotFound(self.name, "ORDER_NOT_EXIST") from None

    def now(self, number: str, state: ChannelRefundState, at: datetime | None = None) -> ChannelRefund:
        """The refund stands there now."""
        before = self.refunds[number]
        values = {name: getattr(before, name) for name in before.__struct_fields__}
        done = (at or clock.now()) if state is ChannelRefundState.SUCCEEDED else None
        values |= {"state": state, "succeeded_at": done, "raw_state": state.upper()}
        self.refunds[number] = ChannelRefund(**values)
        return self.refunds[number]

    def given(self, payment: Payment, number: str, amount_fen: int, state: ChannelRefundState) -> ChannelRefund:
        """A refund is made in the channel's console."""
        self.refunds[number] = a_channel_refund(payment, number, amount_fen, state=state)
        return self.refunds[number]


def a_channel_refund(payment: Payment, number: str, amount_fen: int, **changes: Any) -> ChannelRefund:
    """What the channel says of a refund of the payment: it has arrived."""
    values: dict[str, Any] = {
        "number": number,
        "payment_number": payment.number,
        "state": ChannelRefundState.SUCCEEDED,
        "merchant_id": payment.merchant_id,
        "refund_id": "50300000000000000000000000001",
        "transaction_id": payment.transaction_id,
        "amount_fen": amount_fen,
        "total_fen": None,
        "account": "支付用户零钱",
        "succeeded_at": clock.now(),
        **changes,
    }
    values.setdefault("raw_state", values["state"].upper())
    return ChannelRefund(**values)


@contextmanager
def equipped(channel: FakeChannel) -> Iterator[FakeChannel]:
    """Jobs call this channel inside the block."""
    before = partners._in_use
    partners.equip(Partners(wechat=None, sms=None, wire=None, channels={Channel.WECHAT_PAY.value: channel}))  # type: ignore[arg-type, dict-item]
    try:
        yield channel
    finally:
        partners.equip(before)


async def refund_of(number: str) -> Refund:
    """The refund as it stands now."""
    return await Refund.get(number=number)


async def promised(payment: Payment, cause: RefundCause = RefundCause.CANCELLED) -> str:
    """All of it is promised back; under which number."""
    async with transaction():
        number = await refund_remainder(payment.id, cause, "不再办理，原路退回")
    assert number is not None
    return number


async def sent(payment: Payment) -> str:
    """Promised, and the jobs have run."""
    number = await promised(payment)
    await jobs.drain()
    return number


async def report(
    payment: Payment, number: str, amount: int, state: ChannelRefundState, known_by: str = "notice"
) -> None:
    """The channel says so."""
    await settle_refund(
        a_channel_refund(payment, number, amount, state=state), channel=Channel.WECHAT_PAY, known_by=known_by
    )


async def count_events(name: str) -> int:
    """How many events of this name the ledger holds."""
    return await EventRecord.filter(name=name).count()
