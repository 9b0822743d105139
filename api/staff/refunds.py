"""The second person approves or rejects a refund; refunds that did not arrive are sent again."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import openapi
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend import payments
from backend.identity import AsStaff
from backend.paging import USUAL
from backend.partners.paying.port import PayerCard
from backend.payments import StaffRefundDetail
from models.payments import RefundState

States = Annotated[
    list[RefundState] | None, QueryParameter(name="state", description="只看这些状态，可重复", required=False)
]


class RejectionIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Why the refund is rejected; staff read it."""

    reason: Annotated[str, Meta(min_length=2, max_length=64)]


class CardIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A bank card of the payer. It is passed to the channel, encrypted, and stored nowhere."""

    bank: Annotated[str, Meta(min_length=2, max_length=32, pattern="^[A-Z0-9_]+$")]
    number: Annotated[str, Meta(pattern="^[0-9]{12,19}$")]
    name: Annotated[str, Meta(min_length=2, max_length=64)]


class RefundController(Controller):
    """`/v1/staff/refunds`."""

    path = "/refunds"
    tags = ["收费"]

    @get(
        summary="本部门的退款",
        description="最近申请的在前；`state=requested` 为待复核，`abnormal` 和 `closed` 为受阻。",
        operation_id="listRefunds",
        responses=answers(payments.list_department_refunds),
    )
    async def list_department_refunds(
        self,
        staff: NamedDependency[AsStaff],
        states: FromQuery[States] = None,
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[StaffRefundDetail]:
        return Page(*await payments.list_department_refunds(staff, states=states, limit=limit, cursor=cursor))

    @get(
        "/{number:str}", summary="一笔退款", operation_id="getRefund", responses=answers(payments.get_department_refund)
    )
    async def get_department_refund(self, staff: NamedDependency[AsStaff], number: FromPath[str]) -> StaffRefundDetail:
        return await payments.get_department_refund(staff, number)

    @post(
        "/{number:str}/approval",
        summary="复核同意退款",
        description="申请人本人不能复核。同意后立即提交支付平台。",
        operation_id="approveRefund",
        status_code=200,
        responses=answers(payments.approve_refund),
    )
    async def approve(self, staff: NamedDependency[AsStaff], number: FromPath[str]) -> StaffRefundDetail:
        decision = await payments.approve_refund(staff, number)
        return await payments.get_department_refund(staff, decision.number)

    @post(
        "/{number:str}/rejection",
        summary="不同意退款，或撤回自己的申请",
        description="占用的金额随即释放，可以重新申请。",
        operation_id="rejectRefund",
        status_code=200,
        responses=answers(payments.reject_refund),
    )
    async def reject(
        self, staff: NamedDependency[AsStaff], number: FromPath[str], data: JSONBody[RejectionIn]
    ) -> StaffRefundDetail:
        return await payments.get_department_refund(
            staff, (await payments.reject_refund(staff, number, data.reason)).number
        )

    @post(
        "/{number:str}/repetition",
        summary="重新提交受阻的退款",
        description="沿用同一退款单号，支付平台不会重复退款。",
        operation_id="repeatRefund",
        status_code=200,
        responses=answers(payments.repeat_refund),
    )
    async def repeat(self, staff: NamedDependency[AsStaff], number: FromPath[str]) -> StaffRefundDetail:
        decision = await payments.repeat_refund(staff, number)
        return await payments.get_department_refund(staff, decision.number)

    @post(
        "/{number:str}/card",
        summary="将受阻的退款改退到付款人本人的银行卡",
        description="卡号和姓名加密后直接提交支付平台，本系统不保存。",
        operation_id="refundToCard",
        status_code=200,
        responses=answers(payments.refund_to_card),
    )
    async def to_card(
        self, staff: NamedDependency[AsStaff], number: FromPath[str], data: JSONBody[CardIn]
    ) -> StaffRefundDetail:
        card = PayerCard(bank=data.bank, number=data.number, name=data.name)
        decision = await payments.refund_to_card(staff, number, card)
        return await payments.get_department_refund(staff, decision.number)


openapi.LINKS |= {
    "listRefunds": {
        "refund": {"operationId": "getRefund", "parameters": {"number": "$response.body#/items/0/number"}},
    },
    "getRefund": {
        name: {"operationId": operation, "parameters": {"number": "$response.body#/number"}}
        for name, operation in (
            ("approve", "approveRefund"),
            ("reject", "rejectRefund"),
            ("repeat", "repeatRefund"),
            ("card", "refundToCard"),
        )
    },
}
