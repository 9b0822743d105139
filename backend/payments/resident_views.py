"""我的钱在哪里: a resident's payments in a list, and one of them as its payer sees it, step by step and in words.

Every step states what happened and when; the last one states where the money is now, and what happens next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, convert

from backend.amounts import in_yuan
from backend.clock import SHANGHAI
from backend.database import fetch, fetch_row
from backend.errors import raises
from backend.identity import AsResident
from backend.paging import USUAL, CursorInvalid, paged
from backend.payments.errors import PaymentNotFound
from models.payments import Channel, PaymentState, RefundCause, RefundState

CHANNEL_NAMES: Mapping[str, str] = {Channel.WECHAT_PAY: "微信支付", Channel.ALIPAY: "支付宝"}
STATE_NAMES: Mapping[str, str] = {
    PaymentState.CREATED: "待支付",
    PaymentState.PREPAID: "待支付",
    PaymentState.PAID: "已支付",
    PaymentState.SURPLUS: "未计入，正在退回",
    PaymentState.PART_REFUNDED: "部分退款",
    PaymentState.REFUNDED: "已全部退款",
    PaymentState.CLOSED: "已关闭",
}
REFUND_STATE_NAMES: Mapping[str, str] = {
    RefundState.REQUESTED: "待复核",
    RefundState.REJECTED: "未同意",
    RefundState.APPROVED: "已同意，正在提交",
    RefundState.PROCESSING: "支付平台处理中",
    RefundState.SUCCEEDED: "已退回",
    RefundState.ABNORMAL: "退款受阻",
    RefundState.CLOSED: "退款受阻",
}
CAUSES: Mapping[str, str] = {
    RefundCause.LATE: "付款到账时订单已关闭，且该费用已无需支付",
    RefundCause.DOUBLE: "该费用已经支付过，这是重复付款",
    RefundCause.WRONG_AMOUNT: "到账金额与应付金额不一致",
    RefundCause.CANCELLED: "费用已取消",
    RefundCause.STAFF: "办理部门为您退款",
    RefundCause.CONSOLE: "收款单位在支付平台为您退款",
}
NOT_COUNTED = frozenset({RefundCause.LATE, RefundCause.DOUBLE, RefundCause.WRONG_AMOUNT})
HOTLINE = "12345"
"""The number of the government's service line, where no department is named."""

_LIST = """
SELECT p.id, p.number, p.fee_id, p.channel, p.state, p.amount_fen, p.paid_fen, p.refunded_fen, p.refunding_fen,
    p.created_at AS ordered_at, p.expires_at, p.paid_at, f.name AS fee_name, f.subject_kind, f.subject_id
FROM payments p JOIN fees f ON f.id = p.fee_id
WHERE p.resident_id = $1 AND ($2::uuid IS NULL OR p.id < $2) ORDER BY p.id DESC LIMIT $3
"""
_ONE = """
SELECT p.id, p.number, p.fee_id, p.channel, p.state, p.amount_fen, p.paid_fen, p.refunding_fen, p.refunded_fen,
       p.created_at, p.expires_at, p.paid_at, p.state_at, f.name AS fee_name, f.basis, f.subject_kind, f.subject_id,
       d.name AS department, d.phone, c.number AS receipt
FROM payments p JOIN fees f ON f.id = p.fee_id LEFT JOIN departments d ON d.id = f.department_id
LEFT JOIN receipts c ON c.payment_id = p.id AND c.voided_at IS NULL
WHERE p.number = $1 AND p.resident_id = $2
"""
# What the second person has not decided on is no promise yet, and what they refused never was one.
_REFUNDS = """
SELECT number, amount_fen, cause, reason, state, account, created_at, decided_at, succeeded_at, state_at
FROM refunds WHERE payment_id = $1 AND state NOT IN ('requested', 'rejected') ORDER BY id
"""


class PaymentSummary(Struct, kw_only=True):
    """One payment in the list."""

    number: str
    fee_id: UUID
    fee_name: str
    subject_kind: str
    subject_id: UUID
    channel: str
    channel_name: str
    state: str
    state_name: str
    amount_fen: int
    paid_fen: int
    refunding_fen: int
    refunded_fen: int
    ordered_at: datetime
    expires_at: datetime
    paid_at: datetime | None


class PaymentStep(Struct, kw_only=True):
    """One step of the money. `at` is null for what is still to come."""

    step: str
    """`ordered`, `unpaid`, `paid`, `accepted`, `not-counted`, `refund-promised`, `refund-at-channel`, `refunded`,
    `refund-failed`."""
    name: str
    text: str
    at: datetime | None
    done: bool
    refund_number: str | None = None


class RefundDetail(Struct, kw_only=True):
    """One refund as the payer sees it."""

    number: str
    amount_fen: int
    amount: str
    state: str
    state_name: str
    cause: str
    reason: str
    account: str | None
    """Where the refund goes, as the channel masks it."""
    promised_at: datetime
    succeeded_at: datetime | None


class Contact(Struct):
    """The department's telephone, or the service line's."""

    name: str
    phone: str


class PaymentDetail(Struct, kw_only=True):
    """One payment as its payer sees it. Times are those of Asia/Shanghai; `amount` is `amount_fen` in words."""

    number: str
    fee_id: str
    fee_name: str
    basis: str
    subject_kind: str
    subject_id: str
    channel: str
    channel_name: str
    state: str
    state_name: str
    amount_fen: int
    amount: str
    paid_fen: int
    paid: str
    refunding_fen: int
    refunding: str
    refunded_fen: int
    refunded: str
    ordered_at: datetime
    expires_at: datetime
    paid_at: datetime | None
    where: str
    """Where the money is now, in a sentence."""
    next: str | None
    """What happens next; null when nothing does."""
    steps: list[PaymentStep]
    refunds: list[RefundDetail]
    receipt_number: str | None
    contact: Contact


@raises(CursorInvalid)
async def list_own_payments(
    resident: AsResident, *, cursor: str | None = None, limit: int = USUAL
) -> tuple[list[PaymentSummary], str | None]:
    """The payments that the resident began, the latest first, and the cursor of the next page."""
    return await paged(
        _LIST, resident.id, by={"id": UUID}, make=_summary, purpose="resident-payments", cursor=cursor, limit=limit
    )


@raises(PaymentNotFound)
async def get_own_payment(resident: AsResident, number: str) -> PaymentDetail:
    """The resident's payment; another resident's payment raises the same error as none."""
    row = await fetch_row(_ONE, number, resident.id)
    if row is None:
        raise PaymentNotFound
    refunds = await fetch(_REFUNDS, row["id"])
    where, coming = whereabouts(row, refunds)
    amounts = {name: in_yuan(row[f"{name}_fen"]) for name in ("amount", "paid", "refunding", "refunded")}
    values = {
        **row,
        **amounts,
        "fee_id": str(row["fee_id"]),
        "subject_id": str(row["subject_id"]),
        "channel_name": CHANNEL_NAMES[row["channel"]],
        "state_name": STATE_NAMES[row["state"]],
        "ordered_at": _local(row["created_at"]),
        "expires_at": _local(row["expires_at"]),
        "paid_at": row["paid_at"] and _local(row["paid_at"]),
        "where": where,
        "next": coming,
        "steps": list(steps(row, refunds)),
        "refunds": [_refund(each) for each in refunds],
        "receipt_number": row["receipt"],
        "contact": Contact(row["department"] or "政务服务便民热线", row["phone"] or HOTLINE),
    }
    return PaymentDetail(**{name: values[name] for name in PaymentDetail.__struct_fields__})


def steps(payment: Mapping[str, Any], refunds: Sequence[Mapping[str, Any]]) -> Iterator[PaymentStep]:
    """The steps of the money so far, in the order in which they are shown."""
    channel = CHANNEL_NAMES[payment["channel"]]
    amount = in_yuan(payment["amount_fen"])
    yield _done("ordered", "已下单", f"您发起了「{payment['fee_name']}」的支付，金额{amount}。", payment["created_at"])
    if payment["paid_at"] is None:
        if payment["state"] == PaymentState.CLOSED:
            yield _done("unpaid", "未支付", "订单已关闭，没有收到付款。", payment["state_at"])
        return
    yield _done("paid", "已付款", f"{channel}已收到您的付款{in_yuan(payment['paid_fen'])}。", payment["paid_at"])
    surplus = [each for each in refunds if each["cause"] in NOT_COUNTED]
    if surplus or payment["state"] == PaymentState.SURPLUS:
        why = CAUSES[surplus[0]["cause"]] if surplus else "该款项未计入费用"
        text = f"{why}。这笔钱没有计入费用，将全部退还给您。"
        yield _done("not-counted", "未计入费用", text, payment["paid_at"])
    else:
        yield _done("accepted", "已入账", "付款已计入费用，您无需再支付。", payment["paid_at"])
    for each in refunds:
        yield from _refund_steps(each, channel)


def whereabouts(payment: Mapping[str, Any], refunds: Sequence[Mapping[str, Any]]) -> tuple[str, str | None]:
    """Where the money is now, and what happens next."""
    channel = CHANNEL_NAMES[payment["channel"]]
    if payment["paid_at"] is None:
        if payment["state"] == PaymentState.CLOSED:
            return "没有收到您的付款。", "如您已被扣款，请不必再次支付：我们核对后会自动入账或原路退回。"
        until = _in_words(payment["expires_at"])
        return "尚未收到您的付款。", f"请在{until}前完成支付；如您已付款，我们会在15分钟内核对到账。"
    open_ones = [each for each in refunds if each["state"] != RefundState.SUCCEEDED]
    if not open_ones:
        if payment["refunded_fen"] == 0:
            return "钱已到账，并计入费用。", None
        back, kept = in_yuan(payment["refunded_fen"]), payment["paid_fen"] - payment["refunded_fen"]
        rest = f"，其余{in_yuan(kept)}已计入费用" if kept else ""
        return f"{back}已退回您的付款账户{rest}。", None
    amount = in_yuan(sum(each["amount_fen"] for each in open_ones))
    if any(each["state"] in (RefundState.ABNORMAL, RefundState.CLOSED) for each in open_ones):
        return (
            f"{amount}尚未退回：您的付款账户暂时不能收款，这笔钱仍为您保留。",
            "工作人员正在处理，必要时会联系您改退到本人银行卡；您也可以拨打下方电话。",
        )
    if all(each["state"] == RefundState.APPROVED for each in open_ones):
        return f"{amount}正在退还给您，即将提交{channel}。", "无需您操作，提交后通常1至3个工作日到账。"
    return f"{amount}正在由{channel}退回。", "零钱通常几分钟到账，银行卡需1至3个工作日。"


def _refund_steps(refund: Mapping[str, Any], channel: str) -> Iterator[PaymentStep]:
    number, amount, state = refund["number"], in_yuan(refund["amount_fen"]), refund["state"]
    promised = refund["decided_at"] or refund["created_at"]
    text = f"{CAUSES[refund['cause']]}，退还{amount}（{refund['reason']}）。"
    yield _done("refund-promised", "已同意退款", text, promised, number)
    if state == RefundState.APPROVED:
        name, text = f"提交{channel}", f"正在提交{channel}。"
        yield PaymentStep(step="refund-at-channel", name=name, text=text, at=None, done=False, refund_number=number)
    elif state == RefundState.PROCESSING:
        text = f"{channel}已受理，正在退回{amount}。"
        yield _done("refund-at-channel", f"{channel}处理中", text, refund["state_at"], number)
    elif state == RefundState.SUCCEEDED:
        text = f"{amount}已退回{refund['account'] or '您的付款账户'}。"
        yield _done("refunded", "已退回", text, refund["succeeded_at"], number)
    else:
        text = f"{channel}未能将{amount}退回您的付款账户。这笔钱仍为您保留，工作人员会跟进处理。"
        yield _done("refund-failed", "退款受阻", text, refund["state_at"], number)


def _done(step: str, name: str, text: str, at: datetime, refund_number: str | None = None) -> PaymentStep:
    return PaymentStep(step=step, name=name, text=text, at=_local(at), done=True, refund_number=refund_number)


def _summary(row: Mapping[str, Any]) -> PaymentSummary:
    names = {"channel_name": CHANNEL_NAMES[row["channel"]], "state_name": STATE_NAMES[row["state"]]}
    return convert({**row, **names}, PaymentSummary)


def _refund(row: Mapping[str, Any]) -> RefundDetail:
    return RefundDetail(
        **{name: row[name] for name in ("number", "amount_fen", "state", "cause", "reason", "account")},
        amount=in_yuan(row["amount_fen"]),
        state_name=REFUND_STATE_NAMES[row["state"]],
        promised_at=_local(row["decided_at"] or row["created_at"]),
        succeeded_at=row["succeeded_at"] and _local(row["succeeded_at"]),
    )


def _local(at: datetime) -> datetime:
    return at.astimezone(SHANGHAI)


def _in_words(at: datetime) -> str:
    local = _local(at)
    return f"{local.month}月{local.day}日{local:%H:%M}"
