"""A payment channel in memory: what it holds is what it answers and what stands on its bills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from backend import clock, partners
from backend.database import fetch
from backend.partners import Partners
from backend.partners.paying.port import (
    Bill,
    BillRow,
    ChannelBillEmpty,
    ChannelOrder,
    ChannelOrderNotFound,
    ChannelOrderState,
    ChannelRefund,
    ChannelRefundNotFound,
    ChannelRefundState,
    Notice,
    OrderRequest,
    PartnerError,
    PrepaidOrder,
    RefundRequest,
)
from backend.payments.comparing import Account
from backend.payments.reconciling import BillComparison, reconcile_bill
from models.payments import Channel, Payment
from tests.factories.payments import APP_ID, MERCHANT_ID, a_channel_order

ACCOUNT = Account(Channel.WECHAT_PAY, MERCHANT_ID)
NOON = datetime(2026, 3, 2, 12, tzinfo=clock.SHANGHAI)
DAY = NOON.date()


class BillingChannel:
    """`orders` and `refunds` are what it would answer; `rows` its bills; `bill_error` is raised instead of a bill."""

    name, app_id, merchant_id = "wechat_pay", APP_ID, MERCHANT_ID

    def __init__(self) -> None:
        self.sub_merchants: Mapping[str, str] = {}
        self.orders: dict[str, ChannelOrder] = {}
        self.refunds: dict[str, ChannelRefund] = {}
        self.rows: list[BillRow] = []
        self.bill_error: PartnerError | None = None
        self.asked: list[str] = []

    def paid(self, payment: Payment, **changes: Any) -> ChannelOrder:
        """The order is paid there, and stands on the bill of its day."""
        seen = a_channel_order(payment, **{"paid_at": payment.paid_at or clock.now(), **changes})
        self.orders[seen.number] = seen
        self.list(seen)
        return seen

    def list(self, seen: ChannelOrder, **changes: Any) -> BillRow:
        """Put the order on a bill."""
        assert seen.transaction_id
        assert seen.amount_fen
        assert seen.paid_at
        values: dict[str, Any] = {
            "number": seen.number, "transaction_id": seen.transaction_id, "amount_fen": seen.amount_fen,
            "state": "SUCCESS", "at": seen.paid_at, "charge_fen": 12, **changes,
        }  # fmt: skip
        self.rows.append(BillRow(**values))
        return self.rows[-1]

    def refunded(self, number: str, payment_number: str, fen: int, **changes: Any) -> ChannelRefund:
        """The refund has arrived, and stands on the bill of today."""
        values: dict[str, Any] = {
            "number": number, "payment_number": payment_number, "state": ChannelRefundState.SUCCEEDED,
            "merchant_id": self.merchant_id, "refund_id": f"5030{number[-20:]}", "amount_fen": fen,
            "succeeded_at": clock.now(), **changes,
        }  # fmt: skip
        seen = ChannelRefund(**values)
        self.refunds[number] = seen
        self.rows.append(
            BillRow(
                number=payment_number, transaction_id="4200", amount_fen=fen, at=clock.now(), refund_number=number,
                refund_id=seen.refund_id,
                state="SUCCESS" if seen.state is ChannelRefundState.SUCCEEDED else "PROCESSING",
            )
        )  # fmt: skip
        return seen

    async def bill(self, day: date, *, sub_merchant_id: str | None = None) -> Bill:
        if self.bill_error is not None:
            raise self.bill_error
        rows = tuple(row for row in self.rows if row.at.astimezone(clock.SHANGHAI).date() == day)
        if not rows:
            raise ChannelBillEmpty("wechat-pay", "NO_STATEMENT_EXIST")
        return Bill(day=day, digest="d" * 40, rows=rows)

    async def query(self, number: str, *, sub_merchant_id: str | None = None) -> ChannelOrder:
        self.asked.append(number)
        if number not in self.orders:
            raise ChannelOrderNotFound("wechat-pay", "ORDER_NOT_EXIST")
        return self.orders[number]

    async def query_refund(
        self, number: str, *, payment_number: str, sub_merchant_id: str | None = None
    ) -> ChannelRefund:
        self.asked.append(number)
        if number not in self.refunds:
            raise ChannelRefundNotFound("wechat-pay", "RESOURCE_NOT_EXISTS")
        return self.refunds[number]

    async def close(self, number: str, *, sub_merchant_id: str | None = None) -> None:
        seen = self.orders.get(number)
        if seen is None:
            raise ChannelOrderNotFound("wechat-pay", "ORDER_NOT_EXIST")

    async def refund(self, request: RefundRequest) -> ChannelRefund:
        return self.refunded(request.number, request.payment_number, request.amount_fen)

    async def place(self, order: OrderRequest) -> PrepaidOrder:
        raise AssertionError("no order is placed here")

    def front_end_parameters(self, prepay_id: str) -> Mapping[str, str]:
        raise AssertionError("no payment is made here")

    async def open_notice(self, headers: Mapping[str, str], body: bytes) -> Notice:
        raise AssertionError("no notice is pushed here")


UNPAID = ChannelOrderState.UNPAID


@contextmanager
def at_noon() -> Iterator[BillingChannel]:
    """A channel that jobs find too, on the day whose bill is compared."""
    each = BillingChannel()
    partners.equip(Partners(wechat=None, sms=None, wire=None, channels={"wechat_pay": each}))  # type: ignore[arg-type]
    with clock.travel(to=NOON):
        yield each
    partners.equip(None)


async def compared(channel: BillingChannel, day: date = DAY) -> BillComparison:
    """The day compared with the channel's bill."""
    return await reconcile_bill(ACCOUNT, day, channels={"wechat_pay": channel})


async def differences() -> list[dict[str, object]]:
    """Every difference there is, in order."""
    rows = await fetch("SELECT * FROM bill_differences ORDER BY id")
    return [dict(row) for row in rows]


async def the_difference() -> dict[str, object]:
    """The only one."""
    (one,) = await differences()
    return one
