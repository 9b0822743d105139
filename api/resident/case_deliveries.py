"""How the document of a case comes home, chosen beside the case; and what is sent in for it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import openapi
from api.idempotency import IDEMPOTENCY_ERRORS, idempotent
from api.problems import answers
from api.resident.addresses import OfPerson
from backend.cases import DeliveryOptions, deliveries, list_delivery_options, sending_in
from backend.cases.errors import CaseNotFound
from backend.deliveries import DeliveryChoice, DeliveryDetail, acting, resident_views
from backend.deliveries.errors import (
    AddressNotFound,
    DeliveryNotOffered,
    DeliveryReceiverNotFound,
)
from backend.identity import AsResident
from models.deliveries import Method

ToAddress = Annotated[
    UUID | None, QueryParameter(name="address_id", description="按哪个地址计算邮费；缺省为默认地址", required=False)
]
PersonId = Annotated[UUID | None, Meta(description="办理人；缺省为本人，只能是可代办的人")]


class WishIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How it shall come: by post to an address, or to a counter."""

    method: Annotated[Method, Meta(description="post 邮寄（填 address_id），pickup 到窗口领取（填 pickup_point_id）")]
    address_id: UUID | None = None
    pickup_point_id: UUID | None = None
    collect: Annotated[bool, Meta(description="邮费由居民承担时，改为到付")] = False

    def wish(self) -> DeliveryChoice:
        """What the use case takes."""
        return DeliveryChoice(
            method=self.method,
            address_id=self.address_id,
            pickup_point_id=self.pickup_point_id,
            collect=self.collect,
        )


class ChoiceIn(WishIn, forbid_unknown_fields=True, kw_only=True):
    """A choice, for the resident or a principal."""

    person_id: PersonId = None


class DocumentsIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Documents are sent in from this address."""

    address_id: UUID
    person_id: PersonId = None


class CaseDeliveryController(Controller):
    """`/v1/resident/cases/{number}/…`."""

    path = "/cases/{number:str}"
    tags = ["寄送"]

    @get(
        "/delivery-options",
        summary="办件结果可选的领取方式与邮费",
        operation_id="listDeliveryOptions",
        responses=answers(CaseNotFound, DeliveryReceiverNotFound, AddressNotFound, DeliveryNotOffered),
    )
    async def offered(
        self,
        resident: NamedDependency[AsResident],
        number: FromPath[str],
        person_id: FromQuery[OfPerson] = None,
        address_id: FromQuery[ToAddress] = None,
    ) -> DeliveryOptions:
        return await list_delivery_options(resident, number, person_id=person_id, address_id=address_id)

    @post(
        "/deliveries",
        summary="选择领取方式：邮寄到家或到窗口领取",
        description=(
            "办结前后均可选择，办结后自动寄出。邮费由居民在线支付时，`fee_id` 为该笔费用，支付后才寄出。"
            "地址会复制保存，之后修改地址簿不影响本次寄送。"
        ),
        operation_id="chooseDelivery",
        responses=answers(
            *IDEMPOTENCY_ERRORS,
            DeliveryReceiverNotFound,
            deliveries.choose_delivery,
        ),
    )
    @idempotent()
    async def choose(
        self,
        resident: NamedDependency[AsResident],
        number: FromPath[str],
        data: JSONBody[ChoiceIn],
    ) -> DeliveryDetail:
        person = await acting.person_for(resident, data.person_id)
        return await resident_views.get_own_delivery(
            resident, (await deliveries.choose_delivery(person, number, data.wish())).number
        )

    @post(
        "/documents",
        summary="寄送材料给办理部门",
        description="登记后可自行交寄并填写运单号，或在线预约快递上门取件；`office` 为收件地址。",
        operation_id="sendDocuments",
        responses=answers(
            *IDEMPOTENCY_ERRORS,
            sending_in.begin_sending_in,
        ),
    )
    @idempotent()
    async def send_in(
        self,
        resident: NamedDependency[AsResident],
        number: FromPath[str],
        data: JSONBody[DocumentsIn],
    ) -> DeliveryDetail:
        begun = await sending_in.begin_sending_in(resident, number, data.address_id, data.person_id)
        return await resident_views.get_own_delivery(resident, begun.number)


_DELIVERY = {"parameters": {"number": "$response.body#/number"}}
openapi.LINKS |= {
    "getCase": {
        **openapi.LINKS.get("getCase", {}),
        **{
            name: {"operationId": operation, "parameters": {"number": "$response.body#/number"}}
            for name, operation in (
                ("deliveryOptions", "listDeliveryOptions"),
                ("delivery", "chooseDelivery"),
                ("documents", "sendDocuments"),
            )
        },
    },
    "chooseDelivery": {
        "follow": {"operationId": "getDelivery", **_DELIVERY},
        "change": {"operationId": "changeDelivery", **_DELIVERY},
        "cancel": {"operationId": "cancelDelivery", **_DELIVERY},
        "pay": {"operationId": "pay", "requestBody": {"fee_id": "$response.body#/fee_id"}},
    },
    "sendDocuments": {
        "follow": {"operationId": "getDelivery", **_DELIVERY},
        "waybill": {"operationId": "enterOwnWaybill", **_DELIVERY},
        "courier": {"operationId": "orderOwnCourier", **_DELIVERY},
    },
}
