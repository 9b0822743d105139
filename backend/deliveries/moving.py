"""The steps of a delivery: its row, the trail and the fact that others hear, in one transaction.

Whoever changes more than one row locks the delivery first, then its shipments, then fees.
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
from backend.deliveries import forgetting
from backend.deliveries.errors import DeliveryNotFound
from backend.deliveries.events import DeliveryMoved
from backend.deliveries.lifecycle import ENDS, RANK, Move, after
from models.deliveries import DeliveryState, Direction, Method, Postage


class Standing(Struct, kw_only=True):
    """A delivery as its row has it, without what is sealed. `move` and `come` keep `state` up to date."""

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


STANDING = """
SELECT id, number, subject_kind, subject_id, direction, method, resident_id, department_id, contents, region_code,
       pickup_point_id, postage, postage_fen, fee_id, ready_at, state, state_at, confirmed_at, kept_until, version
FROM deliveries
"""
_ONE = (
    STANDING
    + """
WHERE (id = $1 OR number = $2) AND ($3::uuid IS NULL OR resident_id = $3) AND ($4::uuid IS NULL OR department_id = $4)
"""
)
_STEP = "UPDATE deliveries SET state = $2, state_at = $3, version = version + 1 WHERE id = $1"
_NOTE = """
INSERT INTO delivery_moves (id, created_at, delivery_id, from_state, to_state, at, noted_at, actor, cause)
VALUES ($1, $2, $3, $4, $5, $6, $2, $7, $8)
"""


def standing_of(row: Mapping[str, Any]) -> Standing:
    """A row of `STANDING` as the struct."""
    return msgspec.convert(dict(row), Standing)


async def seen(which: UUID | str, *, owner: UUID | None = None, department: UUID | None = None) -> Standing:
    """The delivery of this id or number as it is now, without a lock.

    Raises DeliveryNotFound when there is none, or when it is not this resident's or this department's.
    """
    return await _found(_ONE, which, owner, department)


async def locked(which: UUID | str, *, owner: UUID | None = None, department: UUID | None = None) -> Standing:
    """The same, locked until the transaction ends. Raises DeliveryNotFound."""
    if not in_transaction():
        raise RuntimeError("locked() belongs inside transaction()")
    return await _found(_ONE + " FOR NO KEY UPDATE", which, owner, department)


async def locked_all(ids: list[UUID]) -> dict[UUID, Standing]:
    """Several, locked in the order of their ids so that nobody waits in a circle."""
    if not in_transaction():
        raise RuntimeError("locked_all() belongs inside transaction()")
    rows = await fetch(STANDING + " WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE", ids)
    return {row["id"]: standing_of(row) for row in rows}


async def _found(sql: str, which: UUID | str, owner: UUID | None, department: UUID | None) -> Standing:
    identity, number = (which, None) if isinstance(which, UUID) else (None, which)
    rows = await fetch(sql, identity, number, owner, department)
    if not rows:
        raise DeliveryNotFound
    return standing_of(rows[0])


async def note(
    delivery_id: UUID, from_state: str | None, to_state: str, cause: str, at: datetime | None = None
) -> None:
    """Write the step into the trail; `cause` is how it came about (`chosen`, `staff`, `kuaidi100`, `sf:query`).

    Refuses to run outside a transaction: a step without its change, or a change without its step, is a lie.
    """
    if not in_transaction():
        raise RuntimeError("note() belongs inside transaction()")
    now, actor = clock.now(), ":".join(events.actor())[:80]
    async with transaction() as connection:
        await connection.execute(
            _NOTE, uuid7(), now, delivery_id, from_state, to_state, at or now, actor, cause[:32]
        )  # fmt: skip


async def move(standing: Standing, step: Move, cause: str, at: datetime | None = None) -> DeliveryState:
    """Make a move of the table on a locked delivery; where it leads. Nothing is told when it leads nowhere.

    Raises DeliveryTransitionRefused when it cannot be made in this state.
    """
    state = after(standing.state, step)
    if state is not standing.state:
        await _step(standing, state, cause, at or clock.now())
    return state


async def come(standing: Standing, state: DeliveryState, cause: str, at: datetime) -> bool:
    """A courier's words have brought a locked delivery to this state; False when that lies behind us or is elsewhere.

    `at` is the courier's time. Never back: what is not further along changes nothing.
    """
    if standing.state not in RANK or RANK[state] <= RANK[standing.state]:
        return False
    await _step(standing, state, cause, at)
    return True


async def _step(standing: Standing, state: DeliveryState, cause: str, at: datetime) -> None:
    before = standing.state
    async with transaction() as connection:
        await connection.execute(_STEP, standing.id, state, at)
        await note(standing.id, before.value, state.value, cause, at)
        await events.record(
            DeliveryMoved(
                delivery_id=standing.id,
                resident_id=standing.resident_id,
                from_state=before.value,
                to_state=state.value,
                at=at,
                cause=cause[:32],
            )
        )
        if state in ENDS:
            await forgetting.at_the_end(standing.id)
    standing.state, standing.state_at, standing.version = state, at, standing.version + 1
