"""The errors of payments, refunds, receipts and bills."""

from __future__ import annotations

from backend.errors import Conflict, Invalid, NotFound, Refused


class FeeNotFound(NotFound):
    """No such fee, or one that this resident may not pay."""

    title = "没有找到该费用"


class FeeNotOpen(Conflict):
    """The fee is paid, waived or cancelled: there is nothing to pay."""

    title = "该费用无需再支付"


class ChargeNotInGuide(Invalid):
    """The published guide has no such charge: only charges that it states may be demanded."""

    title = "办事指南未列明该项收费，不得收取"


class PaymentNotFound(NotFound):
    """No such payment, or another resident's."""

    title = "没有找到该支付订单"


class PaymentTransitionRefused(Conflict):
    """The payment or the refund is not in a state from which this is possible."""

    title = "当前状态不能进行该操作"


class PaymentClosed(Conflict):
    """The order has expired or was closed; a new one can be made."""

    title = "该订单已关闭，请重新发起支付"


class PaymentBeingMade(Conflict):
    """Another payment for the same fee is under way."""

    title = "该费用正在支付，请稍后查看结果"
    retryable = True


class PaymentChannelInvalid(Invalid):
    """The channel is not offered here."""

    title = "不支持该支付方式"


class PayerNotKnown(Conflict):
    """The resident has no account of this channel with us (no openid): sign in through it first."""

    title = "请先在该支付渠道登录后再支付"


class RefundNotFound(NotFound):
    """No such refund, or one of another department."""

    title = "没有找到该退款"


class RefundTooMuch(Conflict):
    """More than what was paid and is neither refunded nor being refunded."""

    title = "退款金额超过可退金额"


class RefundOwnRequest(Refused):
    """The member of staff who requested a refund cannot be the second person."""

    title = "退款须由另一名工作人员复核"


class RefundTooLate(Conflict):
    """Channels refund within a year of the payment."""

    title = "支付已超过一年，无法原路退回，请线下办理"


class PaymentNoticeOrderNotFound(NotFound):
    """A verified notice about a number that we do not have (yet): the channel shall repeat it."""

    title = "未找到对应订单"


class PaymentNoticeMismatch(Conflict):
    """A verified notice whose application, merchant, currency, payer or amount is not that of our order or refund.

    It is stored and moves nothing; the channel is queried for the truth.
    """

    title = "通知内容与订单不一致"


class RefundTooOften(Conflict):
    """Channels accept at most fifty partial refunds."""

    title = "该订单的退款次数已达上限"


class RefundCardRejected(Conflict):
    """The money cannot be sent to a bank card: the refund is not abnormal, or the channel does not offer that."""

    title = "该退款不能改退到银行卡"


class ReceiptNotFound(NotFound):
    """No such receipt, or another resident's."""

    title = "没有找到该收据"


class BillDifferenceNotFound(NotFound):
    """No such difference."""

    title = "没有找到该对账差异"


class BillDifferenceResolved(Conflict):
    """The difference is resolved already, or it repaired itself."""

    title = "该差异已处理"


class BillDayOutOfRange(Invalid):
    """Bills are made on the next day, and kept by channels for three months."""

    title = "该日期没有可下载的账单"
