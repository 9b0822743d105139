"""The timeline of a delivery: steps of the office and nodes of couriers, in the order of their time.

Steps that only repeat a courier's node are left out: the node is more precise. The owner reads a courier's text as it
came; for all other readers every phone number in it is masked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct

from backend.crypto import mask_phone, open_sealed
from backend.database import fetch
from backend.deliveries import region_codes
from backend.deliveries.naming import SOURCE_NAMES, STATUS_NAMES, state_name
from backend.deliveries.receiving import CONFIRMED
from backend.deliveries.returning import RECEIVED
from backend.deliveries.tracking import QUERIED
from models.deliveries import DeliveryState as D
from models.deliveries import Direction
from models.shipments import TrackStatus as T

FROM_NODES = frozenset(
    {D.PICKED_UP, D.IN_TRANSIT, D.OUT_FOR_DELIVERY, D.AT_STATION, D.SIGNED, D.RETURNING, D.RETURNED, D.LOST}
)
STATED_BY_PEOPLE: Mapping[str, str] = {CONFIRMED: "居民确认已收到", RECEIVED: "办理部门确认已收到"}
"""Causes of steps that a person stated, not a courier."""
UNCONFIRMED = "（待快递公司核实）"
CLOSE = frozenset({T.OUT_FOR_DELIVERY, T.AT_STATION, T.DELIVERY_FAILED})
"""Nodes whose text names the phone to call."""
_PHONE = re.compile(r"(?<![0-9A-Za-z])(?:(?:\+?86[- ]?)?1[3-9]\d{9}|0\d{2,3}-?\d{7,8}|[48]00-?\d{3}-?\d{4})(?![0-9])")

_MOVES = """
SELECT from_state, to_state, at, cause FROM delivery_transitions WHERE delivery_id = $1 ORDER BY id
"""
_NODES = """
SELECT n.id, n.source, n.status, n.raw_code, n.raw_text, n.place, n.region_code, n.event_at, n.verified, n.late,
       s.number, s.waybill, s.company
FROM shipment_nodes n JOIN shipments s ON s.id = n.shipment_id WHERE s.delivery_id = $1 ORDER BY n.event_at, n.id
"""


class TimelineStep(Struct, frozen=True, kw_only=True):
    """One step. `at` is when it happened, by the courier's clock where a courier reports it."""

    at: datetime
    kind: Literal["office", "courier"]
    code: str
    """A state of the delivery, or the status of a node (`arrived_city`)."""
    name: str
    text: str
    place: str
    region_code: str | None
    region: tuple[str, ...]
    """Names from the province down, for a map; empty when the courier gives no place."""
    source: str
    waybill: str | None
    late: bool
    """Whether it was reported after a node that lies further along."""
    verified: bool
    """False for an end (signed for, returned, lost) that the courier has not confirmed yet."""


class Timeline(Struct, frozen=True):
    """The steps, the oldest first, and the courier's phone for a parcel near the door."""

    steps: list[TimelineStep]
    courier_phone: str | None


async def get_timeline(
    delivery_id: UUID, direction: Direction, *, own: bool, receiver_phone: str | None = None
) -> Timeline:
    """Return the timeline for its owner (`own`) or for another reader, who reads no phone numbers."""
    moves, nodes = await fetch(_MOVES, delivery_id), await fetch(_NODES, delivery_id)
    names = await region_codes.region_names_of(row["region_code"] for row in nodes)
    reported = [_node_step(row, names, own=own) for row in nodes]
    steps = [_office_step(row, direction) for row in moves if _is_shown(row)]
    return Timeline(
        sorted([*steps, *reported], key=lambda step: step.at),
        courier_phone(nodes, besides=receiver_phone) if own else None,
    )


def mask_phones(text: str) -> str:
    """The text with every phone number in it masked."""
    return _PHONE.sub(lambda found: mask_phone(found[0]), text)


def courier_phone(nodes: Sequence[Mapping[str, Any]], *, besides: str | None = None) -> str | None:
    """Return the phone in the latest node near the door, other than the receiver's own."""
    for row in reversed(nodes):
        if T(row["status"]) in CLOSE:
            found = [each for each in _PHONE.findall(_opened(row)) if each != besides]
            if found:
                return str(found[-1])
    return None


def _is_shown(row: Mapping[str, Any]) -> bool:
    return D(row["to_state"]) not in FROM_NODES or row["cause"] in STATED_BY_PEOPLE


def _office_step(row: Mapping[str, Any], direction: Direction) -> TimelineStep:
    name = state_name(D(row["to_state"]), direction)
    return TimelineStep(
        at=row["at"],
        kind="office",
        code=row["to_state"],
        name=name,
        text=STATED_BY_PEOPLE.get(row["cause"], name),
        place="",
        region_code=None,
        region=(),
        source="",
        waybill=None,
        late=False,
        verified=True,
    )


def _node_step(row: Mapping[str, Any], names: Mapping[str, tuple[str, ...]], *, own: bool) -> TimelineStep:
    text, source = _opened(row), row["source"].removesuffix(QUERIED)
    status = T(row["status"])
    return TimelineStep(
        at=row["event_at"],
        kind="courier",
        code=status.value,
        name=STATUS_NAMES[status] + ("" if row["verified"] else UNCONFIRMED),
        text=text if own else mask_phones(text),
        place=row["place"],
        region_code=row["region_code"],
        region=names.get(row["region_code"] or "", ()),
        source=SOURCE_NAMES.get(source, source),
        waybill=row["waybill"],
        late=row["late"],
        verified=row["verified"],
    )


def _opened(row: Mapping[str, Any]) -> str:
    sealed: str = row["raw_text"]
    return open_sealed(sealed, where="shipment_nodes.raw_text", row=row["id"]) if sealed else ""
