"""Choosing a delivery: by post to an address of the resident, or at a counter; changeable until the courier has it.

A delivery knows a subject (kind, id), never what it is. The domain of the subject states what may be chosen
(`Offer`); its later reports are in subject_deliveries.py. The address is copied and sealed: a later change of the
resident's address book does not redirect a parcel.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import asyncpg
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import open_sealed, seal
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.deliveries import numbering, ordering, postage, transitions
from backend.deliveries.errors import (
    AddressNotFound,
    DeliveryAlreadyChosen,
    DeliveryNotOffered,
    PickupPointNotFound,
)
from backend.deliveries.events import DeliveryChanged, DeliveryChosen
from backend.deliveries.lifecycle import DELIVERIES, Transition
from backend.deliveries.postage import PostageCharge
from backend.deliveries.transitions import DeliveryRow
from backend.errors import Fault
from backend.events import record
from backend.identity import AsResident
from backend.partners.courier.port import Ordering
from backend.sql import named
from models.deliveries import DeliveryState, Direction, Method, Postage

CHANGED = "收件信息已变更"


class DeliveryOffer(Struct, frozen=True, kw_only=True):
    """What may be chosen for a subject, as the subject's domain states it."""

    subject_kind: str
    subject_id: UUID
    contents: str
    methods: frozenset[Method]
    department_id: UUID | None = None
    hall_id: UUID | None = None
    """The hall that gives it out, where the guide names one: from there it is sent."""
    charge: PostageCharge | None = None
    """What the guide charges for posting."""
    ready: bool = False
    """Whether its contents exist already."""
    direction: Direction = Direction.TO_RESIDENT


class DeliveryChoice(Struct, frozen=True, kw_only=True):
    """What the resident chooses: POST with one of their addresses, PICKUP with a counter."""

    method: Method
    address_id: UUID | None = None
    pickup_point_id: UUID | None = None
    collect: bool = False
    """Whether to pay the courier at the door, where the resident pays at all."""


class _Destination(Struct, frozen=True, kw_only=True):
    """Where a choice sends it. Texts are plain here and are sealed for one row only."""

    method: Method
    name: str | None = None
    phone: str | None = None
    region_code: str | None = None
    street: str | None = None
    pickup_point_id: UUID | None = None


_ADDRESS = """
SELECT id, name, phone, region_code, street FROM addresses WHERE id = $1 AND resident_id = $2 AND removed_at IS NULL
"""
_COUNTER = "SELECT 1 FROM pickup_points WHERE id = $1 AND closed_at IS NULL"
_INSERT = """
INSERT INTO deliveries (id, created_at, number, subject_kind, subject_id, direction, method, resident_id, department_id,
    hall_id, contents, name, phone, region_code, street, pickup_point_id, postage, postage_fen, ready_at, state,
    state_at, version, refusals)
VALUES (:id, :now, :number, :subject_kind, :subject_id, :direction, :method, :resident_id, :department_id, :hall_id,
    :contents, :name, :phone, :region_code, :street, :pickup_point_id, 'free', 0, :ready_at, 'waiting', :now, 1, 0)
ON CONFLICT DO NOTHING RETURNING id
"""
_REDIRECT = """
UPDATE deliveries SET method = $2, name = $3, phone = $4, region_code = $5, street = $6, pickup_point_id = $7,
    pickup_code_fingerprint = NULL, kept_until = NULL, reminded_days = NULL, refusals = 0, version = version + 1
WHERE id = $1
"""


async def choose_delivery(resident: AsResident, offer: DeliveryOffer, choice: DeliveryChoice) -> DeliveryRow:
    """Begin a delivery for the subject and return it. It waits for its contents and its postage, or is to be sent.

    Raises DeliveryNotOffered, AddressNotFound, PickupPointNotFound; DeliveryAlreadyChosen while one is under way.
    """
    destination = await _destination(resident, offer.methods, choice)
    identity, now = uuid7(), clock.now()
    async with transaction():
        values = {
            "id": identity,
            "now": now,
            "number": numbering.delivery_number(),
            "subject_kind": offer.subject_kind,
            "subject_id": offer.subject_id,
            "direction": offer.direction.value,
            "method": destination.method.value,
            "resident_id": resident.id,
            "department_id": offer.department_id,
            "hall_id": offer.hall_id,
            "contents": offer.contents[:200],
            "pickup_point_id": destination.pickup_point_id,
            "ready_at": now if offer.ready else None,
            **dict(zip(("name", "phone", "region_code", "street"), _sealed(destination, identity), strict=True)),
        }
        made = await fetch_value(*named(_INSERT, values))
        if made is None:
            raise DeliveryAlreadyChosen
        await transitions.record_step(identity, None, DeliveryState.WAITING.value, "chosen")
        delivery = await transitions.lock_row(identity)
        await _charge(delivery, offer.charge, collect=choice.collect)
        await record(
            DeliveryChosen(
                delivery_id=identity,
                resident_id=resident.id,
                subject_kind=offer.subject_kind,
                subject_id=offer.subject_id,
                method=destination.method.value,
                direction=offer.direction.value,
                postage=delivery.postage.value,
            )
        )
        await postage.proceed(delivery, "chosen")
    return delivery


async def change_delivery(
    resident: AsResident,
    which: UUID | str,
    offer: DeliveryOffer,
    choice: DeliveryChoice,
    *,
    couriers: Mapping[str, Ordering],
) -> DeliveryRow:
    """Change the address or the method of a delivery, until the courier has the parcel; return the delivery.

    An existing order is cancelled at the courier and, for another address, placed again as the next attempt. Raises
    DeliveryNotFound, what `choose_delivery` raises about the choice, DeliveryAddressFixed when it is too late,
    CourierOrderInProgress while the courier has not answered, DeliveryTransitionRefused, PartnerBusy,
    PartnerUnreachable.
    """
    destination = await _destination(resident, offer.methods, choice)
    before = await transitions.get_row(which, owner=resident.id)
    cancelled = await ordering.cancel_at_courier(before, couriers=couriers)
    async with transaction():
        delivery = await transitions.lock_row(before.id, owner=resident.id)
        if cancelled is not None:
            await ordering.apply_cancelled(delivery, cancelled, CHANGED)
        await ordering.refuse_while_ordering(delivery)
        await _redirect(delivery, offer, destination, choice)
        await postage.proceed(delivery, "changed")
        courier = couriers.get(cancelled.courier) if cancelled is not None and delivery.method is Method.POST else None
        if courier is not None and delivery.state is DeliveryState.TO_SEND:
            await ordering.begin_order(delivery, courier)
    return delivery


async def _redirect(
    delivery: DeliveryRow, offer: DeliveryOffer, destination: _Destination, choice: DeliveryChoice
) -> None:
    state = DELIVERIES.after(delivery.state, Transition.CHANGE)
    await execute(
        _REDIRECT,
        delivery.id,
        destination.method.value,
        *_sealed(destination, delivery.id),
        destination.pickup_point_id,
    )
    delivery.method, delivery.region_code = destination.method, destination.region_code
    delivery.pickup_point_id, delivery.version = destination.pickup_point_id, delivery.version + 1
    if state is not delivery.state:
        await transitions.apply_transition(delivery, Transition.CHANGE, "changed")
    await _charge(delivery, offer.charge, collect=choice.collect)
    if delivery.state is DeliveryState.TO_SEND and not await postage.is_settled(delivery):
        await transitions.apply_transition(delivery, Transition.AWAIT, "postage")
    await record(
        DeliveryChanged(delivery_id=delivery.id, resident_id=delivery.resident_id, method=destination.method.value)
    )


async def _charge(delivery: DeliveryRow, charge: PostageCharge | None, *, collect: bool) -> None:
    if delivery.method is Method.POST and delivery.direction is Direction.TO_RESIDENT:
        region = delivery.region_code or ""
        quoted = await postage.quote_postage(charge, delivery.department_id, region, collect=collect)
    else:
        quoted = postage.Quote(postage=Postage.FREE if delivery.method is Method.PICKUP else Postage.COLLECT)
    await postage.charge_postage(delivery, quoted)


async def _destination(resident: AsResident, methods: frozenset[Method], choice: DeliveryChoice) -> _Destination:
    if choice.method not in methods:
        raise DeliveryNotOffered(fields=[Fault("/method", "该事项不提供这种领取方式")])
    if choice.method is Method.PICKUP:
        if choice.pickup_point_id is None or not await fetch_value(_COUNTER, choice.pickup_point_id):
            raise PickupPointNotFound
        return _Destination(method=Method.PICKUP, pickup_point_id=choice.pickup_point_id)
    row = await fetch_row(_ADDRESS, choice.address_id, resident.id)
    if row is None:
        raise AddressNotFound
    name, phone, street = (_opened(row, column) for column in ("name", "phone", "street"))
    return _Destination(method=Method.POST, name=name, phone=phone, region_code=row["region_code"], street=street)


def _opened(row: asyncpg.Record, column: str) -> str:
    return open_sealed(row[column], where=f"addresses.{column}", row=row["id"])


def _sealed(destination: _Destination, delivery_id: UUID) -> tuple[str | None, str | None, str | None, str | None]:
    """Name, phone, region and street as the row stores them."""
    if destination.name is None or destination.phone is None or destination.street is None:
        return None, None, None, None
    name, phone, street = (
        seal(value, where=f"deliveries.{column}", row=delivery_id)
        for column, value in (("name", destination.name), ("phone", destination.phone), ("street", destination.street))
    )
    return name, phone, destination.region_code, street
