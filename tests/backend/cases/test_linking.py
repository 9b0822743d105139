"""A resident sees the cases of the phone number they confirmed: whichever came first."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from backend import cases, clock, jobs
from backend.cases import Applicant, IdKind
from backend.crypto import fingerprint, seal
from backend.database import execute, fetch_value, transaction
from backend.events import record
from backend.identity.events import PhoneConfirmed
from backend.identity.principals import AsResident
from backend.settings import using
from models.cases import Case
from models.identity import Resident
from tests.factories.cases import PHONE, a_case, a_number, a_resident_with_phone, an_agency_principal, facts


async def confirm(resident: AsResident, phone: str) -> None:
    """The resident confirms a phone number, as the identity room records it."""
    async with transaction():
        await Resident.filter(id=resident.id).update(
            phone=seal(phone, where="residents.phone", row=resident.id),
            phone_fingerprint=fingerprint(phone, "phone"),
            phone_confirmed_at=clock.now(),
        )
        await record(PhoneConfirmed(resident_id=resident.id))


async def seen_by(resident: AsResident) -> int:
    return await Case.filter(resident_id=resident.id).count()


async def test_cases_that_came_before_the_phone_was_confirmed_are_seen_afterwards():
    case, resident = await a_case(), await a_resident_with_phone(None)
    assert case.resident_id is None

    await confirm(resident, PHONE)
    await jobs.drain(strict=False)

    assert await seen_by(resident) == 1
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'case.linked'") == 1


async def test_hearing_of_it_twice_links_once():
    await a_case()
    resident = await a_resident_with_phone(None)

    await confirm(resident, PHONE)
    await confirm(resident, PHONE)
    await jobs.drain(strict=False)

    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'case.linked'") == 1


async def test_cases_of_other_numbers_and_without_a_number_stay_unseen():
    await a_case(applicant=Applicant("李四", IdKind.RESIDENT_ID, None, "13900139000"))
    await a_case(applicant=Applicant("李四", IdKind.RESIDENT_ID, "11010519491231002X", None))
    resident = await a_resident_with_phone(None)

    await confirm(resident, PHONE)
    await jobs.drain(strict=False)

    assert await seen_by(resident) == 0


async def test_the_next_owner_of_a_number_does_not_see_the_cases_of_the_one_before():
    before = await a_resident_with_phone(PHONE)
    await a_case()
    await execute("UPDATE residents SET phone = NULL, phone_fingerprint = NULL, phone_confirmed_at = NULL")
    after = await a_resident_with_phone(None)

    await confirm(after, PHONE)
    await jobs.drain(strict=False)

    assert (await seen_by(before), await seen_by(after)) == (1, 0)


async def test_cases_that_are_too_old_may_be_another_residents():
    with using(case_link_days=30):
        await a_case(received_at=clock.now() - timedelta(days=31))
        resident = await a_resident_with_phone(None)
        await confirm(resident, PHONE)
        await jobs.drain(strict=False)
        at_push = await a_case(received_at=clock.now() - timedelta(days=31))

    assert await seen_by(resident) == 0
    assert at_push.resident_id is None


async def test_a_closed_account_is_given_nothing():
    resident = await a_resident_with_phone(PHONE)
    await execute("UPDATE residents SET disabled_at = now()")

    await a_case()

    assert await seen_by(resident) == 0


async def test_a_case_that_comes_in_while_the_phone_is_being_confirmed_is_not_missed():
    for n in range(8):
        phone = f"1380013{n:04d}"
        resident, agency = await a_resident_with_phone(None), an_agency_principal()
        said = facts(applicant=Applicant("张三", None, None, phone))

        async def confirmed(resident: AsResident = resident, phone: str = phone) -> None:
            await confirm(resident, phone)
            await jobs.drain(strict=False)

        await asyncio.gather(confirmed(), cases.push_case(agency, a_number(), said))

        assert await seen_by(resident) == 1
