"""Refunds that staff ask for: who may, how much, and when a second person has to agree.

A second person is needed once the refunds of a payment that had none would come to more than
`refund_second_person_above_fen`: many small requests are added up, so the rule cannot be walked around. The second
person is never the first: PostgreSQL refuses it too. Staff see the payments of their own department, and those that
belong to none.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg
from uuid_utils.compat import uuid7

from backend import clock, jobs
from backend.database import execute, fetch_row, transaction
from backend.events import record
from backend.identity.principals import AsStaff
from backend.partners.paying.port import PartnerTrouble, PartnerUnreachable, PayerCard, RefundSeen
from backend.payments.errors import (
    PaymentNotFound,
    PaymentTransitionRefused,
    RefundCardRejected,
    RefundNotFound,
    RefundOwnRequest,
    RefundTooLate,
    RefundTooOften,
)
from backend.payments.events import RefundRejected, RefundRepeated, RefundRequested
from backend.payments.lifecycle import RefundMove, refund_after
from backend.payments.moving import note
from backend.payments.numbering import staff_refund_number
from backend.payments.refund_sending import channel_of
from backend.payments.refund_settling import fail, next_check, settle_refund, standing
from backend.payments.refunding import promise, release, reserve
from backend.settings import settings
from models.payments import Channel, PaymentState, RefundCause, RefundState

REQUEST, APPROVE = "refunds.request", "refunds.approve"
"""The two duties."""
MOST_PARTS = 50
"""In how many parts a channel gives back at most. [verified: WeChat Pay]"""
YEAR = timedelta(days=365)
"""How long after the payment a channel gives back. [verified: WeChat Pay]"""

# A department's own, and what is owed to no department in particular. Locked in the order of the house.
_PAYMENT = """
SELECT p.id, p.number, p.state, p.paid_at, p.resident_id FROM payments p JOIN fees f ON f.id = p.fee_id
WHERE p.number = $1 AND (f.department_id = $2 OR f.department_id IS NULL) FOR UPDATE OF p
"""
_EARLIER = """
SELECT count(*) FILTER (WHERE cause = 'staff') AS asked,
       count(*) FILTER (WHERE state <> 'rejected') AS parts,
       coalesce(sum(amount_fen) FILTER (WHERE cause = 'staff' AND state <> 'rejected' AND approved_by IS NULL),
           0)::bigint AS alone_fen
FROM refunds WHERE payment_id = $1
"""
_INSERT = """
INSERT INTO refunds (id, created_at, number, payment_id, amount_fen, cause, reason, requested_by, decided_at, state,
    state_at, check_after, checks)
VALUES ($1, $2, $3, $4, $5, 'staff', $6, $7, $8, $9, $2, $10, 0)
"""
_REFUND = """
SELECT r.id FROM refunds r JOIN payments p ON p.id = r.payment_id JOIN fees f ON f.id = p.fee_id
WHERE r.number = $1 AND (f.department_id = $2 OR f.department_id IS NULL)
"""
_DECIDE = """
UPDATE refunds SET state = $2, state_at = $3, decided_at = $3, approved_by = $4, check_after = $5, trouble = $6
WHERE id = $1
"""
_AGAIN = "UPDATE refunds SET state = 'processing', state_at = $2, checks = 0, check_after = $3 WHERE id = $1"


class Decided(NamedTuple):
    """A refund and where a decision has brought it."""

    number: str
    state: RefundState


async def request(staff: AsStaff, payment_number: str, amount_fen: int, reason: str) -> Decided:
    """Ask for the payer to have so much back, for a reason that they can read.

    It is on its way at once (`approved`) or waits for a second person (`requested`); the amount is set aside in both
    cases. Raises DutyMissing; PaymentNotFound, also for another department's; PaymentTransitionRefused when there is no
    money that counts; RefundTooLate, RefundTooOften, RefundTooMuch.
    """
    staff.require(REQUEST)
    async with transaction():
        payment = await fetch_row(_PAYMENT, payment_number, staff.department_id)
        if payment is None:
            raise PaymentNotFound
        if payment["state"] not in (PaymentState.PAID, PaymentState.PART_REFUNDED):
            raise PaymentTransitionRefused(state=payment["state"], move="refund")
        _refuse_late(payment["paid_at"])
        earlier = await fetch_row(_EARLIER, payment["id"])
        assert earlier is not None
        if earlier["parts"] >= MOST_PARTS or earlier["asked"] >= 99:  # two digits of the number
            raise RefundTooOften
        await reserve(payment["id"], amount_fen)
        number = staff_refund_number(payment_number, earlier["asked"] + 1)
        alone = earlier["alone_fen"] + amount_fen <= settings().refund_second_person_above_fen
        state = await _asked_for(staff, payment, number, amount_fen, reason, alone=alone)
    return Decided(number, state)


async def _asked_for(
    staff: AsStaff, payment: asyncpg.Record, number: str, amount_fen: int, reason: str, *, alone: bool
) -> RefundState:
    refund_id, now = uuid7(), clock.now()
    state = RefundState.APPROVED if alone else RefundState.REQUESTED
    times = (now, next_check(0)) if alone else (None, None)
    await execute(
        _INSERT, refund_id, now, number, payment["id"], amount_fen, reason, staff.id, times[0], state.value, times[1]
    )
    await note("refund", refund_id, None, state, "staff")
    if alone:
        await promise(refund_id, payment["id"], payment["resident_id"], amount_fen, RefundCause.STAFF)
    else:
        await record(
            RefundRequested(refund_id=refund_id, payment_id=payment["id"], amount_fen=amount_fen, requested_by=staff.id)
        )
    return state


async def approve(staff: AsStaff, number: str) -> Decided:
    """Agree, as the second person; the money is promised back with that.

    Raises DutyMissing; RefundNotFound, also for another department's; RefundOwnRequest; PaymentTransitionRefused when
    it does not wait for anybody; RefundTooLate.
    """
    staff.require(APPROVE)
    async with transaction():
        found = await _of_department(staff, number)
        if found["requested_by"] == staff.id:
            raise RefundOwnRequest
        after = refund_after(RefundState(found["state"]), RefundMove.APPROVE)
        _refuse_late(found["paid_at"])
        await execute(_DECIDE, found["id"], after.value, clock.now(), staff.id, next_check(0), None)
        await note("refund", found["id"], found["state"], after, "staff")
        await promise(found["id"], found["payment_id"], found["resident_id"], found["amount_fen"], RefundCause.STAFF)
    return Decided(number, after)


async def reject(staff: AsStaff, number: str, why: str) -> Decided:
    """Say no, as the second person, or take one's own request back. The amount can be asked for again.

    Raises DutyMissing, RefundNotFound, and PaymentTransitionRefused when it does not wait for anybody.
    """
    async with transaction():
        found = await _of_department(staff, number)
        staff.require(REQUEST if found["requested_by"] == staff.id else APPROVE)
        after = refund_after(RefundState(found["state"]), RefundMove.REJECT)
        await execute(_DECIDE, found["id"], after.value, clock.now(), None, None, why)
        await release(found["payment_id"], found["amount_fen"])
        await note("refund", found["id"], found["state"], after, "staff")
        await record(RefundRejected(refund_id=found["id"], payment_id=found["payment_id"], rejected_by=staff.id))
    return Decided(number, after)


async def repeat(staff: AsStaff, number: str) -> Decided:
    """Have a refund that is abnormal or closed asked for once more, with the same number, to the same account.

    Raises DutyMissing, RefundNotFound, PaymentTransitionRefused.
    """
    staff.require(APPROVE)
    async with transaction():
        found = await _again(staff, number, to_card=False)
        await jobs.enqueue("payments.refund", {"refund": str(found["id"])}, key=f"refund:{found['id']}")
    return Decided(number, RefundState.PROCESSING)


async def to_card(staff: AsStaff, number: str, card: PayerCard) -> Decided:
    """Have an abnormal refund sent to a bank card of the payer instead. The card is handed on and never kept.

    A transaction, the call, a transaction: whoever dies in between, or hears no answer, leaves it in processing, and
    the sweeper asks. Raises DutyMissing, RefundNotFound, PaymentTransitionRefused, RefundCardRejected, and what the
    channel raises; when it said no, the refund is abnormal again.
    """
    staff.require(APPROVE)
    async with transaction():
        found = await _again(staff, number, to_card=True)
    channel = Channel(found["channel"])
    try:
        seen: RefundSeen = await channel_of(channel).refund_to_card(
            number, found["channel_refund_id"], card, sub_merchant_id=found["sub_merchant_id"]
        )
    except PartnerTrouble as trouble:
        if not (isinstance(trouble, PartnerUnreachable) and trouble.maybe_done):
            await _abnormal_again(number, trouble)
        raise
    return Decided(number, await settle_refund(seen, channel=channel, known_by="asked"))


async def _again(staff: AsStaff, number: str, *, to_card: bool) -> asyncpg.Record:
    found = await _of_department(staff, number)
    after = refund_after(RefundState(found["state"]), RefundMove.REPEAT)
    if to_card and (found["state"] != RefundState.ABNORMAL or found["channel_refund_id"] is None):
        raise RefundCardRejected
    await execute(_AGAIN, found["id"], clock.now(), next_check(0))
    await note("refund", found["id"], found["state"], after, "staff")
    await record(RefundRepeated(refund_id=found["id"], payment_id=found["payment_id"], to_card=to_card))
    return found


async def _abnormal_again(number: str, trouble: PartnerTrouble) -> None:
    async with transaction():
        found = await standing(number)
        if found is not None and found["state"] == RefundState.PROCESSING:
            await fail(found, RefundState.ABNORMAL, trouble.partner_code or trouble.code, "asked")


async def _of_department(staff: AsStaff, number: str) -> asyncpg.Record:
    """The refund with its rows locked. Raises RefundNotFound."""
    known = await fetch_row(_REFUND, number, staff.department_id)
    found = await standing(number) if known is not None else None
    if found is None:
        raise RefundNotFound
    return found


def _refuse_late(paid_at: datetime) -> None:
    if clock.now() - paid_at > YEAR:
        raise RefundTooLate
