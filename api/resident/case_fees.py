"""The fees of a resident's case, beside the case: reading a case is the hottest path and stays as it is."""

from __future__ import annotations

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from api import openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.problems import answers
from backend.cases import fees
from backend.identity import AsResident
from backend.payments import FeeDetail


class CaseFees(Struct):
    """The fees of one case, oldest first."""

    items: list[FeeDetail]


class CaseFeeController(Controller):
    """`/v1/resident/cases/{number}/fees`."""

    path = "/cases/{number:str}/fees"
    tags = ["缴费"]

    @get(
        summary="办件的费用",
        description="办件受理后按已公布的办事指南登记；没有费用时列表为空。他人的办件与不存在的办件回答相同。",
        operation_id="listCaseFees",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(fees.list_own_case_fees) | NOT_MODIFIED,
    )
    async def fees(self, resident: NamedDependency[AsResident], number: FromPath[str]) -> CaseFees:
        return CaseFees(await fees.list_own_case_fees(resident, number))


openapi.LINKS["listCaseFees"] = {"pay": {"operationId": "pay", "requestBody": {"fee_id": "$response.body#/items/0/id"}}}
