"""A department's staff raise the guide's charges, correct quantities, and waive fees with a reason."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api import openapi
from api.case_fees import CaseFees, ChargeIn
from api.problems import answers
from backend import payments
from backend.cases import fees
from backend.identity import AsStaff
from backend.payments import FeeDetail


class WaiverIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Why the fee is waived."""

    reason: Annotated[str, Meta(min_length=2, max_length=200, description="免收理由，缴费人可见")]


class FeeController(Controller):
    """`/v1/staff/cases/{number}/fees` and `/v1/staff/fees`."""

    path = "/"
    tags = ["收费"]

    @get(
        "/cases/{number:str}/fees",
        summary="本部门办件的费用",
        operation_id="listFeesOfCase",
        responses=answers(fees.list_fees_for_staff),
    )
    async def of_case(self, staff: NamedDependency[AsStaff], number: FromPath[str]) -> CaseFees:
        return CaseFees(await fees.list_fees_for_staff(staff, number))

    @post(
        "/cases/{number:str}/fees",
        summary="登记一项收费，或更正数量",
        description="只能登记现行办事指南列明的项目和标准；同一项目重复登记是同一笔费用。有人正在支付时不能更正数量。",
        operation_id="raiseFee",
        responses=answers(fees.charge_by_staff),
    )
    async def charge(
        self, staff: NamedDependency[AsStaff], number: FromPath[str], data: JSONBody[ChargeIn]
    ) -> FeeDetail:
        return await fees.charge_by_staff(staff, number, data.charge_ref, data.quantity)

    @post(
        "/fees/{fee_id:uuid}/waiver",
        summary="免收一笔费用",
        description="未完成的支付随即在支付平台关闭；之后仍到账的款项自动全额退回。",
        operation_id="waiveFee",
        status_code=200,
        responses=answers(payments.waive_fee),
    )
    async def waive(
        self, staff: NamedDependency[AsStaff], fee_id: FromPath[UUID], data: JSONBody[WaiverIn]
    ) -> FeeDetail:
        return await payments.waive_fee(staff, fee_id, data.reason)


_CASE = {"number": "$request.path.number"}
openapi.LINKS |= {
    "raiseFee": {
        "waive": {"operationId": "waiveFee", "parameters": {"fee_id": "$response.body#/id"}},
        "all": {"operationId": "listFeesOfCase", "parameters": _CASE},
    },
    "listFeesOfCase": {
        "waive": {"operationId": "waiveFee", "parameters": {"fee_id": "$response.body#/items/0/id"}},
        "raise": {"operationId": "raiseFee", "parameters": _CASE},
    },
}
