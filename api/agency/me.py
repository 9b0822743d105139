"""An agency asks whether its signature is right."""

from __future__ import annotations

from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from backend.identity import AsAgency


class AgencyOut(Struct, kw_only=True):
    """The agency and the department for which it speaks."""

    id: UUID
    department_id: UUID


class EchoIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Any text, to try signing a body."""

    text: str


class EchoOut(Struct, kw_only=True):
    """The agency, and the text as it arrived."""

    id: UUID
    text: str


class AgencyController(Controller):
    """`/v1/agency/me`: changes nothing, so that signing can be tried."""

    path = "/me"
    tags = ["部门系统"]

    @get(summary="验证请求签名：我是哪个系统", operation_id="getAgencyMe")
    async def me(self, agency: NamedDependency[AsAgency]) -> AgencyOut:
        return AgencyOut(id=agency.id, department_id=agency.department_id)

    @post(summary="验证带请求体的签名", operation_id="echoAgency", status_code=200)
    async def echo(self, agency: NamedDependency[AsAgency], data: JSONBody[EchoIn]) -> EchoOut:
        return EchoOut(id=agency.id, text=data.text)
