"""Transitions of a delivery: its row, the trail and the event, in one transaction.

A use case that changes several rows locks the delivery first, then its shipments, then fees.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock, events
from backend.database import fetch, in_transaction, transaction
from backend.deliveries import erasing
from backend.deliveries.errors import DeliveryNotFound
from backend.deliveries.events import DeliveryStateChanged
from backend.deliveries.lifecycle import DELIVERIES, ENDS, RANK, Transition
from models.deliveries import DeliveryState, Direction, Method, Postage


class DeliveryRow(Struct, kw_only=True):
    """The row of a delivery, without its sealed columns. `apply_transition` and `advance` keep `state` up to date."""

    id: UUID
    number: str
    subject_kind: str
    subject_id: UUID
    direction: Direction
    method: Method
    resident_id: UUID
    department_id: UUID | None
    contents: str
    region_code: str | None
    pickup_point_id: UUID | None
    postage: Postage
    postage_fen: int
    fee_id: UUID | None
    ready_at: datetime | None
    state: DeliveryState
    state_at: datetime
    confirmed_at: datetime | None
    kept_until: date | None
    version: int


SELECT_ROW = """
SELECT id, number, subject_kind, subject_id, direction, method, resident_id, department_id, contents, region_code,
       pickup_point_id, postage, postage_fen, fee_id, ready_at, state, state_at, confirmed_at, kept_until, version
FROM deliveries
"""
_ONE = (
    SELECT_ROW
    + """
WHERE (id = $1 OR number = $2) AND ($3::uuid IS NULL OR resident_id = $3) AND ($4::uuid IS NULL OR department_id = $4)
"""
)
_SET_STATE = "UPDATE deliveries SET state = $2, state_at = $3, version = version + 1 WHERE id = $1"
_RECORD = """
INSERT INTO delivery_transitions (id, created_at, delivery_id, from_state, to_state, at, noted_at, actor, cause)
VALUES ($1, $2, $3, $4, $5, $6, $2, $7, $8)
"""


def row_of(row: Mapping[str, Any]) -> DeliveryRow:
    """A row of `SELECT_ROW` as the struct."""
    return msgspec.convert(dict(row), DeliveryRow)


async def get_row(which: UUID | str, *, owner: UUID | None = None, department: UUID | None = None) -> DeliveryRow:
    """Return the delivery of this id or number as it is now, without a lock.

    Raises DeliveryNotFound when there is none, or when it is not this resident's or this department's.
    """
    return await _find(_ONE, which, owner, department)


async def lock_row(which: UUID | str, *, owner: UUID | None = None, department: UUID | None = None) -> DeliveryRow:
    """Return the delivery as `get_row` does, locked until the transaction ends. Raises DeliveryNotFound."""
    if not in_transaction():
        raise RuntimeError("lock_row() belongs inside transaction()")
    return await _find(_ONE + " FOR NO KEY UPDATE", which, owner, department)


async def lock_rows(ids: list[UUID]) -> dict[UUID, DeliveryRow]:
    """Return several deliveries, locked in the order of their ids so that no two transactions wait in a circle."""
    if not in_transaction():
        raise RuntimeError("lock_rows() belongs inside transaction()")
    rows = await fetch(SELECT_ROW + " WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE", ids)
    return {row["id"]: row_of(row) for row in rows}


async def _find(sql: str, which: UUID | str, owner: UUID | None, department: UUID | None) -> DeliveryRow:
    identity, number = (which, None) if isinstance(which, UUID) else (None, which)
    rows = await fetch(sql, identity, number, owner, department)
    if not rows:
        raise DeliveryNotFound
    return row_of(rows[0])


async def record_step(
    delivery_id: UUID, from_state: str | None, to_state: str, cause: str, at: datetime | None = None
) -> None:
    """Record the step in the trail; `cause` names its origin (`chosen`, `staff`, `kuaidi100`, `sf:query`).

    Refuses to run outside a transaction: a step without its change, or a change without its step, is a lie.
    """
    if not in_transaction():
        raise RuntimeError("record_step() belongs inside transaction()")
    now, actor = clock.now(), ":".join(events.actor())[:80]
    async with transaction() as connection:
        await connection.execute(
            _RECORD, uuid7(), now, delivery_id, from_state, to_state, at or now, actor, cause[:32]
        )  # fmt: skip


async def apply_transition(
    delivery: DeliveryRow, transition: Transition, cause: str, at: datetime | None = None
) -> DeliveryState:
    """Apply a transition to a locked delivery; return the state it leads to. No event when the state stays the same.

    Raises DeliveryTransitionRefused when the state does not allow it.
    """
    state = DELIVERIES.after(delivery.state, transition)
    if state is not delivery.state:
        await _step(delivery, state, cause, at or clock.now())
    return state


async def advance(delivery: DeliveryRow, state: DeliveryState, cause: str, at: datetime) -> bool:
    """Advance a locked delivery to the state its nodes lead to; False when the delivery is there, past it or elsewhere.

    `at` is the courier's time. Never back: a state that is not further along changes nothing.
    """
    if delivery.state not in RANK or RANK[state] <= RANK[delivery.state]:
        return False
    await _step(delivery, state, cause, at)
    return True


async def _step(delivery: DeliveryRow, state: DeliveryState, cause: str, at: datetime) -> None:
    before = delivery.state
    async with transaction() as connection:
        await connection.execute(_SET_STATE, delivery.id, state, at)
        await record_step(delivery.id, before.value, state.value, cause, at)
        await events.record(
            DeliveryStateChanged(
                delivery_id=delivery.id,
                resident_id=delivery.resident_id,
                from_state=before.value,
                to_state=state.value,
                at=at,
                cause=cause[:32],
            )
        )
        if state in ENDS:
            await erasing.erase_ended(delivery.id)
    delivery.state, delivery.state_at, delivery.version = state, at, delivery.version + 1
