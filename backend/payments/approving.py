"""Refunds that staff request: who may, how much, and when a second person has to approve.

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
from backend.errors import raises
from backend.events import record
from backend.identity import AsStaff
from backend.identity.errors import DutyMissing
from backend.partners.paying.port import (
    ChannelNotOffered,
    ChannelPayerRefused,
    ChannelRefund,
    ChannelRefundNotFound,
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    PayerCard,
)
from backend.payments.errors import (
    PaymentNotFound,
    PaymentTransitionRefused,
    RefundCardRejected,
    RefundNotFound,
    RefundOwnRequest,
    RefundTooLate,
    RefundTooMuch,
    RefundTooOften,
)
from backend.payments.events import RefundRejected, RefundRepeated, RefundRequested
from backend.payments.lifecycle import REFUNDS, RefundTransition
from backend.payments.numbering import staff_refund_number
from backend.payments.refund_sending import channel_of
from backend.payments.refund_settling import lock_refund, mark_failed, next_check, settle_refund
from backend.payments.refunding import dispatch_refund, release_amount, reserve_amount
from backend.payments.transitions import record_transition
from backend.settings import settings
from models.payments import Channel, PaymentState, RefundCause, RefundState

REQUEST_REFUNDS, APPROVE_REFUNDS = "refunds.request", "refunds.approve"
"""The duties of the first and of the second person."""
MAX_PARTS = 50
"""The number of partial refunds that a channel accepts at most. [verified: WeChat Pay]"""
YEAR = timedelta(days=365)
"""The time after the payment in which a channel refunds. [verified: WeChat Pay]"""

# A department's own, and what is owed to no department in particular. Locked in the order of the house.
_PAYMENT = """
SELECT p.id, p.number, p.state, p.paid_at, p.resident_id FROM payments p JOIN fees f ON f.id = p.fee_id
WHERE p.number = $1 AND (f.department_id = $2 OR f.department_id IS NULL) FOR UPDATE OF p
"""
_EARLIER = """
SELECT count(*) FILTER (WHERE cause = 'staff') AS requested,
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
UPDATE refunds SET state = $2, state_at = $3, decided_at = $3, approved_by = $4, check_after = $5, problem = $6
WHERE id = $1
"""
_REPEAT = "UPDATE refunds SET state = 'processing', state_at = $2, checks = 0, check_after = $3 WHERE id = $1"


class RefundDecision(NamedTuple):
    """A refund and its state after a decision."""

    number: str
    state: RefundState


@raises(
    DutyMissing,
    PaymentNotFound,
    PaymentTransitionRefused,
    RefundTooLate,
    RefundTooOften,
    RefundTooMuch,
)
async def request_refund(staff: AsStaff, payment_number: str, amount_fen: int, reason: str) -> RefundDecision:
    """Request a refund of the amount, for a reason that the payer can read.

    It is sent at once (`approved`) or waits for a second person (`requested`); the amount is reserved in both cases.
    Raises PaymentTransitionRefused when there is no money that counts.
    """
    staff.require(REQUEST_REFUNDS)
    async with transaction():
        payment = await fetch_row(_PAYMENT, payment_number, staff.department_id)
        if payment is None:
            raise PaymentNotFound
        if payment["state"] not in (PaymentState.PAID, PaymentState.PART_REFUNDED):
            raise PaymentTransitionRefused(state=payment["state"], transition="refund")
        _refuse_late(payment["paid_at"])
        earlier = await fetch_row(_EARLIER, payment["id"])
        assert earlier is not None
        if earlier["parts"] >= MAX_PARTS or earlier["requested"] >= 99:  # two digits of the number
            raise RefundTooOften
        await reserve_amount(payment["id"], amount_fen)
        number = staff_refund_number(payment_number, earlier["requested"] + 1)
        alone = earlier["alone_fen"] + amount_fen <= settings().refund_second_person_above_fen
        state = await _insert(staff, payment, number, amount_fen, reason, alone=alone)
    return RefundDecision(number, state)


async def _insert(
    staff: AsStaff, payment: asyncpg.Record, number: str, amount_fen: int, reason: str, *, alone: bool
) -> RefundState:
    refund_id, now = uuid7(), clock.now()
    state = RefundState.APPROVED if alone else RefundState.REQUESTED
    times = (now, next_check(0)) if alone else (None, None)
    await execute(
        _INSERT, refund_id, now, number, payment["id"], amount_fen, reason, staff.id, times[0], state.value, times[1]
    )
    await record_transition("refund", refund_id, None, state, "staff")
    if alone:
        await dispatch_refund(refund_id, payment["id"], payment["resident_id"], amount_fen, RefundCause.STAFF)
    else:
        await record(
            RefundRequested(refund_id=refund_id, payment_id=payment["id"], amount_fen=amount_fen, requested_by=staff.id)
        )
    return state


@raises(DutyMissing, RefundNotFound, RefundOwnRequest, PaymentTransitionRefused, RefundTooLate)
async def approve_refund(staff: AsStaff, number: str) -> RefundDecision:
    """Approve the refund as the second person, which promises the money."""
    staff.require(APPROVE_REFUNDS)
    async with transaction():
        found = await _lock_of_department(staff, number)
        if found["requested_by"] == staff.id:
            raise RefundOwnRequest
        after = REFUNDS.after(RefundState(found["state"]), RefundTransition.APPROVE)
        _refuse_late(found["paid_at"])
        await execute(_DECIDE, found["id"], after.value, clock.now(), staff.id, next_check(0), None)
        await record_transition("refund", found["id"], found["state"], after, "staff")
        await dispatch_refund(
            found["id"], found["payment_id"], found["resident_id"], found["amount_fen"], RefundCause.STAFF
        )
    return RefundDecision(number, after)


@raises(DutyMissing, RefundNotFound, PaymentTransitionRefused)
async def reject_refund(staff: AsStaff, number: str, why: str) -> RefundDecision:
    """Reject the refund as the second person, or withdraw one's own request. The amount can be requested again."""
    async with transaction():
        found = await _lock_of_department(staff, number)
        staff.require(REQUEST_REFUNDS if found["requested_by"] == staff.id else APPROVE_REFUNDS)
        after = REFUNDS.after(RefundState(found["state"]), RefundTransition.REJECT)
        await execute(_DECIDE, found["id"], after.value, clock.now(), None, None, why)
        await release_amount(found["payment_id"], found["amount_fen"])
        await record_transition("refund", found["id"], found["state"], after, "staff")
        await record(RefundRejected(refund_id=found["id"], payment_id=found["payment_id"], rejected_by=staff.id))
    return RefundDecision(number, after)


@raises(DutyMissing, RefundNotFound, PaymentTransitionRefused)
async def repeat_refund(staff: AsStaff, number: str) -> RefundDecision:
    """Send a refund that is abnormal or closed once more, with the same number, to the same account."""
    staff.require(APPROVE_REFUNDS)
    async with transaction():
        found = await _begin_repetition(staff, number, to_card=False)
        await jobs.enqueue("payments.refund", {"refund": str(found["id"])}, key=f"refund:{found['id']}")
    return RefundDecision(number, RefundState.PROCESSING)


@raises(
    DutyMissing,
    RefundNotFound,
    PaymentTransitionRefused,
    RefundCardRejected,
    *(ChannelNotOffered, ChannelRefundNotFound, ChannelPayerRefused),
    *(PartnerRefused, PartnerMisconfigured, PartnerBusy, PartnerUnreachable),
)
async def refund_to_card(staff: AsStaff, number: str, card: PayerCard) -> RefundDecision:
    """Send an abnormal refund to a bank card of the payer instead. The card is passed on and never stored.

    A transaction, the call, a transaction: a process that dies in between, or gets no answer, leaves the refund in
    processing, and the sweeper queries it. Raises what the channel raises, too; when the channel refused, the refund is
    abnormal again.
    """
    staff.require(APPROVE_REFUNDS)
    async with transaction():
        found = await _begin_repetition(staff, number, to_card=True)
    channel = Channel(found["channel"])
    try:
        observed: ChannelRefund = await channel_of(channel).refund_to_card(
            number, found["channel_refund_id"], card, sub_merchant_id=found["sub_merchant_id"]
        )
    except PartnerError as error:
        if not (isinstance(error, PartnerUnreachable) and error.maybe_done):
            await _mark_abnormal(number, error)
        raise
    return RefundDecision(number, await settle_refund(observed, channel=channel, known_by="request"))


async def _begin_repetition(staff: AsStaff, number: str, *, to_card: bool) -> asyncpg.Record:
    found = await _lock_of_department(staff, number)
    after = REFUNDS.after(RefundState(found["state"]), RefundTransition.REPEAT)
    if to_card and (found["state"] != RefundState.ABNORMAL or found["channel_refund_id"] is None):
        raise RefundCardRejected
    await execute(_REPEAT, found["id"], clock.now(), next_check(0))
    await record_transition("refund", found["id"], found["state"], after, "staff")
    await record(RefundRepeated(refund_id=found["id"], payment_id=found["payment_id"], to_card=to_card))
    return found


async def _mark_abnormal(number: str, error: PartnerError) -> None:
    async with transaction():
        found = await lock_refund(number)
        if found is not None and found["state"] == RefundState.PROCESSING:
            await mark_failed(found, RefundState.ABNORMAL, error.partner_code or error.code, "request")


async def _lock_of_department(staff: AsStaff, number: str) -> asyncpg.Record:
    """The department's refund, with its rows locked. Raises RefundNotFound."""
    known = await fetch_row(_REFUND, number, staff.department_id)
    found = await lock_refund(number) if known is not None else None
    if found is None:
        raise RefundNotFound
    return found


def _refuse_late(paid_at: datetime) -> None:
    if clock.now() - paid_at > YEAR:
        raise RefundTooLate
