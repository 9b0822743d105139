"""Residents invite a delegate, accept to act for a principal, and end delegations (亲友代办)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api import limits, openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.idempotency import IDEMPOTENCY_ERRORS, idempotent
from api.problems import answers
from backend import qr_images
from backend.identity import AsResident, DelegationDetail, Invitation, InvitationDetail, Scope, delegating

PNG = "image/png"
Name = Annotated[str, Meta(min_length=1, max_length=50, description="对方看到的称呼，如真实姓名")]
Code = Annotated[str, Meta(min_length=1, max_length=200, description="邀请码，扫码或由对方发送")]
Matters = Annotated[
    list[Scope],
    Meta(min_length=1, max_length=5, description="授权范围：预约、办件、缴费、寄送，或 `all`（全部）"),
]


class DelegationIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """An offer: for what, and up to and including which day."""

    name: Name
    matters: Matters
    until: Annotated[date, Meta(description="最后一天（含），北京时间")]


class InvitationIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """An invitation that the principal has shown or sent."""

    code: Code


class AcceptanceIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The invitation is taken."""

    code: Code
    name: Name


async def _count_attempt(resident: AsResident) -> None:
    """Count one more invitation that this resident reads. Raises TooMany."""
    await limits.within("invitations", str(resident.id), 20, 3600, fail_closed=False)


@asynccontextmanager
async def _counted(arguments: dict[str, Any]) -> AsyncIterator[None]:
    await _count_attempt(arguments["resident"])
    yield


class DelegationController(Controller):
    """`/v1/resident/delegations`."""

    path = "/delegations"
    tags = ["亲友代办"]

    @post(
        summary="邀请他人为我代办",
        description="发出邀请即为本人同意；对方登录后接受才生效。随时可以撤销，到期自动结束。邀请码另取。",
        operation_id="offerDelegation",
        responses=answers(*IDEMPOTENCY_ERRORS, delegating.offer_delegation),
    )
    @idempotent()
    async def offer(
        self,
        resident: NamedDependency[AsResident],
        data: JSONBody[DelegationIn],
    ) -> DelegationDetail:
        return await delegating.offer_delegation(resident, name=data.name, matters=data.matters, until=data.until)

    @get(
        summary="代办授权：我给出的和我得到的",
        description=(
            "`role` 为 delegate 且 `state` 为 active 时，以 `person_id` 为办理人代办。最多 100 条，未结束的在前。"
        ),
        operation_id="listDelegations",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=NOT_MODIFIED,
    )
    async def list_own_delegations(self, resident: NamedDependency[AsResident]) -> list[DelegationDetail]:
        return await delegating.list_own_delegations(resident)

    @get(
        "/{delegation_id:uuid}",
        summary="一项代办授权",
        operation_id="getDelegation",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(delegating.get_own_delegation) | NOT_MODIFIED,
    )
    async def get_own_delegation(
        self, resident: NamedDependency[AsResident], delegation_id: FromPath[UUID]
    ) -> DelegationDetail:
        return await delegating.get_own_delegation(resident, delegation_id)

    @get(
        "/{delegation_id:uuid}/invitation",
        summary="代办邀请码（数据）",
        description="仅邀请人可取。只能由一人使用一次，过期或撤回后失效；内容不含个人信息，也不是网址。",
        operation_id="getInvitation",
        responses=answers(delegating.create_invitation),
    )
    async def invitation(self, resident: NamedDependency[AsResident], delegation_id: FromPath[UUID]) -> Invitation:
        return await delegating.create_invitation(resident, delegation_id)

    @get(
        "/{delegation_id:uuid}/invitation.png",
        summary="代办邀请码（PNG 图片）",
        operation_id="getInvitationAsPng",
        media_type=PNG,
        responses=answers(delegating.create_invitation)
        | {200: ResponseSpec(bytes, media_type=PNG, description="图片", generate_examples=False)},
    )
    async def png(self, resident: NamedDependency[AsResident], delegation_id: FromPath[UUID]) -> Response[bytes]:
        found = await delegating.create_invitation(resident, delegation_id)
        return Response(qr_images.png_code(found.code), media_type=PNG)

    @delete(
        "/{delegation_id:uuid}",
        summary="撤回邀请、撤销授权，或不再代办",
        description="马上生效；此前已经办理的事项不受影响。重复操作没有影响。",
        operation_id="endDelegation",
        responses=answers(delegating.end_delegation),
    )
    async def end(self, resident: NamedDependency[AsResident], delegation_id: FromPath[UUID]) -> None:
        await delegating.end_delegation(resident, delegation_id)


class InvitationController(Controller):
    """`/v1/resident/invitations`."""

    path = "/invitations"
    tags = ["亲友代办"]

    @post(
        "/readings",
        summary="查看代办邀请：谁请我办什么",
        operation_id="readInvitation",
        status_code=200,
        responses=answers(delegating.read_invitation),
    )
    async def read(self, resident: NamedDependency[AsResident], data: JSONBody[InvitationIn]) -> InvitationDetail:
        await _count_attempt(resident)
        return await delegating.read_invitation(resident, data.code)

    @post(
        "/acceptances",
        summary="接受代办邀请",
        operation_id="acceptInvitation",
        responses=answers(*IDEMPOTENCY_ERRORS, delegating.accept_invitation),
    )
    @idempotent(_counted)
    async def accept(
        self,
        resident: NamedDependency[AsResident],
        data: JSONBody[AcceptanceIn],
    ) -> DelegationDetail:
        return await delegating.accept_invitation(resident, data.code, name=data.name)


openapi.PARAMETERS.setdefault("delegation_id", "代办授权的标识")
_THERE = {"parameters": {"delegation_id": "$response.body#/id"}}
openapi.LINKS["offerDelegation"] = {
    "invitation": {"operationId": "getInvitation", **_THERE},
    "picture": {"operationId": "getInvitationAsPng", **_THERE},
    "delegation": {"operationId": "getDelegation", **_THERE},
    "end": {"operationId": "endDelegation", **_THERE},
}
openapi.LINKS["acceptInvitation"] = {
    "delegation": {"operationId": "getDelegation", **_THERE},
    "end": {"operationId": "endDelegation", **_THERE},
}
