"""The devices on which a resident is signed in."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from litestar import Controller, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from api import openapi
from api.problems import answers
from backend import identity
from backend.identity import AsResident


class SessionOut(Struct, kw_only=True):
    """One device; `is_current` marks the one that asks."""

    id: UUID
    device: str
    device_name: str
    signed_in_at: datetime
    last_used_at: datetime
    expires_at: datetime
    is_current: bool


class SessionsOut(Struct):
    """All devices: there are never so many that they would need pages."""

    items: list[SessionOut]


class EndedOut(Struct):
    """How many sessions were ended."""

    ended: int


class SessionsController(Controller):
    """`/v1/resident/sessions`."""

    path = "/sessions"
    tags = ["我的"]

    @get(summary="我的登录设备", operation_id="listSessions")
    async def sessions(self, resident: NamedDependency[AsResident]) -> SessionsOut:
        return SessionsOut([SessionOut(**each._asdict()) for each in await identity.list_own_sessions(resident)])

    @delete(
        "/{session_id:uuid}",
        summary="退出一个登录设备",
        operation_id="endSession",
        responses=answers(identity.end_session),
    )
    async def end(self, resident: NamedDependency[AsResident], session_id: FromPath[UUID]) -> None:
        await identity.end_session(resident, session_id)

    @delete(summary="退出其他所有设备", operation_id="endOtherSessions", status_code=200)
    async def end_others(self, resident: NamedDependency[AsResident]) -> EndedOut:
        return EndedOut(await identity.end_other_sessions(resident))


@delete("/session", tags=["我的"], summary="退出登录", operation_id="signOut")
async def sign_out(resident: NamedDependency[AsResident]) -> None:
    """End the session in which this is asked."""
    await identity.sign_out_resident(resident)


openapi.LINKS["listSessions"] = {
    "endSession": {"operationId": "endSession", "parameters": {"session_id": "$response.body#/items/0/id"}}
}
