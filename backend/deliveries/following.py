"""My parcels: one list, and one page per delivery with its timeline, where it goes, and what can be done now.

Whoever may act for somebody in deliveries sees theirs, too; the courier's phone is shown to the resident alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from backend.crypto import mask_name, mask_phone, open_sealed
from backend.database import fetch, fetch_row
from backend.deliveries import acting, parties, pickup_codes, pickup_points, placing, timeline
from backend.deliveries.errors import DeliveryNotFound, DeliveryOfficeInvalid
from backend.deliveries.lifecycle import MOVES, Move
from backend.deliveries.lines import Line, values_of
from backend.deliveries.naming import DIRECTION_NAMES, POSTAGE_NAMES, PROBLEM_NAMES
from backend.deliveries.pickup_points import PickupPointSeen
from backend.deliveries.receiving import NOTHING_TO_REPORT
from backend.deliveries.timeline import TimelineStep
from backend.identity.principals import AsResident
from backend.paging import USUAL, cursor_of, place_of
from backend.partners.courier.port import Party
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method, Postage, ProblemKind

_COLUMNS = """
SELECT d.id, d.number, d.subject_kind, d.subject_id, d.resident_id, d.direction, d.method, d.contents, d.state,
       d.state_at, d.postage, d.postage_fen, d.fee_id, d.confirmed_at, d.kept_until, d.version, d.department_id,
       d.hall_id, d.name, d.phone, d.region_code, d.street, d.pickup_point_id, d.pickup_code_fingerprint,
       s.company, s.waybill, s.number AS shipment_number, o.name AS office, g.code AS office_region,
       EXISTS (SELECT 1 FROM delivery_problems p WHERE p.delivery_id = d.id AND p.ended_at IS NULL) AS troubled
FROM deliveries d
LEFT JOIN LATERAL (SELECT company, waybill, number FROM shipments
                   WHERE delivery_id = d.id AND waybill IS NOT NULL ORDER BY attempt DESC LIMIT 1) s ON true
LEFT JOIN departments o ON o.id = d.department_id LEFT JOIN regions g ON g.id = o.region_id
"""
_MINE = (
    _COLUMNS
    + """
WHERE d.resident_id IN (SELECT people_of($1, 'deliveries')) AND ($2::text[] IS NULL OR d.state = ANY($2))
  AND ($3::uuid IS NULL OR d.resident_id = $3) AND ($4::uuid IS NULL OR d.id < $4)
ORDER BY d.id DESC LIMIT $5
"""
)
_ONE = _COLUMNS + " WHERE d.number = $2 AND d.resident_id IN (SELECT people_of($1, 'deliveries'))"
_PROBLEMS = """
SELECT kind, found_at, answer, ended_at FROM delivery_problems WHERE delivery_id = $1 ORDER BY id
"""


class DeliveryLine(Line, frozen=True, kw_only=True):
    """One delivery in the list. `person_id` is whose it is."""

    person_id: UUID
    direction_name: str
    company: str | None
    troubled: bool
    """Something is wrong with it that the office has not answered yet."""


class Place(Struct, frozen=True):
    """An end of the way, for a map: names from the province down."""

    name: str
    region_code: str | None
    region: tuple[str, ...]


class Receiver(Struct, frozen=True, kw_only=True):
    """Who is to get it; name and phone are masked for everybody but the resident."""

    name: str
    phone: str
    region_code: str
    region: tuple[str, ...]
    street: str


class ProblemFollowed(Struct, frozen=True, kw_only=True):
    """Something that was wrong, and what the office says about it."""

    kind: ProblemKind
    kind_name: str
    found_at: datetime
    answer: str | None
    ended_at: datetime | None


class DeliveryFollowed(DeliveryLine, frozen=True, kw_only=True):
    """One delivery as its resident sees it. `actions` are the buttons that make sense now."""

    postage: Postage
    postage_name: str
    postage_fen: int
    fee_id: UUID | None
    confirmed_at: datetime | None
    version: int
    origin: Place | None
    goal: Place | None
    receiver: Receiver | None
    office: Party | None
    """Where to send it, for what the resident sends in."""
    pickup_point: PickupPointSeen | None
    pickup_code: str | None
    """What whoever reads this says at the counter; it is theirs alone."""
    courier_phone: str | None
    steps: list[TimelineStep]
    problems: list[ProblemFollowed]
    actions: list[str]


async def mine(
    resident: AsResident,
    *,
    states: Sequence[D] | None = None,
    person_id: UUID | None = None,
    cursor: str | None = None,
    limit: int = USUAL,
) -> tuple[list[DeliveryLine], str | None]:
    """One page of the deliveries of the resident and of those they may act for, the latest first.

    Raises CursorInvalid.
    """
    purpose = f"deliveries {resident.id} {person_id} {sorted(states or ())}"
    last = UUID(place_of(cursor, purpose)[0]) if cursor else None
    rows = await fetch(_MINE, resident.id, list(states) if states else None, person_id, last, limit + 1)
    lines = [DeliveryLine(**_line(row)) for row in rows[:limit]]
    return lines, cursor_of([str(rows[limit - 1]["id"])], purpose) if len(rows) > limit else None


async def one(resident: AsResident, number: str) -> DeliveryFollowed:
    """One delivery. Raises DeliveryNotFound, also for that of somebody whom the resident may not act for."""
    await acting.owner_of(resident, number)
    row = await fetch_row(_ONE, resident.id, number)
    if row is None:
        raise DeliveryNotFound
    own = row["resident_id"] == resident.id
    direction, state = Direction(row["direction"]), D(row["state"])
    receiver = await receiver_of(row, shown=own)
    phone = receiver.phone if receiver and own else None
    origin, goal = await _ends(row, receiver, direction)
    told = await timeline.of(row["id"], direction, own=own, receiver_phone=phone)
    return DeliveryFollowed(
        **_line(row),
        postage=Postage(row["postage"]),
        postage_name=POSTAGE_NAMES[Postage(row["postage"])],
        postage_fen=row["postage_fen"],
        fee_id=row["fee_id"],
        confirmed_at=row["confirmed_at"],
        version=row["version"],
        origin=origin,
        goal=goal,
        receiver=receiver,
        office=await _office(row) if direction is Direction.TO_OFFICE else None,
        pickup_point=await pickup_points.one(row["pickup_point_id"]) if row["pickup_point_id"] else None,
        pickup_code=_code(row, resident) if state is D.READY else None,
        courier_phone=told.courier_phone,
        steps=told.steps,
        problems=[_problem(each) for each in await fetch(_PROBLEMS, row["id"])],
        actions=list(actions(state, direction, Method(row["method"]), confirmed=row["confirmed_at"] is not None)),
    )


def actions(state: D, direction: Direction, method: Method, *, confirmed: bool = False) -> list[str]:
    """What the resident may do now: `change`, `cancel`, `confirm`, `enter-waybill`, `order-courier`, `report`."""
    incoming, possible = direction is Direction.TO_RESIDENT, []
    if incoming and ((state, Move.CHANGE) in MOVES or state is D.ORDERED):
        possible.append("change")
    if (state, Move.CANCEL) in MOVES or state is D.ORDERED:
        possible.append("cancel")
    if incoming and method is Method.POST and ((state, Move.CONFIRM) in MOVES or (state is D.SIGNED and not confirmed)):
        possible.append("confirm")
    if not incoming and state is D.TO_SEND:
        possible += ["enter-waybill", "order-courier"]
    if state not in NOTHING_TO_REPORT:
        possible.append("report")
    return possible


async def receiver_of(row: Mapping[str, Any], *, shown: bool) -> Receiver | None:
    """To whom it is posted, or from whom it comes; None for what is fetched at a counter, and once it is forgotten."""
    if not row["street"]:
        return None
    name, phone, street = (
        open_sealed(row[column], where=f"deliveries.{column}", row=row["id"]) for column in ("name", "phone", "street")
    )
    region = (await placing.names_of([row["region_code"]])).get(row["region_code"], ())
    return Receiver(
        name=name if shown else mask_name(name),
        phone=phone if shown else mask_phone(phone),
        region_code=row["region_code"],
        region=region,
        street=street if shown else "***",
    )


async def _ends(
    row: Mapping[str, Any], receiver: Receiver | None, direction: Direction
) -> tuple[Place | None, Place | None]:
    names = await placing.names_of([row["office_region"]])
    office = Place(row["office"], row["office_region"], names.get(row["office_region"], ())) if row["office"] else None
    home = Place("收件地址", receiver.region_code, receiver.region) if receiver else None
    return (office, home) if direction is Direction.TO_RESIDENT else (home, office)


async def _office(row: Mapping[str, Any]) -> Party | None:
    try:
        return await parties.office(row["department_id"], row["hall_id"])
    except DeliveryOfficeInvalid:
        return None


def _code(row: Mapping[str, Any], resident: AsResident) -> str | None:
    secret = row["pickup_code_fingerprint"]
    return pickup_codes.code_of(secret, resident.id) if secret else None


def _problem(row: Mapping[str, Any]) -> ProblemFollowed:
    kind = ProblemKind(row["kind"])
    return ProblemFollowed(
        kind=kind,
        kind_name=PROBLEM_NAMES[kind],
        found_at=row["found_at"],
        answer=row["answer"],
        ended_at=row["ended_at"],
    )


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    direction_name = DIRECTION_NAMES[Direction(row["direction"])]
    return values_of(DeliveryLine, row, person_id=row["resident_id"], direction_name=direction_name)
