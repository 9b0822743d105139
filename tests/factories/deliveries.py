"""Addresses, deliveries, parcels and their nodes, straight into the tables: a test needs the state only."""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import open_sealed, seal
from backend.database import fetch, fetch_row, fetch_value, transaction
from backend.deliveries import numbering, transitions
from backend.identity.principals import AsResident
from backend.partners.courier.port import Node
from models.deliveries import (
    Address,
    Delivery,
    DeliveryProblem,
    DeliveryState,
    Direction,
    Method,
    PickupPoint,
    Postage,
    ProblemKind,
)
from models.shipments import Shipment, TrackStatus
from tests.factories.appointments import somebody
from tests.factories.regions import a_region

NAME, PHONE, STREET = "田秀英", "13800138000", "人民大街1号2栋3单元404"
NO_SHIPMENT = {DeliveryState.WAITING, DeliveryState.TO_SEND, DeliveryState.CANCELLED}

_numbers = itertools.count(1)


def a_waybill() -> str:
    """A number that no other call gives, in the form of EMS."""
    return f"EA{next(_numbers):09d}CN"


async def an_address(resident: AsResident | None = None, **changes: Any) -> Address:
    """An address of the resident, or of a new one; `name`, `phone` and `street` are given in plain text."""
    resident = resident or await somebody()
    identity: UUID = changes.pop("id", None) or uuid7()
    if "region_code" not in changes:
        changes["region_code"] = (await a_region()).code
    plain = {"name": NAME, "phone": PHONE, "street": STREET}
    plain |= {name: changes.pop(name) for name in plain if name in changes}
    sealed = {name: seal(value, where=f"addresses.{name}", row=identity) for name, value in plain.items()}
    return await Address.create(id=identity, resident_id=resident.id, **sealed, **changes)


async def a_pickup_point(**changes: Any) -> PickupPoint:
    """A counter that is open on working days from nine to five."""
    values: dict[str, Any] = {
        "code": f"point-{next(_numbers)}",
        "name": "政务服务中心出件窗口",
        "department_id": uuid7(),
        "address": "测试路1号一楼",
        "phone": "0100000000",
        "hours": [{"days": [1, 2, 3, 4, 5], "opens": "09:00", "closes": "17:00"}],
        **changes,
    }
    if "region_code" not in values:
        values["region_code"] = (await a_region()).code
    return await PickupPoint.create(**values)


async def a_delivery(resident: AsResident | None = None, **changes: Any) -> Delivery:
    """A certificate that lies ready to be posted (POST, TO_SEND, paid by the office).

    `name`, `phone` and `street` are given in plain text. With `method=Method.PICKUP` it waits for a pickup point of its
    own unless `pickup_point` is given.
    """
    identity, now = changes.pop("id", None) or uuid7(), clock.now()
    method = changes.get("method", Method.POST)
    plain: dict[str, Any] = {}
    if method is Method.POST:
        plain = {"name": NAME, "phone": PHONE, "street": STREET}
        plain |= {name: changes.pop(name) for name in tuple(plain) if name in changes}
        plain = {name: seal(value, where=f"deliveries.{name}", row=identity) for name, value in plain.items()}
        if "region_code" not in changes:
            plain["region_code"] = (await a_region()).code
    elif "pickup_point" not in changes:
        plain["pickup_point"] = await a_pickup_point()
    values: dict[str, Any] = {
        "number": numbering.delivery_number(),
        "subject_kind": "case",
        "subject_id": uuid7(),
        "direction": Direction.TO_RESIDENT,
        "method": method,
        "department_id": uuid7(),
        "contents": "居住证",
        "postage": Postage.OFFICE,
        "state": DeliveryState.TO_SEND,
        "state_at": now,
        **plain,
        **changes,
    }
    if "resident_id" not in values:
        values["resident_id"] = (resident or await somebody()).id
    if "ready_at" not in values and values["state"] is not DeliveryState.WAITING:
        values["ready_at"] = now
    async with transaction():
        delivery = await Delivery.create(id=identity, **values)
        await transitions.record_step(delivery.id, None, delivery.state.value, "chosen")
    return delivery


async def a_shipment(delivery: Delivery | None = None, **changes: Any) -> Shipment:
    """A parcel that was ordered an hour ago at EMS and is tracked by kuaidi100, of a delivery in the same state.

    `delivery_changes` go into the delivery that is made for it.
    """
    now = clock.now()
    state = changes.get("state", DeliveryState.ORDERED)
    of_delivery = changes.pop("delivery_changes", {})
    delivery = delivery or await a_delivery(**{"state": state, **of_delivery})
    attempt = changes.get("attempt", 1)
    values: dict[str, Any] = {
        "number": numbering.shipment_number(delivery.number, attempt),
        "attempt": attempt,
        "courier": "ems",
        "tracker": "kuaidi100",
        "company": "ems",
        "waybill": a_waybill(),
        "phone_tail": PHONE[-4:],
        "state": state,
        "state_at": now,
        "ordered_at": now - timedelta(hours=1),
        **changes,
    }
    return await Shipment.create(delivery=delivery, **values)


def a_node(status: str = "in_transit", minutes: float = 0, **changes: Any) -> Node:
    """A node so many minutes after (before, when negative) the present, in words that go with its status."""
    status = TrackStatus(status).value
    values: dict[str, Any] = {
        "raw_code": status,
        "raw_text": f"【长春市】快件{status}，联系电话13900000000",
        "event_at": clock.now().replace(microsecond=0) + timedelta(minutes=minutes),
        "place": "长春市",
        **changes,
    }
    return Node(status=status, **values)


async def a_problem(delivery: Delivery | None = None, **changes: Any) -> DeliveryProblem:
    """Something that the resident has reported about a delivery an hour ago, in plain `text`."""
    identity = changes.pop("id", None) or uuid7()
    text: str | None = changes.pop("text", "显示已签收，但是没有收到")
    values: dict[str, Any] = {
        "kind": ProblemKind.REPORTED,
        "text": seal(text, where="delivery_problems.text", row=identity) if text is not None else None,
        "found_at": clock.now() - timedelta(hours=1),
        **changes,
    }
    return await DeliveryProblem.create(id=identity, delivery=delivery or await a_delivery(), **values)


def a_signature(*, drawn: bool = True, width: int = 80, height: int = 50) -> str:
    """A PNG in base64 with a drawn wave, or with nothing."""
    rows = [bytearray([255] * width) for _ in range(height)]
    for x in range(6, width - 6) if drawn else ():
        rows[int(height / 2 + 15 * math.sin(x / 7))][x] = 0
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(a_chunk(*each) for each in chunks)).decode()


def a_chunk(name: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


async def delivery_state(delivery_id: UUID) -> str:
    """Where the delivery stands now."""
    return str(await fetch_value("SELECT state FROM deliveries WHERE id = $1", delivery_id))


async def moves_of(delivery_id: UUID) -> list[str]:
    """The states that a delivery went through, in order."""
    rows = await fetch("SELECT to_state FROM delivery_transitions WHERE delivery_id = $1 ORDER BY id", delivery_id)
    return [row["to_state"] for row in rows]


async def recorded_states(delivery_id: UUID) -> list[str]:
    """The states that were recorded as DeliveryStateChanged, in order."""
    rows = await fetch(
        "SELECT payload::json->>'to_state' AS state FROM events WHERE name = 'delivery.state-changed' "
        "AND subject_id = $1 ORDER BY id",
        delivery_id,
    )
    return [row["state"] for row in rows]


async def problems_of(delivery_id: UUID) -> list[tuple[str, datetime | None]]:
    """Kind and end of the delivery's problems, in order."""
    rows = await fetch("SELECT kind, ended_at FROM delivery_problems WHERE delivery_id = $1 ORDER BY id", delivery_id)
    return [(row["kind"], row["ended_at"]) for row in rows]


async def address_of(delivery_id: UUID) -> dict[str, str]:
    """To whom the delivery goes, opened."""
    row = await fetch_row("SELECT id, name, phone, street FROM deliveries WHERE id = $1", delivery_id)
    assert row is not None
    return {
        name: open_sealed(row[name], where=f"deliveries.{name}", row=row["id"]) for name in ("name", "phone", "street")
    }
