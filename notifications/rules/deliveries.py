"""Which changes of deliveries notify residents (where they are, where to fetch them, problems), and why others do not.

A message names the contents and the number, never the receiver or the address. A step that a later one has overtaken
before its event was handled is not notified: "on its way" is no news about a delivery that the resident holds already.
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
from notifications.rules.facts import day, moment, short_name
from notifications.rules.types import GONE, NOTHING_NEW, RESIDENT_DID_IT, NoNotification, Notification, Notify, Rule

_DELIVERY = """
SELECT d.resident_id, d.number, d.contents, d.direction, d.state, d.kept_until, p.name AS point
FROM deliveries d LEFT JOIN pickup_points p ON p.id = d.pickup_point_id WHERE d.id = $1
"""
_PROBLEM = "SELECT ended_at, answer FROM delivery_problems WHERE id = $1"
TO_RESIDENT: Mapping[str, str] = {
    D.PICKED_UP: "delivery_picked_up",
    D.OUT_FOR_DELIVERY: "delivery_out_for_delivery",
    D.AT_STATION: "delivery_at_station",
    D.SIGNED: "delivery_signed",
    D.RETURNING: "delivery_returning",
    D.RETURNED: "delivery_returned",
    D.LOST: "delivery_lost",
    D.READY: "pickup_ready",
    D.CANCELLED: "delivery_cancelled",
}
"""The state that a delivery has come to → the message to its resident."""
TO_OFFICE: Mapping[str, str] = {
    D.SIGNED: "documents_received",
    D.RETURNING: "delivery_returning",
    D.RETURNED: "delivery_returned",
    D.LOST: "delivery_lost",
}
PASSING = frozenset({D.PICKED_UP, D.OUT_FOR_DELIVERY, D.AT_STATION, D.READY, D.RETURNING})
"""What is no news once the delivery has left it."""
OWN = frozenset({"resident", "confirmed"})
"""Causes of steps that the resident made on the page."""
PROBLEMS = frozenset({ProblemKind.NO_MOVEMENT, ProblemKind.NOT_FOUND, ProblemKind.DELIVERY_FAILED})
"""Problems that notify the resident; the others are notified as a step, or are the office's own."""


def message_for(direction: str, to_state: str, cause: str) -> str | None:
    """The message for this step; None when it says nothing new to the resident."""
    if cause in OWN:
        return None
    return (TO_OFFICE if direction == Direction.TO_OFFICE else TO_RESIDENT).get(to_state)


async def _moved(event: events.DeliveryStateChanged, meta: EventMeta) -> Sequence[Notification]:
    row = await _row(event.delivery_id)
    if row is None or (event.to_state in PASSING and row["state"] != event.to_state):
        return NoNotification("the delivery had moved on before this event was handled")
    name = message_for(row["direction"], event.to_state, event.cause)
    if name is None:
        return NOTHING_NEW
    return (
        Notification(
            event.resident_id, name, _context_with_point(row) if name == "pickup_ready" else _context(row, event.at)
        ),
    )


async def _due(event: events.PickupDue, meta: EventMeta) -> Sequence[Notification]:
    row = await _row(event.delivery_id)
    if row is None or row["state"] != D.READY or row["kept_until"] is None:
        return NoNotification("it was fetched before this event was handled")
    return (Notification(event.resident_id, "pickup_due", _context_with_point(row)),)


async def _handed_over(event: events.HandedOver, meta: EventMeta) -> Sequence[Notification]:
    row = await _row(event.delivery_id)
    return (Notification(event.resident_id, "delivery_handed_over", _context(row, meta.at)),) if row else GONE


async def _found(event: events.ProblemOpened, meta: EventMeta) -> Sequence[Notification]:
    row, problem = await _row(event.delivery_id), await fetch_row(_PROBLEM, event.problem_id)
    if event.kind not in PROBLEMS or row is None or problem is None or problem["ended_at"] is not None:
        return NoNotification("not for the resident, or already over")
    return (Notification(event.resident_id, "delivery_problem", _context(row, meta.at)),)


async def _answered(event: events.ProblemAnswered, meta: EventMeta) -> Sequence[Notification]:
    row = await _row(event.delivery_id)
    if row is None or event.answered_by is None:
        return NoNotification("it ended by a later step, which has its own message")
    return (Notification(event.resident_id, "delivery_problem_answered", _context(row, meta.at)),)


async def _row(delivery_id: UUID) -> asyncpg.Record | None:
    return await fetch_row(_DELIVERY, delivery_id)


def _context(row: Mapping[str, Any], at: Any) -> Mapping[str, str]:
    return {"contents": short_name(row["contents"]), "number": wording.clean(row["number"]), "at": moment(at)}


def _context_with_point(row: Mapping[str, Any]) -> Mapping[str, str]:
    return {
        "contents": short_name(row["contents"]),
        "number": wording.clean(row["number"]),
        "point": short_name(row["point"] or "领取点"),
        "until": day(row["kept_until"]),
    }


_STEPS = tuple(dict.fromkeys((*TO_RESIDENT.values(), *TO_OFFICE.values())))
_OFFICE = NoNotification("concerns the office; the steps of the delivery have messages of their own")

RULES: Mapping[type[Event], Rule] = {
    events.AddressSaved: RESIDENT_DID_IT,
    events.AddressRemoved: RESIDENT_DID_IT,
    events.DeliveryChosen: RESIDENT_DID_IT,
    events.DeliveryChanged: RESIDENT_DID_IT,
    events.DeliveryStateChanged: Notify(_STEPS, _moved),
    events.DeliveryConfirmed: RESIDENT_DID_IT,
    events.ShipmentOrdered: NoNotification("notified when the courier has it: until then it lies in the office"),
    events.ShipmentOrderFailed: _OFFICE,
    events.CourierPushed: NoNotification("handled by backend/deliveries: news for us, not the resident"),
    events.ShipmentNodesStored: NoNotification("the state stayed as it was; the timeline shows it"),
    events.ProblemOpened: Notify(("delivery_problem",), _found),
    events.ProblemAssigned: _OFFICE,
    events.ProblemAnswered: Notify(("delivery_problem_answered",), _answered),
    events.HandedOver: Notify(("delivery_handed_over",), _handed_over),
    events.HandOverDenied: NoNotification("nothing was handed over; the counter's staff and the ledger know"),
    events.PickupDue: Notify(("pickup_due",), _due),
    events.KeptLonger: NoNotification("the resident requested it, and the page shows the day"),
    events.ReceiverRevealed: _OFFICE,
    events.PickupPointChanged: NoNotification("counters are looked up, not announced"),
}
