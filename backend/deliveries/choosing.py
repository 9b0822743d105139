"""How the resident wants it: by post to one of their addresses, or at a counter; changed and cancelled until picked up.

A delivery knows a subject (kind, id), never what it is. Whoever stands behind the subject says what may be chosen
(`Offer`); see subjects.py for what they tell of it later. The address is copied and sealed: a later change of the
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
from backend.deliveries import moving, numbering, ordering, postage
from backend.deliveries.errors import (
    AddressNotFound,
    DeliveryAlreadyChosen,
    DeliveryNotOffered,
    PickupPointNotFound,
)
from backend.deliveries.events import DeliveryChanged, DeliveryChosen
from backend.deliveries.lifecycle import Move, after
from backend.deliveries.moving import Standing
from backend.deliveries.postage import Charged
from backend.errors import Fault
from backend.events import record
from backend.identity.principals import AsResident
from backend.partners.courier.port import Ordering
from models.deliveries import DeliveryState, Direction, Method, Postage

CHANGED = "收件信息已变更"


class Offer(Struct, frozen=True, kw_only=True):
    """What may be chosen for a subject, as whoever stands behind it says."""

    subject_kind: str
    subject_id: UUID
    contents: str
    methods: frozenset[Method]
    department_id: UUID | None = None
    hall_id: UUID | None = None
    """In which hall it is given out, where one is known: from there it is sent."""
    charged: Charged | None = None
    """What the guide charges for posting."""
    ready: bool = False
    """Whether what is in it exists already."""
    direction: Direction = Direction.TO_RESIDENT


class Wish(Struct, frozen=True, kw_only=True):
    """What the resident chooses: POST with an address of theirs, PICKUP with a counter."""

    method: Method
    address_id: UUID | None = None
    pickup_point_id: UUID | None = None
    collect: bool = False
    """Rather pay the courier at the door, where the resident pays at all."""


class _Goal(Struct, frozen=True, kw_only=True):
    """Where it goes: what a wish comes to. Texts are plain here and are sealed for one row only."""

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
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 'free', 0, $17, 'waiting', $2, 1, 0)
ON CONFLICT DO NOTHING RETURNING id
"""
_REDIRECT = """
UPDATE deliveries SET method = $2, name = $3, phone = $4, region_code = $5, street = $6, pickup_point_id = $7,
    pickup_code_fingerprint = NULL, kept_until = NULL, reminded_days = NULL, refusals = 0, version = version + 1
WHERE id = $1
"""


async def choose(resident: AsResident, offer: Offer, wish: Wish) -> Standing:
    """Begin a delivery for the subject; the delivery. It waits for its contents and its postage, or is to be sent.

    Raises DeliveryNotOffered, AddressNotFound, PickupPointNotFound; DeliveryAlreadyChosen while one is under way.
    """
    goal = await _goal(resident, offer.methods, wish)
    identity, now = uuid7(), clock.now()
    async with transaction():
        made = await fetch_value(
            _INSERT, identity, now, numbering.delivery_number(), offer.subject_kind, offer.subject_id,
            offer.direction.value, goal.method.value, resident.id, offer.department_id, offer.hall_id,
            offer.contents[:200], *_sealed(goal, identity), goal.pickup_point_id, now if offer.ready else None,
        )  # fmt: skip
        if made is None:
            raise DeliveryAlreadyChosen
        await moving.note(identity, None, DeliveryState.WAITING.value, "chosen")
        standing = await moving.locked(identity)
        await _charge(standing, offer.charged, collect=wish.collect)
        await record(
            DeliveryChosen(
                delivery_id=identity,
                resident_id=resident.id,
                subject_kind=offer.subject_kind,
                subject_id=offer.subject_id,
                method=goal.method.value,
                direction=offer.direction.value,
                postage=standing.postage.value,
            )
        )
        await postage.go_on(standing, "chosen")
    return standing


async def change(
    resident: AsResident, which: UUID | str, offer: Offer, wish: Wish, *, couriers: Mapping[str, Ordering]
) -> Standing:
    """Another address or another way, until the courier has it; the delivery.

    When it was ordered already, that order is taken back at the courier and, for another address, made anew as the
    next attempt. Raises DeliveryNotFound, what `choose` raises about the wish, DeliveryAddressFixed when it is too
    late, CourierOrderInProgress while we wait for the courier's answer, DeliveryTransitionRefused, PartnerBusy,
    PartnerUnreachable.
    """
    goal = await _goal(resident, offer.methods, wish)
    before = await moving.seen(which, owner=resident.id)
    undone = await ordering.undo_at_courier(before, couriers=couriers)
    async with transaction():
        standing = await moving.locked(before.id, owner=resident.id)
        if undone is not None:
            await ordering.undone(standing, undone, CHANGED)
        await ordering.refuse_while_ordering(standing)
        await _redirect(standing, offer, goal, wish)
        await postage.go_on(standing, "changed")
        courier = couriers.get(undone.courier) if undone is not None and standing.method is Method.POST else None
        if courier is not None and standing.state is DeliveryState.TO_SEND:
            await ordering.begin(standing, courier)
    return standing


async def _redirect(standing: Standing, offer: Offer, goal: _Goal, wish: Wish) -> None:
    state = after(standing.state, Move.CHANGE)
    await execute(_REDIRECT, standing.id, goal.method.value, *_sealed(goal, standing.id), goal.pickup_point_id)
    standing.method, standing.region_code = goal.method, goal.region_code
    standing.pickup_point_id, standing.version = goal.pickup_point_id, standing.version + 1
    if state is not standing.state:
        await moving.move(standing, Move.CHANGE, "changed")
    await _charge(standing, offer.charged, collect=wish.collect)
    if standing.state is DeliveryState.TO_SEND and not await postage.is_settled(standing):
        await moving.move(standing, Move.AWAIT, "postage")
    await record(DeliveryChanged(delivery_id=standing.id, resident_id=standing.resident_id, method=goal.method.value))


async def _charge(standing: Standing, charged: Charged | None, *, collect: bool) -> None:
    if standing.method is Method.POST and standing.direction is Direction.TO_RESIDENT:
        region = standing.region_code or ""
        quoted = await postage.quote(charged, standing.department_id, region, collect=collect)
    else:
        quoted = postage.Quote(postage=Postage.FREE if standing.method is Method.PICKUP else Postage.COLLECT)
    await postage.charge(standing, quoted)


async def _goal(resident: AsResident, methods: frozenset[Method], wish: Wish) -> _Goal:
    if wish.method not in methods:
        raise DeliveryNotOffered(fields=[Fault("/method", "该事项不提供这种领取方式")])
    if wish.method is Method.PICKUP:
        if wish.pickup_point_id is None or not await fetch_value(_COUNTER, wish.pickup_point_id):
            raise PickupPointNotFound
        return _Goal(method=Method.PICKUP, pickup_point_id=wish.pickup_point_id)
    row = await fetch_row(_ADDRESS, wish.address_id, resident.id)
    if row is None:
        raise AddressNotFound
    name, phone, street = (_opened(row, column) for column in ("name", "phone", "street"))
    return _Goal(method=Method.POST, name=name, phone=phone, region_code=row["region_code"], street=street)


def _opened(row: asyncpg.Record, column: str) -> str:
    return open_sealed(row[column], where=f"addresses.{column}", row=row["id"])


def _sealed(goal: _Goal, delivery_id: UUID) -> tuple[str | None, str | None, str | None, str | None]:
    """Name, phone, region and street as the row takes them."""
    if goal.name is None or goal.phone is None or goal.street is None:
        return None, None, None, None
    name, phone, street = (
        seal(value, where=f"deliveries.{column}", row=delivery_id)
        for column, value in (("name", goal.name), ("phone", goal.phone), ("street", goal.street))
    )
    return name, phone, goal.region_code, street
