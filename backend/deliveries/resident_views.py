"""A resident's deliveries: one list, and one page per delivery with its timeline, receiver and possible actions.

A delegate sees the deliveries of the person they may act for, too; the courier's phone is shown to the owner alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from backend.crypto import mask_name, mask_phone, open_sealed
from backend.database import fetch, fetch_row
from backend.deliveries import acting, parties, pickup_codes, pickup_points, region_codes, timeline
from backend.deliveries.errors import DeliveryNotFound, DeliveryOfficeInvalid
from backend.deliveries.lifecycle import DELIVERIES, Transition
from backend.deliveries.naming import DIRECTION_NAMES, POSTAGE_NAMES, PROBLEM_NAMES
from backend.deliveries.pickup_points import PickupPointDetail
from backend.deliveries.receiving import NOTHING_TO_REPORT
from backend.deliveries.shapes import DeliveryFields, fields_of
from backend.deliveries.timeline import TimelineStep
from backend.errors import raises
from backend.identity import AsResident
from backend.paging import USUAL, CursorInvalid, paged
from backend.partners.courier.port import Party
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method, Postage, ProblemKind

_COLUMNS = """
SELECT d.id, d.number, d.subject_kind, d.subject_id, d.resident_id, d.direction, d.method, d.contents, d.state,
       d.state_at, d.postage, d.postage_fen, d.fee_id, d.confirmed_at, d.kept_until, d.version, d.department_id,
       d.hall_id, d.name, d.phone, d.region_code, d.street, d.pickup_point_id, d.pickup_code_fingerprint,
       s.company, s.waybill, s.number AS shipment_number, o.name AS office, g.code AS office_region,
       EXISTS (SELECT 1 FROM delivery_problems p WHERE p.delivery_id = d.id AND p.ended_at IS NULL) AS has_problem
FROM deliveries d
LEFT JOIN LATERAL (SELECT company, waybill, number FROM shipments
                   WHERE delivery_id = d.id AND waybill IS NOT NULL ORDER BY attempt DESC LIMIT 1) s ON true
LEFT JOIN departments o ON o.id = d.department_id LEFT JOIN regions g ON g.id = o.region_id
"""
_LIST = (
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


class DeliverySummary(DeliveryFields, frozen=True, kw_only=True):
    """One delivery in the list. `person_id` is its owner."""

    person_id: UUID
    direction_name: str
    company: str | None
    has_problem: bool
    """Whether it has a problem that the office has not answered yet."""


class Place(Struct, frozen=True):
    """Origin or destination, for a map: names from the province down."""

    name: str
    region_code: str | None
    region: tuple[str, ...]


class Receiver(Struct, frozen=True, kw_only=True):
    """The receiver; name and phone are masked for all but the owner."""

    name: str
    phone: str
    region_code: str
    region: tuple[str, ...]
    street: str


class DeliveryProblemDetail(Struct, frozen=True, kw_only=True):
    """A problem, and the office's answer."""

    kind: ProblemKind
    kind_name: str
    found_at: datetime
    answer: str | None
    ended_at: datetime | None


class DeliveryDetail(DeliverySummary, frozen=True, kw_only=True):
    """One delivery as a resident reads it. `actions` are those that are possible now."""

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
    """Where to send it, for documents that the resident sends in."""
    pickup_point: PickupPointDetail | None
    pickup_code: str | None
    """The reader's own code for the counter."""
    courier_phone: str | None
    steps: list[TimelineStep]
    problems: list[DeliveryProblemDetail]
    actions: list[str]


@raises(CursorInvalid)
async def list_own_deliveries(
    resident: AsResident,
    *,
    states: Sequence[D] | None = None,
    person_id: UUID | None = None,
    cursor: str | None = None,
    limit: int = USUAL,
) -> tuple[list[DeliverySummary], str | None]:
    """List a page of the deliveries of the resident and of the people they may act for, the latest first."""
    purpose = f"deliveries {resident.id} {person_id} {sorted(states or ())}"
    return await paged(
        _LIST, resident.id, list(states) if states else None, person_id,
        by={"id": UUID}, make=_summary, purpose=purpose, cursor=cursor, limit=limit,
    )  # fmt: skip


@raises(DeliveryNotFound)
async def get_own_delivery(resident: AsResident, number: str) -> DeliveryDetail:
    """Return one delivery. Raises DeliveryNotFound, also for a person whom the resident may not act for."""
    await acting.owner_of(resident, number)
    row = await fetch_row(_ONE, resident.id, number)
    if row is None:
        raise DeliveryNotFound
    own = row["resident_id"] == resident.id
    direction, state = Direction(row["direction"]), D(row["state"])
    receiver = await receiver_detail(row, masked=not own)
    phone = receiver.phone if receiver and own else None
    origin, goal = await _ends(row, receiver, direction)
    found = await timeline.get_timeline(row["id"], direction, own=own, receiver_phone=phone)
    return DeliveryDetail(
        **_fields(row),
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
        pickup_point=await pickup_points.get_pickup_point(row["pickup_point_id"]) if row["pickup_point_id"] else None,
        pickup_code=_code(row, resident) if state is D.READY else None,
        courier_phone=found.courier_phone,
        steps=found.steps,
        problems=[_problem(each) for each in await fetch(_PROBLEMS, row["id"])],
        actions=list(actions(state, direction, Method(row["method"]), confirmed=row["confirmed_at"] is not None)),
    )


def actions(state: D, direction: Direction, method: Method, *, confirmed: bool = False) -> list[str]:
    """What the resident may do now: `change`, `cancel`, `confirm`, `enter-waybill`, `order-courier`, `report`."""
    incoming, possible = direction is Direction.TO_RESIDENT, []
    if incoming and (DELIVERIES.allows(state, Transition.CHANGE) or state is D.ORDERED):
        possible.append("change")
    if DELIVERIES.allows(state, Transition.CANCEL) or state is D.ORDERED:
        possible.append("cancel")
    if (
        incoming
        and method is Method.POST
        and (DELIVERIES.allows(state, Transition.CONFIRM) or (state is D.SIGNED and not confirmed))
    ):
        possible.append("confirm")
    if not incoming and state is D.TO_SEND:
        possible += ["enter-waybill", "order-courier"]
    if state not in NOTHING_TO_REPORT:
        possible.append("report")
    return possible


async def receiver_detail(row: Mapping[str, Any], *, masked: bool) -> Receiver | None:
    """The receiver of what is posted, or the sender of what is sent in; None at a counter, and after an erasure."""
    if not row["street"]:
        return None
    name, phone, street = (
        open_sealed(row[column], where=f"deliveries.{column}", row=row["id"]) for column in ("name", "phone", "street")
    )
    region = (await region_codes.region_names_of([row["region_code"]])).get(row["region_code"], ())
    return Receiver(
        name=mask_name(name) if masked else name,
        phone=mask_phone(phone) if masked else phone,
        region_code=row["region_code"],
        region=region,
        street="***" if masked else street,
    )


async def _ends(
    row: Mapping[str, Any], receiver: Receiver | None, direction: Direction
) -> tuple[Place | None, Place | None]:
    names = await region_codes.region_names_of([row["office_region"]])
    office = Place(row["office"], row["office_region"], names.get(row["office_region"], ())) if row["office"] else None
    home = Place("收件地址", receiver.region_code, receiver.region) if receiver else None
    return (office, home) if direction is Direction.TO_RESIDENT else (home, office)


async def _office(row: Mapping[str, Any]) -> Party | None:
    try:
        return await parties.office_party(row["department_id"], row["hall_id"])
    except DeliveryOfficeInvalid:
        return None


def _code(row: Mapping[str, Any], resident: AsResident) -> str | None:
    secret = row["pickup_code_fingerprint"]
    return pickup_codes.code_of(secret, resident.id) if secret else None


def _problem(row: Mapping[str, Any]) -> DeliveryProblemDetail:
    kind = ProblemKind(row["kind"])
    return DeliveryProblemDetail(
        kind=kind,
        kind_name=PROBLEM_NAMES[kind],
        found_at=row["found_at"],
        answer=row["answer"],
        ended_at=row["ended_at"],
    )


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    direction_name = DIRECTION_NAMES[Direction(row["direction"])]
    return fields_of(DeliverySummary, row, person_id=row["resident_id"], direction_name=direction_name)


def _summary(row: Mapping[str, Any]) -> DeliverySummary:
    return DeliverySummary(**_fields(row))
