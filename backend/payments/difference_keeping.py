"""What a comparison leaves behind: the day's figures, and one row per number that disagreed, with its history.

A row is never deleted. What agrees again is closed as repaired; what comes back is opened again; what a person has
resolved stays resolved unless the facts it was resolved upon have changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from backend import clock
from backend.database import execute, fetch, fetch_value, transaction
from backend.events import record
from backend.payments.comparing import Account, Found
from backend.payments.events import BillCompared, BillRefused, DifferenceFound
from models.reconciliation import BillState, DifferenceState

BATCH = 200
"""Rows per transaction: after a long outage a day may have thousands."""


class Asked(NamedTuple):
    """What the channel answered when it was asked about a number now: its state or its refusal, and the amount."""

    state: str
    fen: int | None


class Figures(NamedTuple):
    """The sums of a bill, in fen."""

    digest: str | None = None
    paid_count: int = 0
    paid_fen: int = 0
    refund_count: int = 0
    refund_fen: int = 0
    charge_fen: int = 0


class Kept(NamedTuple):
    """What stands after a comparison."""

    bill_day_id: UUID
    state: BillState
    new: int
    """Differences that were not open before this run."""
    repaired: int
    open: int


_OPEN_DAY = """
INSERT INTO bill_days (id, created_at, channel, merchant_id, day, state, runs, compared_at, paid_count, paid_fen,
    refund_count, refund_fen, charge_fen)
VALUES ($1, $2, $3, $4, $5, 'waiting', 1, $2, 0, 0, 0, 0, 0)
ON CONFLICT (channel, merchant_id, day) DO UPDATE SET runs = bill_days.runs + 1
RETURNING id, state, trouble
"""
_TAKE_TURN = "SELECT id FROM bill_days WHERE id = $1 FOR UPDATE"
"""Two comparisons of one day (the clock's and an operator's) write one after the other."""
_FINISH_DAY = """
UPDATE bill_days SET state = $2, compared_at = $3, trouble = NULL, digest = $4, paid_count = $5, paid_fen = $6,
    refund_count = $7, refund_fen = $8, charge_fen = $9
WHERE id = $1
"""
_KNOWN = """
SELECT id, state, bill_state, query_state, ours_fen, bill_fen, query_fen FROM bill_differences
WHERE bill_day_id = $1 AND entity = $2 AND number = $3 AND kind = $4 FOR UPDATE
"""
_ADD = """
INSERT INTO bill_differences (id, created_at, bill_day_id, kind, entity, number, payment_number, transaction_id,
    moved_at, ours_state, ours_fen, bill_state, bill_fen, query_state, query_fen, state, ended_at, reopened)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0)
"""
_RENEW = """
UPDATE bill_differences SET payment_number = $2, transaction_id = $3, moved_at = $4, ours_state = $5, ours_fen = $6,
    bill_state = $7, bill_fen = $8, query_state = $9, query_fen = $10, state = $11, ended_at = $12,
    reopened = reopened + $13
WHERE id = $1
"""
_CLOSE_REST = """
UPDATE bill_differences d SET state = 'repaired', ended_at = $2
WHERE d.bill_day_id = $1 AND d.state = 'open' AND NOT EXISTS (
    SELECT FROM unnest($3::text[], $4::text[], $5::text[]) AS left_open (entity, number, kind)
    WHERE left_open.entity = d.entity AND left_open.number = d.number AND left_open.kind = d.kind)
"""
_OPEN = "SELECT count(*) FROM bill_differences WHERE bill_day_id = $1 AND state = 'open'"
_CLOSE_ELSEWHERE = """
UPDATE bill_differences d SET state = 'repaired', ended_at = $2
FROM unnest($3::text[], $4::text[]) AS agreed (entity, number)
WHERE d.state = 'open' AND d.kind = 'missing-there' AND d.bill_day_id <> $1
  AND d.entity = agreed.entity AND d.number = agreed.number
"""


async def keep(
    account: Account,
    day: date,
    figures: Figures,
    left: Sequence[Found],
    repaired: Sequence[Found],
    asked: Mapping[tuple[str, str], Asked],
) -> Kept:
    """Write the comparison down. Whoever dies in the middle has a day that counts as not compared yet."""
    async with transaction():
        opened = await _open_day(account, day)
        identity: UUID = opened["id"]
    new = 0
    for rows, ended in ((repaired, True), (left, False)):
        for start in range(0, len(rows), BATCH):
            async with transaction():
                await fetch_value(_TAKE_TURN, identity)
                for each in rows[start : start + BATCH]:
                    known = asked.get((each.entity, each.number), Asked("", None))
                    new += await _keep_one(identity, account, day, each, known, ended=ended)
    nothing = figures.paid_count + figures.refund_count == 0 and not left and not repaired
    state = BillState.EMPTY if nothing and figures.digest is None else BillState.COMPARED
    now = clock.now()
    async with transaction():
        await execute(_FINISH_DAY, identity, state.value, now, *figures)
        columns = ([each.entity for each in left], [each.number for each in left], [each.kind.value for each in left])
        closed = await execute(_CLOSE_REST, identity, now, *columns)
        still_open = await fetch_value(_OPEN, identity)
        done = closed + len(repaired)
        await record(
            BillCompared(
                bill_day_id=identity, channel=account.channel.value, day=day, differences=still_open, repaired=done
            )
        )
    return Kept(identity, state, new, done, still_open)


async def _open_day(account: Account, day: date) -> asyncpg.Record:
    rows = await fetch(_OPEN_DAY, uuid7(), clock.now(), account.channel.value, account.holder, day)
    return rows[0]


async def _keep_one(identity: UUID, account: Account, day: date, each: Found, asked: Asked, *, ended: bool) -> int:
    """Write one number down; 1 when it is open now and was not before."""
    known = await fetch(_KNOWN, identity, each.entity, each.number, each.kind.value)
    now = clock.now()
    state = DifferenceState.REPAIRED if ended else DifferenceState.OPEN
    said = (
        each.payment_number,
        each.transaction_id,
        each.moved_at,
        each.ours_state,
        each.ours_fen,
        each.bill_state,
        each.bill_fen,
        asked.state or None,
        asked.fen,
    )
    if not known:
        row_id = uuid7()
        await execute(
            _ADD, row_id, now, identity, each.kind.value, each.entity, each.number, *said, state.value,
            now if ended else None,
        )  # fmt: skip
    else:
        row_id = known[0]["id"]
        before = DifferenceState(known[0]["state"])
        if before is DifferenceState.RESOLVED and (ended or not _changed(known[0], each, asked)):
            return 0
        again = not ended and before is not DifferenceState.OPEN
        await execute(_RENEW, row_id, *said, state.value, now if ended else None, int(again))
        if not again:
            return 0
    if ended:
        return 0
    await record(DifferenceFound(difference_id=row_id, kind=each.kind.value, channel=account.channel.value, day=day))
    return 1


def _changed(known: asyncpg.Record, each: Found, asked: Asked) -> bool:
    """Whether the money is told differently from how it was when somebody explained it.

    The state alone may go on without changing what is explained, and a channel that did not answer says nothing.
    """
    if (known["ours_fen"], known["bill_fen"]) != (each.ours_fen, each.bill_fen):
        return True
    return asked.fen is not None and known["query_fen"] is not None and asked.fen != known["query_fen"]


async def wait_for(account: Account, day: date) -> BillState:
    """Note that the channel has not made the bill yet; a comparison that stands is not touched."""
    async with transaction():
        return BillState((await _open_day(account, day))["state"])


async def refuse(account: Account, day: date, why: str) -> None:
    """Note that the bill could not be believed, and tell operators, once for the same reason."""
    async with transaction():
        opened = await _open_day(account, day)
        if (opened["state"], opened["trouble"]) == (BillState.REFUSED.value, why):
            return
        await execute(
            "UPDATE bill_days SET state = 'refused', trouble = $2, compared_at = $3 WHERE id = $1",
            opened["id"],
            why,
            clock.now(),
        )
        await record(BillRefused(bill_day_id=opened["id"], channel=account.channel.value, day=day, why=why))


async def close_elsewhere(bill_day_id: UUID, agreed: Sequence[tuple[str, str]]) -> int:
    """Close what another day missed and this bill has: around midnight the channel's day may not be ours."""
    entities, numbers = [each[0] for each in agreed], [each[1] for each in agreed]
    return await execute(_CLOSE_ELSEWHERE, bill_day_id, clock.now(), entities, numbers)
