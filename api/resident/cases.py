"""Residents follow their cases: the list, and one case with its timeline and its explained due date."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from api import openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend import cases
from backend.cases import CaseDetail, CaseSummary
from backend.identity import AsResident
from backend.paging import USUAL
from models.cases import CaseState

States = Annotated[
    list[CaseState] | None, QueryParameter(name="state", description="只看这些状态，可重复", required=False)
]


class CaseController(Controller):
    """`/v1/resident/cases`."""

    path = "/cases"
    tags = ["办件"]

    @get(
        summary="我的办件",
        description="最近收到的在前。授权手机号后，以该手机号申请的办件会出现在这里。",
        operation_id="listCases",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(cases.list_own_cases) | NOT_MODIFIED,
    )
    async def list_own_cases(
        self,
        resident: NamedDependency[AsResident],
        states: FromQuery[States] = None,
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[CaseSummary]:
        return Page(*await cases.list_own_cases(resident, states=states, cursor=cursor, limit=limit))

    @get(
        "/{number:str}",
        summary="办件进度：时间线与办理期限",
        description=(
            "`due.date` 为承诺办结日，`due.explanation` 逐段说明每一天是否计入；没有日期时 `due.reason` 说明原因。"
            "他人的办件与不存在的办件回答相同。"
        ),
        operation_id="getCase",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(cases.get_own_case_json) | NOT_MODIFIED,
    )
    async def get_own_case(self, resident: NamedDependency[AsResident], number: FromPath[str]) -> Response[CaseDetail]:
        # The statement has written the JSON already; the type is what it says.
        body: Any = await cases.get_own_case_json(resident, number)
        return Response(body, media_type="application/json")


openapi.LINKS["listCases"] = {
    "case": {"operationId": "getCase", "parameters": {"number": "$response.body#/items/0/number"}},
    "fees": {"operationId": "listCaseFees", "parameters": {"number": "$response.body#/items/0/number"}},
}
