"""The model of money (E-2): in any order of actions and however often, what came in is accounted for.

The machine runs in a thread and does everything on the loop of the tests, so that the use cases and PostgreSQL are the
real ones; the two channels are in memory and keep the promises of the port.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)

from backend import clock, jobs, partners, payments
from backend.database import execute, fetch, fetch_row, fetch_value, transaction
from backend.identity.principals import AsStaff
from backend.partners.paying.port import ChannelOrderState, ChannelRefundState, PartnerUnreachable
from backend.payments import approving, refund_sending
from backend.payments.errors import (
    FeeNotFound,
    FeeNotOpen,
    PaymentBeingMade,
    PaymentClosed,
    PaymentNoticeMismatch,
    PaymentTransitionRefused,
    RefundTooMuch,
)
from models.payments import Fee
from tests.factories.identity import a_resident, a_staff
from tests.factories.payments import a_fee, balance
from tests.factories.regions import a_department
from tests.factories.till import Till, with_tills
from tests.machines import Machine, play

T = TypeVar("T")
FEN = 2000
_merchants = itertools.count(1)
DUTIES = (payments.MANAGE_FEES, approving.REQUEST_REFUNDS, approving.APPROVE_REFUNDS)
EXPECTED = (
    FeeNotFound,
    FeeNotOpen,
    PaymentBeingMade,
    PaymentClosed,
    PaymentTransitionRefused,
    RefundTooMuch,
    PaymentNoticeMismatch,
    PartnerUnreachable,
)


class Money(Machine):
    """One payer with two fees, two channels, and an officer who waives and refunds."""

    def attempt(self, work: Awaitable[Any]) -> Any:
        """Do it, or be refused for a reason that the model knows."""

        async def run() -> Any:
            try:
                return await work
            except EXPECTED as error:
                return error

        return self.do(run())

    @initialize(at_once=st.booleans())
    def begin(self, at_once: bool) -> None:
        self.bodies: list[tuple[Till, bytes]] = []
        self.moved = timedelta(0)
        self.ended: dict[int, str] = {}
        self.do(self._begin(at_once))
        for fee, channel in ((0, 0), (0, 1), (1, 0)):
            self.charge(fee, channel, 1, False)

    async def _begin(self, at_once: bool) -> None:
        # A merchant of its own for every example: nothing can be taken out of the ledger again.
        self.merchant = f"19{next(_merchants):08d}"
        self.tills = [
            Till(name, merchant_id=self.merchant, refunds_at_once=at_once) for name in ("wechat_pay", "alipay")
        ]
        self.channels = with_tills(*self.tills)
        department = await a_department()
        self.payer = await a_resident()
        self.staff: AsStaff = await a_staff(department_id=department.id, duties=DUTIES)
        self.fees: list[Fee] = [
            await a_fee(resident_id=self.payer.id, department_id=department.id, charge_ref=f"fee-{n}", unit_fen=FEN)
            for n in range(2)
        ]

    @rule(fee=st.integers(0, 1), channel=st.integers(0, 1), taps=st.integers(1, 3), lost=st.booleans())
    def charge(self, fee: int, channel: int, taps: int, lost: bool) -> None:
        till = self.tills[channel]
        if lost:
            till.lose("place")

        async def crowd() -> list[Any]:
            each = (
                payments.charge(self.payer, self.fees[fee].id, till.name, channels=self.channels) for _ in range(taps)
            )
            return await asyncio.gather(*each, return_exceptions=True)

        for answer in self.do(crowd()):
            assert isinstance(answer, (payments.PaymentAttempt, *EXPECTED)), answer

    def orders(self) -> list[tuple[Till, str]]:
        return [(till, number) for till in self.tills for number in till.orders]

    @rule(data=st.data(), fen=st.sampled_from([None, None, None, 1, FEN + 1]), copies=st.integers(0, 3))
    def the_payer_confirms_and_the_channel_notifies(self, data: st.DataObject, fen: int | None, copies: int) -> None:
        till, number = data.draw(st.sampled_from(self.orders()))
        closed = till.orders[number].state is ChannelOrderState.CLOSED
        body = till.notice(till.pay(number, fen=fen))
        self.bodies.append((till, body))
        # In its very last second: a payment without a notice is found by the bill, not here.
        self.ingest(till, body, max(copies, 1) if closed else copies)
        if closed:
            self.do(jobs.drain())

    @rule(data=st.data())
    def the_channel_reports_an_order_as_it_is(self, data: st.DataObject) -> None:
        till, number = data.draw(st.sampled_from(self.orders()))
        body = till.notice(till._seen(till.orders[number]))
        self.bodies.append((till, body))
        self.ingest(till, body, 1)

    @precondition(lambda self: any(till.refunds for till in self.tills))
    @rule(data=st.data(), state=st.sampled_from(list(ChannelRefundState)), notifies=st.booleans())
    def a_refund_goes_on(self, data: st.DataObject, state: ChannelRefundState, notifies: bool) -> None:
        till = data.draw(st.sampled_from([each for each in self.tills if each.refunds]))
        number = data.draw(st.sampled_from(sorted(till.refunds)))
        # What has arrived has arrived; what the channel closed it does not take up again by itself.
        unfinished = till.refunds[number].state in (ChannelRefundState.PROCESSING, ChannelRefundState.ABNORMAL)
        if unfinished and state is not ChannelRefundState.CLOSED:
            till.refunded(number, state)
        if notifies:
            body = till.notice(till.refunds[number])
            self.bodies.append((till, body))
            self.ingest(till, body, 2)

    @precondition(lambda self: self.bodies)
    @rule(data=st.data(), copies=st.integers(1, 3))
    def an_old_notice_comes_again(self, data: st.DataObject, copies: int) -> None:
        self.ingest(*data.draw(st.sampled_from(self.bodies)), copies)

    def ingest(self, till: Till, body: bytes, copies: int) -> None:
        async def one() -> None:
            try:
                await payments.ingest_notice(till, {}, body)
            except PaymentNoticeMismatch:
                return

        async def crowd() -> None:
            await asyncio.gather(*(one() for _ in range(copies)))

        self.do(crowd())

    @rule(data=st.data())
    def an_order_is_checked(self, data: st.DataObject) -> None:
        _, number = data.draw(st.sampled_from(self.orders()))
        self.attempt(payments.check_payment(number))

    @rule(data=st.data(), silent=st.booleans())
    def an_order_is_over(self, data: st.DataObject, silent: bool) -> None:
        till, number = data.draw(st.sampled_from(self.orders()))
        self.do(execute("UPDATE payments SET expires_at = now() - interval '1 second' WHERE number = $1", number))
        if silent:
            till.fail("query", PartnerUnreachable("x", "timeout", maybe_done=True))
        self.pass_time(120)

    @rule(seconds=st.sampled_from([10, 90, 700]))
    def pass_time(self, seconds: int) -> None:
        self.moved += timedelta(seconds=seconds)
        self.do(self._background())

    async def _background(self) -> None:
        with clock.travel(by=self.moved):
            await payments.enqueue_due_checks()
            await refund_sending.enqueue_due_refund_checks()
            await jobs.drain()

    @rule(fee=st.integers(0, 1), what=st.sampled_from(["nothing", "nothing", "waive", "cancel"]))
    def a_fee_ends(self, fee: int, what: str) -> None:
        async def cancel() -> None:
            async with transaction():
                await payments.cancel_fees("case", self.fees[fee].subject_id, "申请已撤回")

        if what == "waive":
            answer = self.attempt(payments.waive_fee(self.staff, self.fees[fee].id, "低保家庭"))
            if not isinstance(answer, EXPECTED):
                self.ended[fee] = "waived"
        elif what == "cancel":
            self.attempt(cancel())
            self.ended.setdefault(fee, "cancelled")

    @rule(data=st.data(), fen=st.sampled_from([1, 500, FEN]))
    def the_officer_refunds(self, data: st.DataObject, fen: int) -> None:
        _, number = data.draw(st.sampled_from(self.orders()))
        self.attempt(self._refund(number, fen))

    async def _refund(self, number: str, fen: int) -> None:
        await approving.request_refund(self.staff, number, fen, "多缴退回")

    @invariant()
    def every_group_of_the_ledger_is_balanced_and_no_refund_exceeds_what_was_paid(self) -> None:
        self.do(self._sound())

    async def _sound(self) -> None:
        assert await fetch("SELECT group_id FROM ledger_postings GROUP BY 1 HAVING sum(amount_fen) <> 0") == []
        assert await fetch("SELECT ref FROM ledger_groups GROUP BY 1 HAVING count(*) > 1") == []
        paid, refunded = await self._sums()
        held = sum([await balance(f"channel:{till.name}:{till.merchant_id}") for till in self.tills])
        assert held == paid - refunded

    async def _sums(self) -> tuple[int, int]:
        row = await fetch_row(_SUMS, self.merchant)
        assert row is not None
        return row["paid"], row["refunded"]

    def teardown(self) -> None:
        """Then everything falls quiet: no question is open, and every fen that came in is accepted or back."""
        if hasattr(self, "tills"):
            self.do(self._quiet())

    async def _quiet(self) -> None:
        for till in self.tills:
            till._failures.clear()
            till._lost.clear()
            till.refunds_at_once = True
        await execute(_OVER)
        for _ in range(6):
            self.moved += timedelta(hours=2)
            for till in self.tills:
                for number, refund in till.refunds.items():
                    if refund.state in (ChannelRefundState.PROCESSING, ChannelRefundState.ABNORMAL):
                        till.refunded(number)
            await self._background()
        await self._sound()
        came = sum(
            order.paid_fen or 0
            for till in self.tills
            for order in till.orders.values()
            if order.state is ChannelOrderState.PAID
        )
        back = sum(refund.amount_fen for till in self.tills for refund in till.refunds.values())
        paid, refunded = await self._sums()
        accepted = await fetch_value(_ACCEPTED, self.merchant)
        assert (paid, refunded) == (came, back)
        assert paid == accepted + refunded
        assert await balance("owed-to-payers") == 0
        assert await fetch("SELECT number, state FROM payments WHERE state IN ('created', 'prepaid', 'surplus')") == []
        assert await fetch("SELECT number FROM payments WHERE refunding_fen > 0") == []
        for fee in self.fees:
            state = await fetch_value("SELECT state FROM fees WHERE id = $1", fee.id)
            assert state == self.ended.get(self.fees.index(fee), state)
            assert (state == "paid") == bool(await fetch_value(_COUNTS, fee.id)), state
        partners.equip(None)


_OVER = "UPDATE payments SET expires_at = now() - interval '1 second' WHERE state IN ('created', 'prepaid')"
_SUMS = """
SELECT coalesce(sum(paid_fen), 0)::int AS paid, coalesce(sum(refunded_fen), 0)::int AS refunded
FROM payments WHERE merchant_id = $1
"""
_ACCEPTED = """
SELECT coalesce(sum(paid_fen - refunded_fen), 0)::int FROM payments
WHERE merchant_id = $1 AND state IN ('paid', 'part_refunded')
"""
_COUNTS = "SELECT count(*) FROM payments WHERE fee_id = $1 AND state IN ('paid', 'part_refunded')"


async def test_money_is_accounted_for_after_any_history():
    # What races is not to be repeated step by step.
    await play(Money, examples=30, steps=20, phases=[Phase.generate])
