"""What is swept: the charge, the notice that the money is there, the cancelling that gives it back, and the refund.

Each has a stage that is set anew for every death, the operation that dies, and what the world does afterwards: the
resident taps again, WeChat Pay repeats its notice, jobs are taken up by another worker and sweepers come by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar
from uuid import UUID, uuid4

from backend import jobs
from backend.database import execute, fetch_value, transaction
from backend.identity.principals import AsResident
from backend.partners import in_use
from backend.payments import callbacks, charging, checking, refund_sending
from backend.payments.cancelling import cancel_fees
from tests.factories.identity import a_resident
from tests.factories.payments import a_fee
from tests.sweep.world import Caught, World

_LEASES_RUN_OUT = """
UPDATE pgqueuer SET status = 'queued', execute_after = now() WHERE status IN ('queued', 'picked')
"""


class Swept(ABC):
    """One life of one fee, up to the operation and through it."""

    name: ClassVar[str]

    def __init__(self, world: World) -> None:
        self.world = world
        self.resident: AsResident
        self.fee: UUID
        self.subject = uuid4()
        self.number = ""

    async def a_resident_owes(self) -> None:
        """A resident with an openid, and a fee."""
        self.resident = await a_resident()
        fee = await a_fee(resident_id=self.resident.id, subject_id=self.subject)
        self.fee = fee.id

    async def taps(self) -> None:
        """The resident begins to pay, or goes on."""
        self.number = (await charging.charge(self.resident, self.fee, "wechat_pay", channels=in_use().channels)).number

    async def ingests(self, notice: Caught) -> None:
        """The notice arrives."""
        await callbacks.ingest_notice(in_use().channels["wechat_pay"], notice.headers, notice.body)

    def is_paid(self) -> Caught:
        """The payer confirms; what WeChat Pay pushes then."""
        self.world.control("POST", f"/orders/{self.number}/pay", {})
        return self.world.next_push()

    async def time_passes(self) -> None:
        """Jobs are taken up by another worker, and the sweepers find what is due."""
        await execute(
            "UPDATE pgqueuer SET status = 'queued', execute_after = now() WHERE status IN ('queued', 'picked')"
        )
        await jobs.drain(strict=False)
        await execute("UPDATE payments SET check_after = now() - interval '1 second' WHERE check_after IS NOT NULL")
        await execute("UPDATE refunds SET check_after = now() - interval '1 second' WHERE check_after IS NOT NULL")
        await checking.enqueue_due_checks()
        await refund_sending.enqueue_due_refund_checks()
        await execute(_LEASES_RUN_OUT)
        await jobs.drain(strict=False)

    async def is_through(self) -> None:
        """The refunds arrive: their notices are pushed and ingested."""
        self.world.control("POST", "/settle")
        while self.world.caught:
            await self.ingests(self.world.caught.pop(0))

    @abstractmethod
    async def set_stage(self) -> None:
        """Bring everything to where the operation begins."""

    @abstractmethod
    async def operate(self) -> None:
        """What dies."""

    @abstractmethod
    async def go_on(self) -> None:
        """What the world does afterwards, until nothing is open."""

    @abstractmethod
    def expected(self) -> dict[str, Any]:
        """How the books must stand in the end."""


class Charge(Swept):
    """A tap on 支付, and another one after the crash; then it is paid."""

    name = "charge"

    async def set_stage(self) -> None:
        await self.a_resident_owes()

    async def operate(self) -> None:
        await self.taps()

    async def go_on(self) -> None:
        await self.taps()
        await self.ingests(self.is_paid())
        await self.time_passes()

    def expected(self) -> dict[str, Any]:
        return {"state": "paid", "fee": "paid", "orders": 1, "paid": 2000, "refunded": 0, "refunds": 0}


class Notice(Swept):
    """The money is there; WeChat Pay says so again after the crash."""

    name = "callback"

    async def set_stage(self) -> None:
        await self.a_resident_owes()
        await self.taps()
        self.notice = self.is_paid()

    async def operate(self) -> None:
        await self.ingests(self.notice)

    async def go_on(self) -> None:
        await self.ingests(self.notice)
        await self.time_passes()

    def expected(self) -> dict[str, Any]:
        return {"state": "paid", "fee": "paid", "orders": 1, "paid": 2000, "refunded": 0, "refunds": 0}


class LateNotice(Swept):
    """The money comes when nothing is owed any more: it is taken and promised back in one transaction."""

    name = "callback-surplus"

    async def set_stage(self) -> None:
        await self.a_resident_owes()
        await self.taps()
        self.notice = self.is_paid()
        async with transaction():
            await cancel_fees("case", self.subject, "申请人撤回")
        await execute("DELETE FROM pgqueuer")

    async def operate(self) -> None:
        await self.ingests(self.notice)

    async def go_on(self) -> None:
        await self.ingests(self.notice)
        await self.time_passes()
        await self.is_through()
        await self.time_passes()

    def expected(self) -> dict[str, Any]:
        return {"state": "refunded", "fee": "cancelled", "orders": 1, "paid": 2000, "refunded": 2000, "refunds": 1}


class Refund(Swept):
    """A matter that was paid for is withdrawn: the worker asks for the refund, dies, and another one asks again."""

    name = "refund"

    async def set_stage(self) -> None:
        await self.a_resident_owes()
        await self.taps()
        await self.ingests(self.is_paid())
        async with transaction():
            await cancel_fees("case", self.subject, "申请人撤回")
        self.refund: UUID = await fetch_value(
            "SELECT r.id FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE p.number = $1", self.number
        )

    async def operate(self) -> None:
        await refund_sending.send_refund(self.refund)

    async def go_on(self) -> None:
        await self.time_passes()
        await self.is_through()
        await self.time_passes()

    def expected(self) -> dict[str, Any]:
        return {"state": "refunded", "fee": "cancelled", "orders": 1, "paid": 2000, "refunded": 2000, "refunds": 1}


class Withdrawal(Refund):
    """The same, dying in the transaction that cancels the fee and promises the money back."""

    name = "withdrawal"

    async def set_stage(self) -> None:
        await self.a_resident_owes()
        await self.taps()
        await self.ingests(self.is_paid())

    async def operate(self) -> None:
        async with transaction():
            await cancel_fees("case", self.subject, "申请人撤回")

    async def go_on(self) -> None:
        await self.operate()
        await super().go_on()


class RefundNotice(Refund):
    """WeChat Pay says that the refund is through, and says so again after the crash."""

    name = "refund-callback"

    async def set_stage(self) -> None:
        await super().set_stage()
        await refund_sending.send_refund(self.refund)
        self.world.control("POST", "/settle")
        self.notice = self.world.next_push()

    async def operate(self) -> None:
        await self.ingests(self.notice)

    async def go_on(self) -> None:
        await self.ingests(self.notice)
        await self.time_passes()


OPERATIONS: tuple[type[Swept], ...] = (Charge, Notice, LateNotice, Withdrawal, Refund, RefundNotice)
