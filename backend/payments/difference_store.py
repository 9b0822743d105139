"""The stored result of a comparison: the day's totals, and one row per number that disagreed, with its history.

A row is never deleted. A number that agrees again is closed as repaired; one that disagrees again is reopened; one that
a person has resolved stays resolved unless the facts it was resolved upon have changed.
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
from backend.payments.comparing import Account, Mismatch
from backend.payments.events import BillCompared, BillRefused, DifferenceFound
from backend.sql import named
from models.reconciliation import BillState, DifferenceState

BATCH = 200
"""Rows per transaction: after a long outage a day may have thousands."""


class ChannelAnswer(NamedTuple):
    """The channel's answer to a query of a number now: its state or its refusal, and the amount."""

    state: str
    fen: int | None


class BillTotals(NamedTuple):
    """The sums of a bill, in fen."""

    digest: str | None = None
    paid_count: int = 0
    paid_fen: int = 0
    refund_count: int = 0
    refund_fen: int = 0
    charge_fen: int = 0


class SavedComparison(NamedTuple):
    """The result of a stored comparison."""

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
RETURNING id, state, problem
"""
_LOCK_DAY = "SELECT id FROM bill_days WHERE id = $1 FOR UPDATE"
"""Two comparisons of one day (the schedule's and an operator's) write one after the other."""
_FINISH_DAY = """
UPDATE bill_days SET state = $2, compared_at = $3, problem = NULL, digest = $4, paid_count = $5, paid_fen = $6,
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
VALUES (:id, :now, :bill_day_id, :kind, :entity, :number, :payment_number, :transaction_id, :moved_at, :ours_state,
    :ours_fen, :bill_state, :bill_fen, :query_state, :query_fen, :state, :ended_at, 0)
"""
_RENEW = """
UPDATE bill_differences SET payment_number = :payment_number, transaction_id = :transaction_id, moved_at = :moved_at,
    ours_state = :ours_state, ours_fen = :ours_fen, bill_state = :bill_state, bill_fen = :bill_fen,
    query_state = :query_state, query_fen = :query_fen, state = :state, ended_at = :ended_at,
    reopened = reopened + :again
WHERE id = :id
"""
_COPIED = ("payment_number", "transaction_id", "moved_at", "ours_state", "ours_fen", "bill_state", "bill_fen")
_CLOSE_REST = """
UPDATE bill_differences d SET state = 'repaired', ended_at = $2
WHERE d.bill_day_id = $1 AND d.state = 'open' AND NOT EXISTS (
    SELECT FROM unnest($3::text[], $4::text[], $5::text[]) AS left_open (entity, number, kind)
    WHERE left_open.entity = d.entity AND left_open.number = d.number AND left_open.kind = d.kind)
"""
_OPEN = "SELECT count(*) FROM bill_differences WHERE bill_day_id = $1 AND state = 'open'"
_CLOSE_ON_OTHER_DAYS = """
UPDATE bill_differences d SET state = 'repaired', ended_at = $2
FROM unnest($3::text[], $4::text[]) AS agreed (entity, number)
WHERE d.state = 'open' AND d.kind = 'missing-there' AND d.bill_day_id <> $1
  AND d.entity = agreed.entity AND d.number = agreed.number
"""


async def save_comparison(
    account: Account,
    day: date,
    totals: BillTotals,
    left: Sequence[Mismatch],
    repaired: Sequence[Mismatch],
    answers: Mapping[tuple[str, str], ChannelAnswer],
) -> SavedComparison:
    """Store the comparison. After a crash in the middle the day still counts as not compared."""
    async with transaction():
        opened = await _open_day(account, day)
        bill_day: UUID = opened["id"]
    new = 0
    for rows, ended in ((repaired, True), (left, False)):
        for start in range(0, len(rows), BATCH):
            async with transaction():
                await fetch_value(_LOCK_DAY, bill_day)
                for each in rows[start : start + BATCH]:
                    answer = answers.get((each.entity, each.number), ChannelAnswer("", None))
                    new += await _save_one(bill_day, account, day, each, answer, ended=ended)
    nothing = totals.paid_count + totals.refund_count == 0 and not left and not repaired
    state = BillState.EMPTY if nothing and totals.digest is None else BillState.COMPARED
    now = clock.now()
    async with transaction():
        await execute(_FINISH_DAY, bill_day, state.value, now, *totals)
        columns = ([each.entity for each in left], [each.number for each in left], [each.kind.value for each in left])
        closed = await execute(_CLOSE_REST, bill_day, now, *columns)
        still_open = await fetch_value(_OPEN, bill_day)
        done = closed + len(repaired)
        await record(
            BillCompared(
                bill_day_id=bill_day, channel=account.channel.value, day=day, differences=still_open, repaired=done
            )
        )
    return SavedComparison(bill_day, state, new, done, still_open)


async def _open_day(account: Account, day: date) -> asyncpg.Record:
    rows = await fetch(_OPEN_DAY, uuid7(), clock.now(), account.channel.value, account.holder, day)
    return rows[0]


async def _save_one(
    bill_day: UUID, account: Account, day: date, each: Mismatch, answer: ChannelAnswer, *, ended: bool
) -> int:
    """Store one number; 1 when it is open now and was not before."""
    known = await fetch(_KNOWN, bill_day, each.entity, each.number, each.kind.value)
    now = clock.now()
    state = DifferenceState.REPAIRED if ended else DifferenceState.OPEN
    values = {name: getattr(each, name) for name in _COPIED} | {
        "query_state": answer.state or None,
        "query_fen": answer.fen,
        "state": state.value,
        "ended_at": now if ended else None,
    }
    if not known:
        row_id = uuid7()
        key = {"bill_day_id": bill_day, "kind": each.kind.value, "entity": each.entity, "number": each.number}
        await execute(*named(_ADD, values | key | {"id": row_id, "now": now}))
    else:
        row_id = known[0]["id"]
        before = DifferenceState(known[0]["state"])
        if before is DifferenceState.RESOLVED and (ended or not _changed(known[0], each, answer)):
            return 0
        again = not ended and before is not DifferenceState.OPEN
        await execute(*named(_RENEW, values | {"id": row_id, "again": int(again)}))
        if not again:
            return 0
    if ended:
        return 0
    await record(DifferenceFound(difference_id=row_id, kind=each.kind.value, channel=account.channel.value, day=day))
    return 1


def _changed(known: asyncpg.Record, each: Mismatch, answer: ChannelAnswer) -> bool:
    """Whether the amounts differ from those that the difference was resolved upon.

    The state alone may go on without changing what is explained, and a missing answer of the channel is no change.
    """
    if (known["ours_fen"], known["bill_fen"]) != (each.ours_fen, each.bill_fen):
        return True
    return answer.fen is not None and known["query_fen"] is not None and answer.fen != known["query_fen"]


async def mark_waiting(account: Account, day: date) -> BillState:
    """Record that the channel has not made the bill yet; an existing comparison is not touched."""
    async with transaction():
        return BillState((await _open_day(account, day))["state"])


async def mark_refused(account: Account, day: date, why: str) -> None:
    """Record that the bill could not be verified, and alarm operators, once for the same reason."""
    async with transaction():
        opened = await _open_day(account, day)
        if (opened["state"], opened["problem"]) == (BillState.REFUSED.value, why):
            return
        await execute(
            "UPDATE bill_days SET state = 'refused', problem = $2, compared_at = $3 WHERE id = $1",
            opened["id"],
            why,
            clock.now(),
        )
        await record(BillRefused(bill_day_id=opened["id"], channel=account.channel.value, day=day, why=why))


async def close_on_other_days(bill_day_id: UUID, agreed: Sequence[tuple[str, str]]) -> int:
    """Close differences of other days whose numbers this bill has: around midnight the two days may differ."""
    entities, numbers = [each[0] for each in agreed], [each[1] for each in agreed]
    return await execute(_CLOSE_ON_OTHER_DAYS, bill_day_id, clock.now(), entities, numbers)
