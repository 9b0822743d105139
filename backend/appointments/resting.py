"""A place that comes back to a full slot rests before it can be taken again, for a time that cannot be predicted.

Otherwise a place could be handed over: one taps "cancel", the other "book" in the same second, and a trader in
places has goods to sell. The waiting list comes first, and a place that goes to them does not rest; neither
does one in a slot that has others left, because there is nothing to trade.

While it rests, the place is counted in the slot's `held` and has a row of its own, both written in the transaction
that gave it back. So every rule that looks at `held + booked` holds for it without knowing of it, and a crash loses
nothing: whichever worker comes next gives it out.
"""

from __future__ import annotations

import random
from uuid import UUID

from uuid_utils.compat import uuid7

from backend.appointments import waiting
from backend.appointments.places import lock_slots
from backend.database import execute, fetch, fetch_value, transaction
from backend.settings import settings

SHARE = 0.1
"""A place rests for at most this share of the time that is left until the visit: an hour before it, six minutes."""

# The row and the count are one statement. Only the last free place of an open slot rests: with others left, no
# resident has to snatch this one.
_REST = """
WITH resting AS (
    UPDATE slots SET held = held + 1
    WHERE id = $1 AND held + booked = capacity - 1 AND closed_at IS NULL AND release_at <= now() AND starts_at > now()
    RETURNING id, starts_at
)
INSERT INTO resting_places (id, created_at, slot_id, free_at)
SELECT $2, now(), id, now() + least(make_interval(secs => $3), (starts_at - now()) * $4) FROM resting
"""
_WAKE = """
WITH awake AS (DELETE FROM resting_places WHERE id = $1 RETURNING slot_id)
UPDATE slots SET held = held - 1 FROM awake WHERE slots.id = awake.slot_id
"""
_GIVE_UP = """
WITH given_up AS (
    DELETE FROM resting_places WHERE id IN (SELECT id FROM resting_places WHERE slot_id = $1 LIMIT $2) RETURNING id
)
UPDATE slots SET held = held - (SELECT count(*) FROM given_up) WHERE id = $1
RETURNING (SELECT count(*) FROM given_up)::int
"""


async def rest_place(slot_id: UUID) -> None:
    """A place of this slot has just been given back: offer it to the waiting list, or let it rest.

    Call inside the transaction that freed it.
    """
    longest = settings().freed_place_max_seconds
    if await waiting.offer_next(slot_id) or longest <= 0:
        return
    seconds = random.SystemRandom().uniform(min(settings().freed_place_min_seconds, longest), longest)
    await execute(_REST, slot_id, uuid7(), seconds, SHARE)


async def release_rested_places(limit: int = 200) -> int:
    """Scheduled: let places whose rest is over be taken, first by the waiting list; how many.

    Each is a transaction of its own; of two workers one finds the row gone.
    """
    rows = await fetch("SELECT id, slot_id FROM resting_places WHERE free_at <= now() ORDER BY free_at LIMIT $1", limit)
    woken = 0
    for row in rows:
        async with transaction():
            await lock_slots(row["slot_id"])
            woken += await execute(_WAKE, row["id"])
            await waiting.offer_next(row["slot_id"])
    return woken


async def withdraw_rested(slot_id: UUID, places: int) -> int:
    """Let so many resting places of the locked slot be free at once, because the hall needs them; how many there were.

    Call inside a transaction.
    """
    return int(await fetch_value(_GIVE_UP, slot_id, max(0, places)) or 0)
