"""A department's system raises the guide's charges for its cases, and lists what was paid."""

from __future__ import annotations

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.case_fees import CaseFees, ChargeIn
from api.problems import answers
from backend.cases import fees
from backend.identity import AsAgency
from backend.payments import FeeDetail


class CaseFeeController(Controller):
    """`/v1/agency/cases/{number}/fees`."""

    path = "/cases/{number:str}/fees"
    tags = ["部门推送办件"]

    @get(
        summary="办件的费用及缴纳情况", operation_id="listPushedCaseFees", responses=answers(fees.list_fees_for_agency)
    )
    async def of_case(self, agency: NamedDependency[AsAgency], number: FromPath[str]) -> CaseFees:
        return CaseFees(await fees.list_fees_for_agency(agency, number))

    @post(
        summary="为办件登记一项收费，或更正数量",
        description=(
            "无条件的收费在受理时自动登记，只有视情形收取或按数量计算的项目需要推送；"
            "只能登记现行办事指南列明的项目。同一项目、同一数量的重复推送没有影响。"
        ),
        operation_id="pushFee",
        responses=answers(fees.charge_by_agency),
    )
    async def charge(
        self, agency: NamedDependency[AsAgency], number: FromPath[str], data: JSONBody[ChargeIn]
    ) -> FeeDetail:
        return await fees.charge_by_agency(agency, number, data.charge_ref, data.quantity)
