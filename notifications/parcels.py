"""What residents hear of what is brought to them: where it is, where to fetch it, what is wrong; and what is kept
silent, why.

A message says what it is and its number, never to whom or where it goes. A step that a later one has overtaken before
we came to say so is not told: nobody needs to hear that a parcel is on its way that they hold in their hands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from backend.database import fetch_row
from backend.deliveries import events
from backend.events import Event, EventMeta
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, ProblemKind
from notifications import wording
from notifications.facts import day, moment, spoken
from notifications.telling import GONE, NOTHING_NEW, Nobody, Silence, Tell, Told

_DELIVERY = """
SELECT d.resident_id, d.number, d.contents, d.direction, d.state, d.kept_until, p.name AS point
FROM deliveries d LEFT JOIN pickup_points p ON p.id = d.pickup_point_id WHERE d.id = $1
"""
_PROBLEM = "SELECT ended_at, answer FROM delivery_problems WHERE id = $1"
TO_RESIDENT: Mapping[str, str] = {
    D.PICKED_UP: "parcel_picked_up",
    D.OUT_FOR_DELIVERY: "parcel_out_for_delivery",
    D.AT_STATION: "parcel_at_station",
    D.SIGNED: "parcel_signed",
    D.RETURNING: "parcel_returning",
    D.RETURNED: "parcel_returned",
    D.LOST: "parcel_lost",
    D.READY: "pickup_ready",
    D.CANCELLED: "delivery_cancelled",
}
"""The state that a delivery has come to → what its resident is told."""
TO_OFFICE: Mapping[str, str] = {
    D.SIGNED: "documents_received",
    D.RETURNING: "parcel_returning",
    D.RETURNED: "parcel_returned",
    D.LOST: "parcel_lost",
}
PASSING = frozenset({D.PICKED_UP, D.OUT_FOR_DELIVERY, D.AT_STATION, D.READY, D.RETURNING})
"""What is no news once the delivery has left it."""
OWN = frozenset({"resident", "confirmed"})
"""Causes of steps that the resident made on the page."""
PROBLEMS = frozenset({ProblemKind.NO_MOVEMENT, ProblemKind.NOT_FOUND, ProblemKind.DELIVERY_FAILED})
"""What the resident hears of as a problem; the others are told as a step, or are the office's own."""


def message_for(direction: str, to_state: str, cause: str) -> str | None:
    """Which message tells of this step; None when it says nothing new to the resident."""
    if cause in OWN:
        return None
    return (TO_OFFICE if direction == Direction.TO_OFFICE else TO_RESIDENT).get(to_state)


async def _moved(event: events.DeliveryMoved, meta: EventMeta) -> Sequence[Told]:
    row = await _row(event.delivery_id)
    if row is None or (event.to_state in PASSING and row["state"] != event.to_state):
        return Nobody("it had gone on before we came to say so")
    name = message_for(row["direction"], event.to_state, event.cause)
    if name is None:
        return NOTHING_NEW
    return (Told(event.resident_id, name, _with_point(row) if name == "pickup_ready" else _said(row, event.at)),)


async def _due(event: events.PickupDue, meta: EventMeta) -> Sequence[Told]:
    row = await _row(event.delivery_id)
    if row is None or row["state"] != D.READY or row["kept_until"] is None:
        return Nobody("fetched before we came to say so")
    return (Told(event.resident_id, "pickup_due", _with_point(row)),)


async def _handed_over(event: events.HandedOver, meta: EventMeta) -> Sequence[Told]:
    row = await _row(event.delivery_id)
    return (Told(event.resident_id, "parcel_handed_over", _said(row, meta.at)),) if row else GONE


async def _found(event: events.ProblemFound, meta: EventMeta) -> Sequence[Told]:
    row, problem = await _row(event.delivery_id), await fetch_row(_PROBLEM, event.problem_id)
    if event.kind not in PROBLEMS or row is None or problem is None or problem["ended_at"] is not None:
        return Nobody("not for the resident, or over before we came to say so")
    return (Told(event.resident_id, "parcel_problem", _said(row, meta.at)),)


async def _answered(event: events.ProblemAnswered, meta: EventMeta) -> Sequence[Told]:
    row = await _row(event.delivery_id)
    if row is None or event.answered_by is None:
        return Nobody("it went away by itself; the step that did it is told")
    return (Told(event.resident_id, "parcel_problem_answered", _said(row, meta.at)),)


async def _row(delivery_id: UUID) -> asyncpg.Record | None:
    return await fetch_row(_DELIVERY, delivery_id)


def _said(row: Mapping[str, Any], at: Any) -> Mapping[str, str]:
    return {"contents": spoken(row["contents"]), "number": wording.clean(row["number"]), "at": moment(at)}


def _with_point(row: Mapping[str, Any]) -> Mapping[str, str]:
    return {
        "contents": spoken(row["contents"]),
        "number": wording.clean(row["number"]),
        "point": spoken(row["point"] or "领取点"),
        "until": day(row["kept_until"]),
    }


_STEPS = tuple(dict.fromkeys((*TO_RESIDENT.values(), *TO_OFFICE.values())))
_SEEN = Silence("the resident did it and sees the result at once")
_OFFICE = Silence("concerns the office; the resident is told of what becomes of the parcel")

RULES: Mapping[type[Event], Tell | Silence] = {
    events.AddressSaved: _SEEN,
    events.AddressRemoved: _SEEN,
    events.DeliveryChosen: _SEEN,
    events.DeliveryChanged: _SEEN,
    events.DeliveryMoved: Tell(_STEPS, _moved),
    events.DeliveryConfirmed: _SEEN,
    events.ShipmentOrdered: Silence("told when the courier has it: an ordered parcel still lies in the office"),
    events.ShipmentOrderFailed: _OFFICE,
    events.CourierPushed: Silence("heard by backend/deliveries/hearing.py: it tells us something, not the resident"),
    events.ShipmentNoded: Silence("the state stayed as it was; the timeline shows it"),
    events.ProblemFound: Tell(("parcel_problem",), _found),
    events.ProblemTaken: _OFFICE,
    events.ProblemAnswered: Tell(("parcel_problem_answered",), _answered),
    events.HandedOver: Tell(("parcel_handed_over",), _handed_over),
    events.HandOverDenied: Silence("nothing was given away; the counter's staff and the ledger know of it"),
    events.PickupDue: Tell(("pickup_due",), _due),
    events.KeptLonger: Silence("the resident has asked for it, and the page shows the day"),
    events.ReceiverShown: _OFFICE,
    events.PickupPointKept: Silence("counters are looked up, not announced"),
}
