"""WeChat's own view of a parcel: its events enter the timeline, its component needs an order that was paid there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from uuid_utils.compat import uuid7

from backend import clock
from backend.callbacks import WechatPushed
from backend.callbacks.inbound import SEALED
from backend.crypto import fingerprint, seal
from backend.database import execute, fetch_value, transaction
from backend.deliveries import tracing
from backend.deliveries.errors import DeliveryNotFound, TraceNotOffered
from backend.events import EventMeta
from backend.partners import Partners, equip
from backend.partners.courier.port import CourierPushInvalid, Track
from backend.partners.wechat.port import Push, TracedWaybill
from backend.settings import using
from models.deliveries import DeliveryState, Postage
from models.payments import Channel
from models.shipments import Shipment
from tests.factories.appointments import somebody
from tests.factories.deliveries import PHONE, a_delivery, a_node, a_shipment, delivery_state
from tests.factories.identity import a_resident, an_openid
from tests.factories.payments import a_fee, a_paid_payment

PICTURE = "https://zhangban.example/parcel.png"


class AWeChat:
    """As much of the port as parcels need."""

    def __init__(self, track: Track | None = None) -> None:
        self.track, self.traced = track, list[TracedWaybill]()

    def parcel_path(self, push: Push) -> Track:
        if self.track is None:
            raise CourierPushInvalid("another shape")
        return self.track

    async def trace_waybill(self, parcel: TracedWaybill) -> str:
        self.traced.append(parcel)
        return "token-1"


async def a_push(name: str = tracing.EVENT) -> WechatPushed:
    """WeChat pushed this and we keep it."""
    message_id, openid = uuid7(), an_openid()
    push = Push(
        account="mini_program", identity=str(message_id), to_user="gh_1", openid=openid, created_at=1, kind="event",
        event=name, content={}, nonce="n", encrypted=True,
    )  # fmt: skip
    sealed = seal(msgspec.json.encode(push).decode(), where=SEALED, row=message_id)
    await execute(
        "INSERT INTO inbound_messages (id, created_at, partner, partner_id, event, body, state, received_at) "
        "VALUES ($1, now(), 'wechat', $2, $3, $4, 'received', now())",
        message_id,
        str(message_id),
        name,
        sealed,
    )
    return WechatPushed(
        message_id=message_id,
        account="mini_program",
        kind="event",
        name=name,
        openid_fingerprint=fingerprint(openid, "openid"),
    )


async def handle_push(event: WechatPushed, wechat: AWeChat) -> None:
    equip(Partners(wechat=wechat, sms=None, wire=None))  # type: ignore[arg-type]
    try:
        async with transaction():
            await tracing.apply_wechat_push(event, EventMeta(uuid7(), clock.now(), "partner", "wechat", "-"))
    finally:
        equip(None)


def path_of(shipment: Shipment, *statuses: str) -> AWeChat:
    nodes = tuple(a_node(status, -9 + n) for n, status in enumerate(statuses))
    return AWeChat(Track(waybill=str(shipment.waybill), company="ems", nodes=nodes, complete=False))


async def test_wechats_events_move_the_parcel():
    shipment = await a_shipment()

    await handle_push(await a_push(), path_of(shipment, "collected", "delivered"))

    assert await delivery_state(shipment.delivery_id) == "signed"
    assert await fetch_value("SELECT source FROM shipment_nodes LIMIT 1") == "wechat"


async def test_other_events_and_unreadable_ones_are_left_alone():
    shipment = await a_shipment()

    await handle_push(await a_push("subscribe_msg_popup_event"), path_of(shipment, "delivered"))
    await handle_push(await a_push(), AWeChat())
    forgotten = await a_push()
    await execute("DELETE FROM inbound_messages")
    await handle_push(forgotten, path_of(shipment, "delivered"))

    assert await delivery_state(shipment.delivery_id) == "ordered"


async def a_paid_parcel(**changes: Any) -> tuple[Any, Shipment]:
    """A resident who has paid the postage of their parcel in WeChat."""
    resident = await a_resident()
    delivery = await a_delivery(resident, state=DeliveryState.ORDERED, postage=Postage.RESIDENT, postage_fen=900)
    fee = await a_fee(subject_kind="delivery", subject_id=delivery.id, resident_id=resident.id, charge_ref="postage")
    await a_paid_payment(fee, resident_id=resident.id, **changes)
    return resident, await a_shipment(delivery)


async def test_the_component_gets_a_token_for_a_parcel_that_was_paid_in_wechat():
    resident, shipment = await a_paid_parcel()
    wechat = AWeChat()

    with using(trace_picture=PICTURE):
        token = await tracing.get_trace_token(resident, (await shipment.delivery).number, wechat=wechat)  # type: ignore[arg-type]

    assert token == "token-1"
    [parcel] = wechat.traced
    assert (parcel.waybill, parcel.company, parcel.receiver_phone) == (shipment.waybill, "ems", PHONE)
    assert parcel.transaction == await fetch_value("SELECT transaction_id FROM payments")
    assert [(each.name, each.image) for each in parcel.goods] == [("居住证", PICTURE)]


async def test_the_fee_of_the_case_counts_as_well():
    resident = await a_resident()
    delivery = await a_delivery(resident, state=DeliveryState.ORDERED)
    fee = await a_fee(subject_id=delivery.subject_id, resident_id=resident.id)
    await a_paid_payment(fee, resident_id=resident.id)
    await a_shipment(delivery)

    with using(trace_picture=PICTURE):
        assert await tracing.get_trace_token(resident, delivery.id, wechat=AWeChat()) == "token-1"  # type: ignore[arg-type]


async def test_without_a_paid_order_a_parcel_or_a_picture_there_is_no_component():
    resident, shipment = await a_paid_parcel(channel=Channel.ALIPAY)
    paid, unsent = await a_paid_parcel()
    await execute("DELETE FROM shipments WHERE id = $1", unsent.id)
    cases = [(resident, shipment, PICTURE), (paid, unsent, PICTURE), (*await a_paid_parcel(), "")]

    for who, which, picture in cases:
        with using(trace_picture=picture), pytest.raises(TraceNotOffered):
            await tracing.get_trace_token(who, which.delivery_id, wechat=AWeChat())  # type: ignore[attr-defined,arg-type]


async def test_another_residents_parcel_is_not_found():
    _, shipment = await a_paid_parcel()

    with pytest.raises(DeliveryNotFound):
        await tracing.get_trace_token(await somebody(), shipment.delivery_id, wechat=AWeChat())  # type: ignore[attr-defined,arg-type]
