"""The phone number that WeChat vouches for."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, delete, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from api import limits
from api.problems import answers
from api.resident.me import MeOut
from backend import identity
from backend.identity import AsResident
from backend.partners import Partners


class PhoneIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What the `getPhoneNumber` button gave to the page."""

    code: Annotated[str, Meta(min_length=1, max_length=256)]


class PhoneController(Controller):
    """`/v1/resident/phone`."""

    path = "/phone"
    tags = ["我的"]

    @put(
        summary="用 getPhoneNumber 的 code 绑定手机号",
        description="手机号归最后一次验证它的人所有。绑定后，登记了该手机号的办件会出现在我的办件中。",
        operation_id="confirmPhone",
        responses=answers(identity.confirm_phone),
    )
    async def confirm(
        self, resident: NamedDependency[AsResident], data: JSONBody[PhoneIn], partners: NamedDependency[Partners]
    ) -> MeOut:
        await limits.within("phone", str(resident.id), 5, 600, fail_closed=True)
        return MeOut.of(await identity.confirm_phone(resident, data.code, wechat=partners.wechat))

    @delete(summary="解除手机号绑定", operation_id="removePhone")
    async def remove(self, resident: NamedDependency[AsResident]) -> None:
        await identity.remove_phone(resident)
