"""A channel's bill of one day against our tables: which numbers do not agree, found by the database in whole sets.

The bill goes in as arrays, a batch at a time, and only the differing rows come back: a day of a province has some ten
thousand rows, of which a handful differ. The channel is not called and nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from msgspec import Struct

from backend.clock import SHANGHAI
from backend.database import fetch, fetch_as
from backend.partners.paying.port import Bill, BillRow
from models.payments import Channel
from models.reconciliation import DifferenceKind

BATCH = 5000
REFUNDED_THERE = frozenset({"SUCCESS", "REFUND_SUCCESS"})
"""The states of an arrived refund in bills. A bill shows the day as it was and is not written anew."""


class Account(NamedTuple):
    """The merchant account that a bill is about."""

    channel: Channel
    merchant_id: str
    sub_merchant_id: str | None = None

    @property
    def holder(self) -> str:
        """The merchant that holds the money: the sub-merchant where there is one."""
        return self.sub_merchant_id or self.merchant_id


class Mismatch(Struct, frozen=True, kw_only=True):
    """One number on which our tables and the bill disagree, with the values of both."""

    kind: DifferenceKind
    entity: str
    """`payment` or `refund`."""
    number: str
    payment_number: str | None = None
    """Of a refund, its payment."""
    transaction_id: str | None = None
    moved_at: datetime | None = None
    ours_state: str | None = None
    ours_fen: int | None = None
    bill_state: str | None = None
    bill_fen: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """The identity of the difference within its day."""
        return self.entity, self.number, self.kind.value


_PAYMENTS = """
SELECT 'payment' AS entity, b.number, b.transaction_id, b.at AS moved_at, p.state AS ours_state, p.paid_fen AS ours_fen,
       b.fen AS bill_fen,
       CASE WHEN p.id IS NULL THEN 'unknown' WHEN p.paid_fen = 0 THEN 'missing-here'
            WHEN p.paid_fen <> b.fen THEN 'amount' ELSE 'state' END AS kind,
       CASE WHEN p.paid_fen IS DISTINCT FROM b.fen THEN left(b.state, 32)
            WHEN p.channel = $6 AND coalesce(p.sub_merchant_id, p.merchant_id) = $7 THEN 'other-transaction'
            ELSE 'other-merchant' END AS bill_state
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[])
    AS b (number, transaction_id, fen, state, at)
LEFT JOIN payments p ON p.number = b.number
WHERE p.id IS NULL OR p.paid_fen <> b.fen OR p.transaction_id IS DISTINCT FROM b.transaction_id
   OR p.channel <> $6 OR coalesce(p.sub_merchant_id, p.merchant_id) <> $7
"""
_REFUNDS = """
SELECT 'refund' AS entity, b.number, b.payment_number, b.refund_id AS transaction_id, b.at AS moved_at,
       r.state AS ours_state, r.amount_fen AS ours_fen, b.fen AS bill_fen,
       CASE WHEN r.id IS NULL THEN 'unknown' WHEN r.amount_fen <> b.fen THEN 'amount'
            WHEN p.number = b.payment_number AND r.state IN ('requested', 'rejected', 'approved') THEN 'missing-here'
            ELSE 'state' END AS kind,
       CASE WHEN r.amount_fen = b.fen AND p.number <> b.payment_number THEN 'other-payment'
            ELSE left(b.state, 32) END AS bill_state
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[])
    AS b (number, payment_number, refund_id, fen, state, at)
LEFT JOIN refunds r ON r.number = b.number LEFT JOIN payments p ON p.id = r.payment_id
WHERE r.id IS NULL OR r.amount_fen <> b.fen OR p.number <> b.payment_number
   OR r.state IN ('requested', 'rejected', 'approved') OR (b.state = ANY($7) AND r.state <> 'succeeded')
"""
# Numbers that the bill lacks are subtracted here and not by an anti-join: the cost of that depends on the planner's
# estimate of a day that has just begun, and a set of a day's numbers is small.
_PAYMENTS_OF_DAY = """
SELECT number FROM payments WHERE paid_at >= $1 AND paid_at < $2 AND paid_fen > 0 AND channel = $3
  AND coalesce(sub_merchant_id, merchant_id) = $4
"""
_PAYMENTS_NAMED = """
SELECT 'missing-there' AS kind, 'payment' AS entity, number, transaction_id, paid_at AS moved_at, state AS ours_state,
       paid_fen AS ours_fen
FROM payments WHERE number = ANY($1)
"""
# A refund is on the bill of the day when it was sent to the channel: the day of its first transition after approval. A
# refund promised on an earlier day may have been sent then, with the answer lost; the sweeper follows that one.
_REFUNDS_OF_DAY = """
SELECT 'missing-there' AS kind, 'refund' AS entity, r.number, p.number AS payment_number,
       r.channel_refund_id AS transaction_id, sent.at AS moved_at, r.state AS ours_state, r.amount_fen AS ours_fen
FROM refunds r JOIN payments p ON p.id = r.payment_id
CROSS JOIN LATERAL (
    SELECT min(m.at) AS at FROM payment_transitions m
    WHERE m.entity_id = r.id AND m.to_state IN ('processing', 'succeeded', 'abnormal', 'closed')) sent
WHERE r.state_at >= $1 AND r.created_at < $2 AND coalesce(r.decided_at, r.created_at) >= $1
  AND r.state IN ('processing', 'succeeded', 'abnormal') AND p.channel = $3
  AND coalesce(p.sub_merchant_id, p.merchant_id) = $4 AND sent.at >= $1 AND sent.at < $2
"""
_OURS = """
SELECT number, NULL AS payment_number FROM payments
WHERE channel = $3 AND coalesce(sub_merchant_id, merchant_id) = $4
  AND (paid_at >= $1 AND paid_at < $2 OR paid_at IS NULL AND created_at >= $1 AND created_at < $2)
UNION ALL
SELECT r.number, p.number FROM refunds r JOIN payments p ON p.id = r.payment_id
WHERE p.channel = $3 AND coalesce(p.sub_merchant_id, p.merchant_id) = $4
  AND r.created_at < $2 AND r.state_at >= $1 AND coalesce(r.decided_at, r.created_at) >= $1
  AND r.state NOT IN ('requested', 'rejected')
"""


def bounds(day: date) -> tuple[datetime, datetime]:
    """The begin and the end of the day in Asia/Shanghai, by which channels count their days."""
    begins = datetime.combine(day, time(), SHANGHAI)
    return begins, begins + timedelta(days=1)


async def find_mismatches(account: Account, bill: Bill) -> list[Mismatch]:
    """Every number of the bill's day on which our tables and the bill disagree, each once."""
    payments = [row for row in bill.rows if row.refund_number is None]
    refunds = [row for row in bill.rows if row.refund_number is not None]
    found: list[Mismatch] = []
    for batch in _batches(payments):
        columns = _columns(batch, "number", "transaction_id", "amount_fen", "state", "at")
        found += await fetch_as(Mismatch, _PAYMENTS, *columns, account.channel.value, account.holder)
    for batch in _batches(refunds):
        columns = _columns(batch, "refund_number", "number", "refund_id", "amount_fen", "state", "at")
        found += await fetch_as(Mismatch, _REFUNDS, *columns, list(REFUNDED_THERE))
    place = (*bounds(bill.day), account.channel.value, account.holder)
    listed = {row.number for row in payments}
    lacking = [row["number"] for row in await fetch(_PAYMENTS_OF_DAY, *place) if row["number"] not in listed]
    for start in range(0, len(lacking), BATCH):
        found += await fetch_as(Mismatch, _PAYMENTS_NAMED, lacking[start : start + BATCH])
    listed = {row.refund_number or "" for row in refunds}
    found += [each for each in await fetch_as(Mismatch, _REFUNDS_OF_DAY, *place) if each.number not in listed]
    return [*{each.key: each for each in found}.values()]


async def list_our_numbers(account: Account, day: date) -> list[tuple[str, str | None]]:
    """Our numbers of the day, for a channel that has no bill: of a payment alone, of a refund with its payment's."""
    rows = await fetch(_OURS, *bounds(day), account.channel.value, account.holder)
    return [(row["number"], row["payment_number"]) for row in rows]


def _batches(rows: Sequence[BillRow]) -> Iterator[Sequence[BillRow]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _columns(rows: Iterable[BillRow], *names: str) -> list[list[object]]:
    return [[getattr(row, name) for row in rows] for name in names]
