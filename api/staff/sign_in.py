"""Staff sign in and out, and see who they are."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from api import limits
from api.problems import answers
from backend.identity import AsStaff, staff_signing_in
from backend.identity import staff as staff_accounts


class StaffSignInIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Both factors in one request; `new_password` changes the password in the same step."""

    login: Annotated[str, Meta(min_length=1, max_length=64)]
    password: Annotated[str, Meta(min_length=1, max_length=256)]
    code: Annotated[str, Meta(min_length=1, max_length=16)]
    new_password: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


class StaffTokenOut(Struct, kw_only=True):
    """A staff session; without a request for `idle_after` seconds it is over."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int
    idle_after: int
    session_id: UUID
    staff_id: UUID


class StaffMeOut(Struct, kw_only=True):
    """A member of staff, their department and duties."""

    id: UUID
    login: str
    name: str
    department_id: UUID
    duties: list[str]


class StaffSignInController(Controller):
    """`POST /v1/staff/sessions`: the one address behind this door that needs no token."""

    path = "/sessions"
    tags = ["工作人员"]

    @post(
        summary="工作人员登录（密码 + 动态验证码）",
        description="两个要素一次提交，无论哪个错误，回答都相同。每个动态验证码只能使用一次。",
        operation_id="signInStaff",
        guards=[limits.limit("staff-sign-in", 30, 60, fail_closed=True)],
        responses=answers(staff_signing_in.sign_in_staff),
    )
    async def sign_in(self, request: Request[Any, Any, Any], data: JSONBody[StaffSignInIn]) -> StaffTokenOut:
        signed_in = await staff_signing_in.sign_in_staff(
            data.login,
            data.password,
            data.code,
            address=limits.client_address(request.scope),
            new_password=data.new_password,
        )
        return StaffTokenOut(**signed_in._asdict())


@get("/me", tags=["工作人员"], summary="我的工作账号", operation_id="getStaffMe")
async def me(staff: NamedDependency[AsStaff]) -> StaffMeOut:
    """Name, department and duties."""
    found = await staff_accounts.get_own_staff_account(staff)
    return StaffMeOut(**{**found._asdict(), "duties": list(found.duties)})


@delete("/session", tags=["工作人员"], summary="工作人员退出登录", operation_id="signOutStaff")
async def sign_out(staff: NamedDependency[AsStaff]) -> None:
    """End the session in which this is asked."""
    await staff_signing_in.sign_out_staff(staff)
