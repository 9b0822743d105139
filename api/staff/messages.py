"""Messages as operators see them, and requeueing of quarantined ones."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from api import openapi
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend.identity import AsStaff
from backend.paging import USUAL
from models.notifications import MessageState
from notifications import staff_views
from notifications.staff_views import StaffMessageDetail, StaffMessageSummary, Subject

States = Annotated[
    list[MessageState] | None, QueryParameter(name="state", description="只看这些状态，可重复", required=False)
]
SubjectKind = Annotated[str | None, QueryParameter(description="消息所说的对象种类，如 case", required=False)]
SubjectId = Annotated[UUID | None, QueryParameter(description="消息所说的对象", required=False)]


class StaffMessageController(Controller):
    """`/v1/staff/messages`."""

    path = "/messages"
    tags = ["消息"]

    @get(
        summary="消息及其送达情况",
        description="最新的在前，可按状态和对象筛选。需要 `messages.operate` 职责，面向全平台；不显示消息内容。",
        operation_id="listStaffMessages",
        responses=answers(staff_views.list_messages),
    )
    async def list_messages(
        self,
        staff: NamedDependency[AsStaff],
        states: FromQuery[States] = None,
        subject_kind: FromQuery[SubjectKind] = None,
        subject_id: FromQuery[SubjectId] = None,
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[StaffMessageSummary]:
        subject = Subject(subject_kind, subject_id)
        return Page(*await staff_views.list_messages(staff, states=states, subject=subject, limit=limit, cursor=cursor))

    @get(
        "/{message_id:uuid}",
        summary="一条消息的送达证明",
        description="当时的订阅授权、每一次发送、对方平台的返回码和消息号、回执、改走的渠道、何时打开；手机号打码。",
        operation_id="getStaffMessage",
        responses=answers(staff_views.get_message),
    )
    async def get_message(self, staff: NamedDependency[AsStaff], message_id: FromPath[UUID]) -> StaffMessageDetail:
        return await staff_views.get_message(staff, message_id)

    @post(
        "/{message_id:uuid}/requeue",
        summary="重新发送已搁置的消息",
        description="从第一个渠道重新开始；只适用于多次使发送程序中断而被搁置的消息，操作计入审计记录。",
        operation_id="requeueMessage",
        status_code=200,
        responses=answers(staff_views.requeue_message),
    )
    async def requeue(self, staff: NamedDependency[AsStaff], message_id: FromPath[UUID]) -> StaffMessageDetail:
        return await staff_views.requeue_message(staff, message_id)


openapi.LINKS["listStaffMessages"] = {
    name: {"operationId": name, "parameters": {"message_id": "$response.body#/items/0/id"}}
    for name in ("getStaffMessage", "requeueMessage")
}
