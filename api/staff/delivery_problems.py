"""What went wrong on the way: who looks after it, and what the resident is answered."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import openapi
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend.deliveries import StaffProblemDetail, problems
from backend.identity import AsStaff
from backend.paging import USUAL

IsOpen = Annotated[bool | None, QueryParameter(name="open", description="true 待处理，false 已处理", required=False)]
Mine = Annotated[bool, QueryParameter(name="mine", description="只看我认领的", required=False)]


class AnswerIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What the resident is answered."""

    answer: Annotated[str, Meta(min_length=2, max_length=400, description="处理结果，居民可见，请勿填写个人信息")]


class DeliveryProblemController(Controller):
    """`/v1/staff/delivery-problems`."""

    path = "/delivery-problems"
    tags = ["寄送管理"]

    @get(
        summary="本部门的寄送问题",
        description="最近发现的在前。",
        operation_id="listDeliveryProblems",
        responses=answers(problems.list_problems),
    )
    async def list_delivery_problems(
        self,
        staff: NamedDependency[AsStaff],
        is_open: FromQuery[IsOpen] = None,
        mine: FromQuery[Mine] = False,
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[StaffProblemDetail]:
        owner_id = staff.id if mine else None
        return Page(
            *await problems.list_problems(staff, is_open=is_open, owner_id=owner_id, cursor=cursor, limit=limit)
        )

    @get(
        "/{problem_id:uuid}",
        summary="一个寄送问题",
        operation_id="getDeliveryProblem",
        responses=answers(problems.get_problem),
    )
    async def get_delivery_problem(
        self, staff: NamedDependency[AsStaff], problem_id: FromPath[UUID]
    ) -> StaffProblemDetail:
        return await problems.get_problem(staff, problem_id)

    @put(
        "/{problem_id:uuid}/owner",
        summary="认领一个问题",
        description="也可以接手同事认领的问题。",
        operation_id="takeDeliveryProblem",
        responses=answers(problems.assign_problem),
    )
    async def take_over(self, staff: NamedDependency[AsStaff], problem_id: FromPath[UUID]) -> StaffProblemDetail:
        return await problems.assign_problem(staff, problem_id)

    @post(
        "/{problem_id:uuid}/answer",
        summary="答复并办结一个问题",
        description="随即通知居民。",
        operation_id="answerDeliveryProblem",
        status_code=200,
        responses=answers(problems.answer_problem),
    )
    async def answer(
        self, staff: NamedDependency[AsStaff], problem_id: FromPath[UUID], data: JSONBody[AnswerIn]
    ) -> StaffProblemDetail:
        return await problems.answer_problem(staff, problem_id, data.answer)


openapi.PARAMETERS.setdefault("problem_id", "寄送问题的标识")
_HERE = {"parameters": {"problem_id": "$response.body#/id"}}
openapi.LINKS |= {
    "listDeliveryProblems": {
        "problem": {
            "operationId": "getDeliveryProblem",
            "parameters": {"problem_id": "$response.body#/items/0/id"},
        }
    },
    "getDeliveryProblem": {
        "take": {"operationId": "takeDeliveryProblem", **_HERE},
        "answer": {"operationId": "answerDeliveryProblem", **_HERE},
    },
}
