"""What people live through before something is examined."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.cases import Applicant, IdKind
from backend.partners.sandbox import Sandbox
from notifications import draining
from tests.factories.cases import ID_NUMBER, a_case, an_agency_principal, reported
from tests.factories.notifications import a_reachable_resident, consents, partners_in_the_sandbox


@asynccontextmanager
async def a_notified_case() -> AsyncIterator[Sandbox]:
    """A case from the push to its end, each step notified to its resident through WeChat; and one of an applicant
    without an account."""
    async with partners_in_the_sandbox() as sandbox:
        resident, persona = await a_reachable_resident(sandbox.world, phone=True)
        await consents(resident, persona, times=5)
        case = await a_case(
            an_agency_principal(), applicant=Applicant("张三丰", IdKind.RESIDENT_ID, ID_NUMBER, persona.phone)
        )
        await reported(case, "受理", "补正", "补正受理", "决定", "办结")
        stranger = Applicant("李四", IdKind.RESIDENT_ID, ID_NUMBER, "13911112222")
        await a_case(an_agency_principal(), applicant=stranger)
        await draining.drain_outbox(once=False)
        assert sandbox.world.delivered
        yield sandbox
