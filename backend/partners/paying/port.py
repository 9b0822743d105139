"""The port of a payment channel. Amounts are whole fen, times are aware.

*Our* number names an order at the channel and is its idempotency key: the same number with the same content gives the
same order, and never a second one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from backend.errors import Refused, Unauthenticated
from backend.partners.errors import (
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    Remedy,
    WithReason,
)

__all__ = [
    "Bill",
    "BillRow",
    "ChannelBillEmpty",
    "ChannelBillInvalid",
    "ChannelBillNotOffered",
    "ChannelBillNotReady",
    "ChannelNotEnoughMoney",
    "ChannelNotOffered",
    "ChannelOrder",
    "ChannelOrderClosed",
    "ChannelOrderInConflict",
    "ChannelOrderNotFound",
    "ChannelOrderPaid",
    "ChannelOrderState",
    "ChannelPayerRefused",
    "ChannelRefund",
    "ChannelRefundNotFound",
    "ChannelRefundState",
    "Notice",
    "NoticeKind",
    "OrderRequest",
    "PartnerBusy",
    "PartnerError",
    "PartnerMisconfigured",
    "PartnerRefused",
    "PartnerUnreachable",
    "PayChannel",
    "PayerCard",
    "PaymentNoticeExpired",
    "PaymentNoticeInvalid",
    "PaymentNoticeSignatureInvalid",
    "PrepaidOrder",
    "RefundRequest",
    "Remedy",
]


class OrderRequest(Struct, frozen=True, kw_only=True):
    """The order we want the channel to have. The same number must always come with the same content."""

    number: str
    description: str
    amount_fen: int
    currency: str = "CNY"
    payer: str
    """openid of the payer in the app of this channel."""
    expires_at: datetime
    sub_merchant_id: str | None = None
    payer_address: str | None = None
    """IP address of the payer, when known."""


class PrepaidOrder(Struct, frozen=True):
    """The channel has the order. `prepay_id` makes the front end's parameters at any time until `good_until`."""

    prepay_id: str
    good_until: datetime


class ChannelOrderState(StrEnum):
    """The state of an order at the channel."""

    UNPAID = "unpaid"
    PAYING = "paying"
    PAID = "paid"
    REFUNDED = "refunded"
    """Paid, and something of it has gone back."""
    CLOSED = "closed"
    FAILED = "failed"


class ChannelOrder(Struct, frozen=True, kw_only=True):
    """One order as the channel reports it, in a notice or an answer. Nothing of it is compared yet."""

    number: str
    state: ChannelOrderState
    app_id: str
    merchant_id: str
    sub_merchant_id: str | None = None
    transaction_id: str | None = None
    amount_fen: int | None = None
    """What the order was for; None while the channel leaves it out (an unpaid order)."""
    currency: str = "CNY"
    payer: str | None = None
    paid_at: datetime | None = None
    raw_state: str = ""


class ChannelRefundState(StrEnum):
    """The state of a refund at the channel."""

    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    CLOSED = "closed"
    ABNORMAL = "abnormal"


class RefundRequest(Struct, frozen=True, kw_only=True):
    """The refund we want. The same number refunds once however often it is requested."""

    number: str
    payment_number: str
    transaction_id: str | None
    amount_fen: int
    total_fen: int
    """What the order was paid with."""
    currency: str = "CNY"
    reason: str
    sub_merchant_id: str | None = None


class PayerCard(Struct, frozen=True, kw_only=True):
    """A bank card of the payer, for a refund that their account does not take. It is handed on and never kept."""

    bank: str
    """The channel's code of the bank (`ICBC_DEBIT`)."""
    number: str
    name: str
    """Of its holder."""


class ChannelRefund(Struct, frozen=True, kw_only=True):
    """One refund as the channel reports it."""

    number: str
    payment_number: str
    state: ChannelRefundState
    merchant_id: str
    refund_id: str | None = None
    transaction_id: str | None = None
    amount_fen: int
    total_fen: int | None = None
    account: str | None = None
    """Where it goes, as the channel masks it."""
    succeeded_at: datetime | None = None
    raw_state: str = ""


class NoticeKind(StrEnum):
    """What a notice is about."""

    ORDER = "order"
    REFUND = "refund"
    FOREIGN = "foreign"
    """Something that is signed but that we do not act upon (a kind that we do not know, a notice of the console)."""


class Notice(Struct, frozen=True, kw_only=True):
    """One verified push of the channel: the signature over the raw bytes was right and fresh."""

    identity: str
    """The channel's own id of the notice, the same at every repeat."""
    kind: NoticeKind
    event: str
    """The channel's name of what happened, such as `TRANSACTION.SUCCESS`."""
    order: ChannelOrder | None = None
    refund: ChannelRefund | None = None
    plaintext: str
    """What was in it, kept sealed."""


class PaymentNoticeSignatureInvalid(WithReason, Unauthenticated):
    """The signature of a notice is not the channel's. `why` is the reason, for the log."""

    title = "通知签名无效"


class PaymentNoticeExpired(PaymentNoticeSignatureInvalid):
    """Signed more than five minutes ago, or in the future."""

    title = "通知已过期"


class PaymentNoticeInvalid(WithReason, Refused):
    """The signature is right and the content cannot be read, or is ambiguous."""

    title = "通知内容无法识别"


class ChannelOrderNotFound(PartnerRefused):
    """The channel has no order (or nothing paid) of this number."""

    title = "支付平台没有该订单"


class ChannelOrderPaid(PartnerRefused):
    """The order is paid already: query its state instead."""

    title = "该订单已支付"


class ChannelOrderClosed(PartnerRefused):
    """The channel has closed the order."""

    title = "该订单已关闭"


class ChannelOrderInConflict(PartnerRefused):
    """The channel knows this number with another content."""

    title = "订单信息与支付平台不一致"


class ChannelPayerRefused(PartnerRefused):
    """The payer or their account cannot pay, or cannot be paid back to."""

    title = "支付账户暂不可用"


class ChannelNotEnoughMoney(PartnerRefused):
    """The merchant's account does not hold what is to go back."""

    title = "商户余额不足，退款稍后重试"
    remedy = Remedy.CONFIGURE


class ChannelNotOffered(PartnerRefused):
    """The channel has no such function."""

    title = "该支付渠道不支持此操作"


class ChannelBillNotOffered(ChannelNotOffered):
    """This channel's bills are not read by us: what it did is compared order by order."""

    title = "该支付渠道不提供对账单"


class ChannelRefundNotFound(PartnerRefused):
    """The channel has no refund of this number."""

    title = "支付平台没有该退款"


class ChannelBillNotReady(PartnerBusy):
    """The channel is still making the bill of that day."""

    title = "对账单尚未生成"


class ChannelBillEmpty(PartnerRefused):
    """Nothing moved on that day."""

    title = "当日无交易"


class ChannelBillInvalid(PartnerRefused):
    """The file has another hash than the channel states, or its rows and sums do not agree."""

    title = "对账单校验未通过"


class BillRow(Struct, frozen=True, kw_only=True):
    """One row: a payment, or a refund when `refund_number` is set."""

    number: str
    transaction_id: str
    amount_fen: int
    """Of a payment what was paid; of a refund what went back."""
    state: str
    """As the channel writes it (`SUCCESS`, `REFUND`, `PROCESSING`…)."""
    at: datetime
    refund_number: str | None = None
    refund_id: str | None = None
    charge_fen: int = 0
    """手续费; negative when it is given back."""


class Bill(Struct, frozen=True, kw_only=True):
    """A day's bill, checked against its hash and its own sums."""

    day: date
    digest: str
    rows: tuple[BillRow, ...]


class PayChannel(Protocol):
    """A payment channel."""

    name: str
    """`wechat_pay` or `alipay`."""
    app_id: str
    merchant_id: str
    sub_merchants: Mapping[str, str]
    """Which sub-merchant the fees of a department (by its USCC) go to; empty where we are the merchant ourselves."""

    async def place(self, order: OrderRequest) -> PrepaidOrder:
        """Place the order at the channel. Safe to repeat with the same content.

        Raises ChannelOrderPaid, ChannelOrderClosed, ChannelOrderInConflict, ChannelPayerRefused,
        PartnerMisconfigured, PartnerRefused, PartnerBusy, PartnerUnreachable.
        """
        ...

    def front_end_parameters(self, prepay_id: str) -> Mapping[str, str]:
        """Exactly what the front end hands to the channel's own dialogue (`wx.requestPayment`), freshly signed."""
        ...

    async def query(self, number: str, *, sub_merchant_id: str | None = None) -> ChannelOrder:
        """The state of an order, which is the truth. Raises ChannelOrderNotFound, PartnerBusy, PartnerUnreachable,
        PartnerMisconfigured."""
        ...

    async def close(self, number: str, *, sub_merchant_id: str | None = None) -> None:
        """Close the order, so that it cannot be paid; repeating is fine. Raises ChannelOrderPaid,
        ChannelOrderNotFound, PartnerBusy, PartnerUnreachable, PartnerMisconfigured."""
        ...

    async def refund(self, request: RefundRequest) -> ChannelRefund:
        """Request a refund; repeating with the same number refunds once.

        Raises ChannelNotEnoughMoney, ChannelPayerRefused, ChannelOrderNotFound, PartnerRefused, PartnerBusy,
        PartnerUnreachable, PartnerMisconfigured.
        """
        ...

    async def refund_to_card(
        self, number: str, refund_id: str, card: PayerCard, *, sub_merchant_id: str | None = None
    ) -> ChannelRefund:
        """Send an abnormal refund to a bank card of the payer instead; `number` is ours, `refund_id` the channel's.

        Raises ChannelNotOffered when the channel offers none, ChannelRefundNotFound, ChannelPayerRefused,
        PartnerRefused, PartnerBusy, PartnerUnreachable, PartnerMisconfigured.
        """
        ...

    async def query_refund(
        self, number: str, *, payment_number: str, sub_merchant_id: str | None = None
    ) -> ChannelRefund:
        """The state of a refund, which is the truth. Raises ChannelRefundNotFound, PartnerBusy, PartnerUnreachable,
        PartnerMisconfigured."""
        ...

    async def bill(self, day: date, *, sub_merchant_id: str | None = None) -> Bill:
        """The day's bill. Raises ChannelBillNotReady, ChannelBillEmpty, ChannelBillInvalid, ChannelBillNotOffered,
        PartnerUnreachable, PartnerMisconfigured."""
        ...

    async def open_notice(self, headers: Mapping[str, str], body: bytes) -> Notice:
        """Verify a push or refuse it: signature over the raw bytes, five minutes, decryption.

        Header names are in lower case; a header that came twice is joined with ", " and refused. Never fetches keys
        more often than the adapter's own minimum interval. Raises PaymentNoticeSignatureInvalid, PaymentNoticeExpired,
        PaymentNoticeInvalid.
        """
        ...
