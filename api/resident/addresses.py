"""Residents keep the addresses to which things are sent."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.idempotency import IDEMPOTENCY_ERRORS, idempotent
from api.problems import answers
from backend.deliveries import AddressDetail, AddressForm, addresses
from backend.identity import AsResident

OfPerson = Annotated[
    UUID | None, QueryParameter(name="person_id", description="办理人；缺省为本人，只能是可代办的人", required=False)
]


class AddressIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """An address. The region is the code of a county or of something smaller."""

    name: Annotated[str, Meta(min_length=1, max_length=60, description="收件人姓名")]
    phone: Annotated[str, Meta(min_length=5, max_length=30, description="手机号码，或带区号的固定电话")]
    region_code: Annotated[
        str, Meta(pattern="^[1-9][0-9]{5}([0-9]{6})?$", description="行政区划代码，到县（区）或更细")
    ]
    street: Annotated[str, Meta(min_length=1, max_length=200, description="街道、门牌号、楼栋和房间")]
    label: Annotated[str, Meta(max_length=20, description="标签，如 家、公司")] = ""
    is_default: bool = False

    def form(self) -> AddressForm:
        """What the use case takes."""
        return AddressForm(
            name=self.name,
            phone=self.phone,
            region_code=self.region_code,
            street=self.street,
            label=self.label,
            is_default=self.is_default,
        )


class NewAddressIn(AddressIn, forbid_unknown_fields=True, kw_only=True):
    """An address to be kept, for the resident or a principal."""

    person_id: Annotated[UUID | None, Meta(description="为谁保存；缺省为本人，只能是可代办的人")] = None


class ChangedAddressIn(AddressIn, forbid_unknown_fields=True, kw_only=True):
    """An address written anew. `version` is that of the address which was changed."""

    version: Annotated[int, Meta(ge=1)]


class AddressController(Controller):
    """`/v1/resident/addresses`."""

    path = "/addresses"
    tags = ["寄送"]

    @get(
        summary="我的地址",
        description="默认地址在前。`usable` 为 false 时，该地区代码已停用，请重新选择地区。",
        operation_id="listAddresses",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(addresses.list_addresses) | NOT_MODIFIED,
    )
    async def list_own_addresses(
        self, resident: NamedDependency[AsResident], person_id: FromQuery[OfPerson] = None
    ) -> list[AddressDetail]:
        return await addresses.list_addresses(resident, person_id)

    @post(
        summary="保存一个地址",
        description="第一个地址自动成为默认地址。地址加密保存；之后修改地址簿不会改变已经选择的寄送。",
        operation_id="saveAddress",
        responses=answers(*IDEMPOTENCY_ERRORS, addresses.save_address),
    )
    @idempotent()
    async def save(
        self,
        resident: NamedDependency[AsResident],
        data: JSONBody[NewAddressIn],
    ) -> AddressDetail:
        return await addresses.save_address(resident, data.form(), data.person_id)

    @get(
        "/{address_id:uuid}",
        summary="一个地址",
        operation_id="getAddress",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(addresses.get_address) | NOT_MODIFIED,
    )
    async def get_own_address(self, resident: NamedDependency[AsResident], address_id: FromPath[UUID]) -> AddressDetail:
        return await addresses.get_address(resident, address_id)

    @put(
        "/{address_id:uuid}",
        summary="修改一个地址",
        description="`version` 与当前版本不符时返回 409，请刷新后重试。",
        operation_id="changeAddress",
        responses=answers(addresses.change_address),
    )
    async def change(
        self, resident: NamedDependency[AsResident], address_id: FromPath[UUID], data: JSONBody[ChangedAddressIn]
    ) -> AddressDetail:
        return await addresses.change_address(resident, address_id, data.form(), data.version)

    @delete(
        "/{address_id:uuid}",
        summary="删除一个地址",
        description="删除默认地址时，最近保存的另一个地址成为默认地址。",
        operation_id="removeAddress",
        responses=answers(addresses.remove_address),
    )
    async def remove(self, resident: NamedDependency[AsResident], address_id: FromPath[UUID]) -> None:
        await addresses.remove_address(resident, address_id)


openapi.PARAMETERS.setdefault("address_id", "地址的标识")
_THERE = {"parameters": {"address_id": "$response.body#/id"}}
openapi.LINKS["saveAddress"] = {
    "address": {"operationId": "getAddress", **_THERE},
    "change": {"operationId": "changeAddress", **_THERE},
    "remove": {"operationId": "removeAddress", **_THERE},
}
