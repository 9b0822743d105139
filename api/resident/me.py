"""Residents about themselves."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from msgspec import Struct

from backend import identity
from backend.identity import AsResident, ResidentDetail


class MeOut(Struct, kw_only=True):
    """A resident's own account; the phone is masked."""

    id: UUID
    joined_at: datetime
    phone: str | None
    phone_confirmed_at: datetime | None

    @classmethod
    def of(cls, me: ResidentDetail) -> MeOut:
        """The answer for this account."""
        return cls(**me._asdict())


class MeController(Controller):
    """`GET /v1/resident/me`."""

    path = "/me"
    tags = ["我的"]

    @get(summary="我的账号", operation_id="getMe")
    async def me(self, resident: NamedDependency[AsResident]) -> MeOut:
        return MeOut.of(await identity.get_own_account(resident))
