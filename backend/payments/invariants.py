"""The invariants of money, as far as the database can prove them (`zhangban check-invariants`).

The partner's side of I-1 and I-2 is what reconciling finds: a difference without an explanation is a finding here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import asyncpg

from backend.payments.lifecycle import PAYMENTS, REFUNDS

Rows = Callable[..., Awaitable[list[asyncpg.Record]]]
"""Runs one read-only statement without a time limit."""

_UNCHECKED = """
SELECT 'order' AS what, number, state FROM payments
WHERE state IN ('created', 'prepaid') AND (check_after IS NULL OR check_after < $1)
UNION ALL
SELECT 'refund', number, state FROM refunds
WHERE state IN ('approved', 'processing') AND (check_after IS NULL OR check_after < $1) LIMIT 1000
"""
_PAYMENT_WITHOUT_FEE = """
SELECT p.number, f.state FROM payments p JOIN fees f ON f.id = p.fee_id
WHERE p.state IN ('paid', 'part_refunded')
  AND (f.state = 'open' OR f.state = 'paid' AND f.paid_by_id IS DISTINCT FROM p.id) LIMIT 1000
"""
_DIFFERING = """
SELECT d.kind, d.entity, d.number, b.channel, b.day FROM bill_differences d JOIN bill_days b ON b.id = d.bill_day_id
WHERE d.state = 'open' AND d.kind = ANY($1) ORDER BY b.day, d.number LIMIT 1000
"""
_UNPROVEN = """
SELECT number, state, transaction_id IS NULL AS unnumbered, paid_fen, amount_fen FROM payments
WHERE paid_fen > 0 AND (transaction_id IS NULL OR state IN ('paid', 'part_refunded') AND paid_fen <> amount_fen)
   OR paid_fen = 0 AND (transaction_id IS NOT NULL OR state NOT IN ('created', 'prepaid', 'closed')) LIMIT 1000
"""
_FEE_WITHOUT_PAYMENT = """
SELECT f.id, f.state, p.number, p.state AS payment_state FROM fees f LEFT JOIN payments p ON p.id = f.paid_by_id
WHERE f.state = 'paid' AND (p.id IS NULL OR p.fee_id <> f.id OR p.state NOT IN ('paid', 'part_refunded')) LIMIT 1000
"""
_POSTINGS = """
SELECT m.kind, m.number, count(g.id) AS groups FROM (
    SELECT 'payment' AS kind, number FROM payments WHERE paid_fen > 0
    UNION ALL SELECT 'refund', number FROM refunds WHERE state = 'succeeded') m
LEFT JOIN ledger_groups g ON g.ref = m.number AND g.kind = m.kind
GROUP BY m.kind, m.number HAVING count(g.id) <> 1 LIMIT 1000
"""
_UNFOUNDED = """
SELECT g.ref, g.kind FROM ledger_groups g
WHERE g.kind = 'payment' AND NOT EXISTS (SELECT FROM payments p WHERE p.number = g.ref AND p.paid_fen > 0)
   OR g.kind = 'refund' AND NOT EXISTS (SELECT FROM refunds r WHERE r.number = g.ref AND r.state = 'succeeded')
LIMIT 1000
"""
_SAME_MONEY = """
SELECT channel, transaction_id, count(*) AS times FROM payments WHERE transaction_id IS NOT NULL
GROUP BY channel, transaction_id HAVING count(*) > 1 LIMIT 1000
"""
_UNBALANCED = """
SELECT g.ref, count(p.id) AS lines, coalesce(sum(p.amount_fen), 0) AS total, coalesce(sum(p.amount_fen)
       FILTER (WHERE p.amount_fen > 0), 0) AS moved, coalesce(max(y.paid_fen), max(r.amount_fen)) AS fen
FROM ledger_groups g LEFT JOIN ledger_postings p ON p.group_id = g.id
LEFT JOIN payments y ON g.kind = 'payment' AND y.number = g.ref
LEFT JOIN refunds r ON g.kind = 'refund' AND r.number = g.ref
GROUP BY g.id, g.ref
HAVING count(p.id) < 2 OR sum(p.amount_fen) <> 0
    OR coalesce(max(y.paid_fen), max(r.amount_fen)) <> sum(p.amount_fen) FILTER (WHERE p.amount_fen > 0) LIMIT 1000
"""
_STRAY = """
SELECT p.account, p.amount_fen FROM ledger_postings p
WHERE NOT EXISTS (SELECT FROM ledger_groups g WHERE g.id = p.group_id) LIMIT 1000
"""
_WHOLE = "SELECT coalesce(sum(amount_fen), 0) AS total FROM ledger_postings"
_REFUNDS = """
SELECT p.number, p.paid_fen, p.refunding_fen, p.refunded_fen, coalesce(r.promised, 0) AS promised,
       coalesce(r.back, 0) AS back
FROM payments p LEFT JOIN (
    SELECT payment_id, sum(amount_fen) FILTER (WHERE state NOT IN ('rejected', 'succeeded')) AS promised,
           sum(amount_fen) FILTER (WHERE state = 'succeeded') AS back FROM refunds GROUP BY payment_id
) r ON r.payment_id = p.id
WHERE p.refunding_fen <> coalesce(r.promised, 0) OR p.refunded_fen <> coalesce(r.back, 0)
   OR p.refunding_fen + p.refunded_fen > p.paid_fen LIMIT 1000
"""
_ACCOUNTS = """
SELECT coalesce(a.account, b.account) AS account, coalesce(a.fen, 0) AS posted, coalesce(b.fen, 0) AS held FROM (
    SELECT account, sum(amount_fen) AS fen FROM ledger_postings WHERE starts_with(account, 'channel:') GROUP BY account
) a FULL JOIN (
    SELECT 'channel:' || channel || ':' || merchant_id AS account, sum(paid_fen - refunded_fen) AS fen
    FROM payments WHERE paid_fen > 0 GROUP BY 1
) b ON b.account = a.account WHERE coalesce(a.fen, 0) <> coalesce(b.fen, 0) LIMIT 1000
"""
_STEPS = """
SELECT entity, from_state, to_state, min(entity_id::text) AS id FROM payment_transitions WHERE from_state IS NOT NULL
GROUP BY entity, from_state, to_state
"""
_BROKEN_TRAILS = """
SELECT entity, entity_id, from_state, before FROM (
    SELECT entity, entity_id, from_state, lag(to_state) OVER (PARTITION BY entity_id ORDER BY id) AS before,
           row_number() OVER (PARTITION BY entity_id ORDER BY id) AS step FROM payment_transitions
) m WHERE step > 1 AND from_state IS DISTINCT FROM before OR step = 1 AND from_state IS NOT NULL LIMIT 1000
"""
_WRONG_STATES = """
SELECT m.number, m.state, l.to_state FROM (
    SELECT id, number, state FROM payments UNION ALL SELECT id, number, state FROM refunds) m
LEFT JOIN LATERAL (SELECT to_state FROM payment_transitions WHERE entity_id = m.id ORDER BY id DESC LIMIT 1) l ON true
WHERE m.state IS DISTINCT FROM l.to_state LIMIT 1000
"""
_RECEIPTS = """
SELECT p.number, p.state, r.number AS receipt, r.voided_at FROM payments p LEFT JOIN receipts r ON r.payment_id = p.id
WHERE p.state IN ('paid', 'part_refunded') AND p.state_at < $1 AND (r.id IS NULL OR r.voided_at IS NOT NULL)
   OR p.state = 'refunded' AND p.state_at < $1 AND r.id IS NOT NULL AND r.voided_at IS NULL
   OR p.state NOT IN ('paid', 'part_refunded', 'refunded') AND r.id IS NOT NULL LIMIT 1000
"""


async def find_lost(rows: Rows, before: datetime) -> list[str]:
    """I-1: everything open is queried, no fee overlooks its money, no bill has money that our tables lack."""
    found = [
        f"{row['what']} {row['number']} is {row['state']} and not queried at its channel"
        for row in await rows(_UNCHECKED, before)
    ]
    found += [
        f"payment {row['number']} counts, and its fee is {row['state']} without it"
        for row in await rows(_PAYMENT_WITHOUT_FEE)
    ]
    return found + [_difference(row) for row in await rows(_DIFFERING, ["missing-here", "unknown"])]


async def find_phantom(rows: Rows) -> list[str]:
    """I-2: what is paid here has the channel's number and amount, and no bill contradicts it."""
    found = [
        f"payment {row['number']} is {row['state']} with {row['paid_fen']} of {row['amount_fen']} fen"
        + (" and no number of the channel's" if row["unnumbered"] else "")
        for row in await rows(_UNPROVEN)
    ]
    found += [
        f"fee {row['id']} is paid by {row['number'] or 'nothing'}, which is {row['payment_state']}"
        for row in await rows(_FEE_WITHOUT_PAYMENT)
    ]
    return found + [_difference(row) for row in await rows(_DIFFERING, ["missing-there", "amount", "state"])]


async def find_repeated(rows: Rows) -> list[str]:
    """I-3: one posting group per payment with money and per refund that arrived, and none besides."""
    found = [f"{row['kind']} {row['number']} is posted {row['groups']} times" for row in await rows(_POSTINGS)]
    found += [f"posting {row['ref']} has no {row['kind']} behind it" for row in await rows(_UNFOUNDED)]
    return found + [
        f"transaction {row['transaction_id']} of {row['channel']} belongs to {row['times']} payments"
        for row in await rows(_SAME_MONEY)
    ]


async def find_unbalanced(rows: Rows) -> list[str]:
    """I-4: every group and the whole ledger sum to zero; accounts and refunds agree with the payments."""
    found = [
        f"posting {row['ref']} has {row['lines']} lines, a sum of {row['total']} and moves {row['moved']} "
        f"of {row['fen']} fen"
        for row in await rows(_UNBALANCED)
    ]
    found += [f"{row['amount_fen']} fen on {row['account']} belong to no group" for row in await rows(_STRAY)]
    found += [f"the whole ledger sums to {row['total']} fen" for row in await rows(_WHOLE) if row["total"]]
    found += [
        f"payment {row['number']} of {row['paid_fen']} fen has {row['refunding_fen']} promised and "
        f"{row['refunded_fen']} back, its refunds come to {row['promised']} and {row['back']}"
        for row in await rows(_REFUNDS)
    ]
    return found + [
        f"{row['account']} holds {row['posted']} fen, the payments come to {row['held']}"
        for row in await rows(_ACCOUNTS)
    ]


async def find_illegal(rows: Rows) -> list[str]:
    """I-9: payments and refunds made only transitions of their state machines, and are where their trail ends."""
    edges = {("payment", state.value, after.value) for (state, _), after in PAYMENTS.transitions.items()}
    edges |= {("refund", state.value, after.value) for (state, _), after in REFUNDS.transitions.items()}
    found = [
        f"{row['entity']} {row['id']} went from {row['from_state']} to {row['to_state']}"
        for row in await rows(_STEPS)
        if (row["entity"], row["from_state"], row["to_state"]) not in edges
    ]
    found += [
        f"{row['entity']} {row['entity_id']} goes on from {row['from_state']}, it was {row['before']}"
        for row in await rows(_BROKEN_TRAILS)
    ]
    return found + [
        f"{row['number']} is {row['state']}, its trail ends at {row['to_state']}" for row in await rows(_WRONG_STATES)
    ]


async def find_wrong_receipts(rows: Rows, before: datetime) -> list[str]:
    """D-4: a payment that counts has a valid receipt, one that is refunded whole has a void one."""
    return [
        f"payment {row['number']} is {row['state']}, its receipt is "
        + ("missing" if row["receipt"] is None else "void" if row["voided_at"] else "in force")
        for row in await rows(_RECEIPTS, before)
    ]


def _difference(row: asyncpg.Record) -> str:
    return f"{row['channel']}, bill of {row['day']}: {row['entity']} {row['number']} is {row['kind']} and unexplained"
