"""Looking a case up without signing in."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from api.limits import limit
from api.problems import answers
from backend import cases
from backend.cases import PublicCaseDetail


class LookupIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The case's number and the last four characters of the applicant's identity document."""

    number: Annotated[str, Meta(min_length=1, max_length=100)]
    id_last_four: Annotated[str, Meta(min_length=1, max_length=16)]


class CaseLookupController(Controller):
    """`POST /v1/public/case-lookups`: a POST, so that nothing personal stands in an address or a log."""

    path = "/case-lookups"
    tags = ["办件"]

    @post(
        summary="不登录查询办件进度",
        description="凭办件编号和申请人证件号码后四位查询，结果不含姓名和备注。按编号和网络地址限制次数。",
        operation_id="lookUpCase",
        status_code=200,
        guards=[limit("case-lookup", 30, 600, fail_closed=True)],
        responses=answers(cases.look_up_case),
    )
    async def look_up(self, data: JSONBody[LookupIn]) -> PublicCaseDetail:
        return await cases.look_up_case(data.number, data.id_last_four)
