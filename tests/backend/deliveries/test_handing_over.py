"""At the counter: codes that identify the owner, the document in hand, a signature, and an end to trying."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from backend import clock, data_subjects, jobs
from backend.cases.collecting import is_applicant
from backend.crypto import open_sealed
from backend.database import fetch, fetch_row, fetch_value
from backend.deliveries import handing_over, resident_views
from backend.deliveries.errors import (
    DeliveryNotFound,
    DeliveryTransitionRefused,
    HandOverRefused,
    HandOverTried,
    SignatureUnusable,
)
from backend.deliveries.handing_over import IdentityProof
from backend.identity import delegating
from backend.identity.errors import DutyMissing
from backend.identity.principals import AsResident, AsStaff
from backend.settings import SettingsError, using
from models.deliveries import Delivery, DeliveryState, Method, Postage
from tests.factories.cases import ID_NUMBER, a_case, facts
from tests.factories.deliveries import NAME, a_delivery, a_pickup_point, a_signature, delivery_state, moves_of
from tests.factories.identity import a_delegation, a_resident

NOBODY = IdentityProof(name="王五", code="00000000")


async def known(kind: str, subject: UUID, name: str, tail: str) -> bool:
    """The person behind every subject is 田秀英 with 002X."""
    return (name, tail) == (NAME, "002X")


def staff_of(delivery: Delivery, *duties: str) -> AsStaff:
    assert delivery.department_id is not None
    return AsStaff(uuid7(), delivery.department_id, frozenset(duties or (handing_over.HAND_OVER,)))


async def at_the_counter(resident: AsResident | None = None, **changes: Any) -> tuple[Delivery, AsResident, AsStaff]:
    """Something that lies at a counter, its owner, and a member of staff of the department."""
    resident = resident or await a_resident()
    delivery = await a_delivery(resident, method=Method.PICKUP, postage=Postage.FREE, **changes)
    staff = staff_of(delivery)
    await handing_over.make_ready(staff, delivery.number)
    return delivery, resident, staff


async def code_of(resident: AsResident, delivery: Delivery) -> str:
    code = (await resident_views.get_own_delivery(resident, delivery.number)).pickup_code
    assert code is not None
    return code


async def give(staff: AsStaff, delivery: Delivery, shown: IdentityProof) -> None:
    await handing_over.hand_over(staff, delivery.number, shown, a_signature(), identity_check=known)


async def test_what_came_to_the_counter_is_kept_for_so_many_days_and_notified():
    delivery, resident, _ = await at_the_counter()

    row = await fetch_row("SELECT kept_until, version FROM deliveries WHERE id = $1", delivery.id)
    assert row is not None
    assert row["kept_until"] == clock.today() + timedelta(days=30)
    assert await moves_of(delivery.id) == ["to_send", "ready"]
    seen = await resident_views.get_own_delivery(resident, delivery.number)
    assert seen.pickup_code is not None
    assert len(seen.pickup_code) == 8
    assert seen.pickup_code.isdecimal()
    assert seen.pickup_point is not None
    assert seen.pickup_point.hours


async def test_the_residents_own_code_is_enough_and_the_signature_is_kept_sealed():
    delivery, resident, staff = await at_the_counter()

    await give(staff, delivery, IdentityProof(name=NAME, code=await code_of(resident, delivery)))

    row = await fetch_row("SELECT * FROM hand_overs WHERE delivery_id = $1", delivery.id)
    assert row is not None
    assert (row["relation"], row["checked_with"], row["staff_id"]) == ("self", "pickup_code", staff.id)
    assert open_sealed(row["taken_by"], where="hand_overs.taken_by", row=row["id"]) == NAME
    assert open_sealed(row["signature"], where="hand_overs.signature", row=row["id"]) == a_signature()
    assert await delivery_state(delivery.id) == "handed_over"
    assert (await resident_views.get_own_delivery(resident, delivery.number)).pickup_code is None


async def test_a_delegate_has_a_code_of_their_own_that_says_so_and_ends_with_the_delegation():
    mother, daughter = await a_resident(), await a_resident()
    delegation = await a_delegation(mother, daughter, matters=("deliveries",))
    delivery, _, staff = await at_the_counter(mother)
    hers = await code_of(daughter, delivery)
    assert hers != await code_of(mother, delivery)

    await delegating.end_delegation(mother, delegation)
    with pytest.raises(HandOverRefused):
        await give(staff, delivery, IdentityProof(name="王小红", code=hers))
    await a_delegation(mother, daughter, matters=("all",))
    await give(staff, delivery, IdentityProof(name="王小红", code=hers))

    row = await fetch_row("SELECT relation, checked_with FROM hand_overs")
    assert row is not None
    assert tuple(row.values()) == ("delegate", "delegation")


async def test_a_delegate_in_other_matters_fetches_nothing():
    mother, daughter = await a_resident(), await a_resident()
    await a_delegation(mother, daughter, matters=("cases", "payments"))
    delivery, _, staff = await at_the_counter(mother)
    row = await fetch_row("SELECT pickup_code_fingerprint AS secret FROM deliveries WHERE id = $1", delivery.id)
    assert row is not None
    would_be = handing_over.pickup_codes.code_of(row["secret"], daughter.id)

    with pytest.raises(HandOverRefused):
        await give(staff, delivery, IdentityProof(name="王小红", code=would_be))


async def test_codes_stay_good_while_the_key_changes_and_the_next_key_makes_new_ones():
    with using(fingerprint_keys="k1:" + "1" * 64):
        delivery, resident, staff = await at_the_counter()
        old = await code_of(resident, delivery)
    with using(fingerprint_keys="k2:" + "2" * 64 + ",k1:" + "1" * 64):
        assert await code_of(resident, delivery) != old
        await give(staff, delivery, IdentityProof(name=NAME, code=old))

    assert await delivery_state(delivery.id) == "handed_over"


@pytest.mark.parametrize(
    ("name", "tail", "given"),
    [(NAME, "002X", True), (NAME, "002x", True), (NAME, "0021", False), ("田秀", "002X", False), (NAME, "..", False)],
)
async def test_the_own_document_is_enough_when_name_and_last_four_are_the_applicants(name: str, tail: str, given: bool):
    case = await a_case(**_applicant())
    delivery, _, staff = await at_the_counter(subject_id=case.id)
    handing = handing_over.hand_over(
        staff, delivery.number, IdentityProof(name=name, id_last_four=tail), a_signature(), identity_check=is_applicant
    )

    if given:
        await handing
        row = await fetch_row("SELECT relation, checked_with FROM hand_overs")
        assert row is not None
        assert tuple(row.values()) == ("self", "resident_id")
    else:
        with pytest.raises(HandOverRefused):
            await handing


def _applicant() -> dict[str, Any]:
    applicant = facts().applicant
    assert applicant.id_number == ID_NUMBER
    return {"applicant": type(applicant)(name=NAME, id_kind=applicant.id_kind, id_number=ID_NUMBER)}


async def test_of_something_that_is_no_case_no_document_is_known():
    assert not await is_applicant("licence", uuid7(), NAME, "002X")
    assert not await is_applicant("case", uuid7(), NAME, "002X")


async def test_without_a_proof_nothing_is_handed_over():
    delivery, _, staff = await at_the_counter()

    with pytest.raises(HandOverRefused):
        await give(staff, delivery, IdentityProof(name=NAME))


async def test_after_so_many_refusals_no_attempt_is_allowed_for_a_while_not_even_with_the_right_code():
    delivery, resident, staff = await at_the_counter()
    right = IdentityProof(name=NAME, code=await code_of(resident, delivery))

    for _ in range(5):
        with pytest.raises(HandOverRefused):
            await give(staff, delivery, NOBODY)
    with pytest.raises(HandOverTried) as caught:
        await give(staff, delivery, right)
    assert 0 < (caught.value.retry_after or 0) <= 1800
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'delivery.hand-over-denied'") == 5

    with clock.travel(by=timedelta(minutes=31)):
        await give(staff, delivery, right)
    assert await delivery_state(delivery.id) == "handed_over"


async def test_trying_at_many_counters_at_once_gains_no_try():
    delivery, _, staff = await at_the_counter()

    answers = await asyncio.gather(*(give(staff, delivery, NOBODY) for _ in range(12)), return_exceptions=True)

    assert sum(isinstance(each, HandOverRefused) for each in answers) == 5
    assert sum(isinstance(each, HandOverTried) for each in answers) == 7


async def test_two_who_hand_over_at_once_give_it_away_once():
    delivery, resident, staff = await at_the_counter()
    shown = IdentityProof(name=NAME, code=await code_of(resident, delivery))

    answers = await asyncio.gather(*(give(staff, delivery, shown) for _ in range(4)), return_exceptions=True)

    assert sum(each is None for each in answers) == 1
    assert sum(isinstance(each, DeliveryTransitionRefused) for each in answers) == 3
    assert await fetch_value("SELECT count(*) FROM hand_overs") == 1


async def test_without_a_signature_nothing_is_given_and_no_try_is_counted():
    delivery, resident, staff = await at_the_counter()
    shown = IdentityProof(name=NAME, code=await code_of(resident, delivery))

    with pytest.raises(SignatureUnusable):
        await handing_over.hand_over(staff, delivery.number, shown, a_signature(drawn=False), identity_check=known)

    assert await delivery_state(delivery.id) == "ready"
    assert await fetch_value("SELECT refusals FROM deliveries WHERE id = $1", delivery.id) == 0


async def test_the_counters_own_department_hands_over_too_and_no_other():
    point = await a_pickup_point()
    delivery = await a_delivery(method=Method.PICKUP, pickup_point=point)
    counter = AsStaff(uuid7(), point.department_id, frozenset({handing_over.HAND_OVER}))
    stranger = AsStaff(uuid7(), uuid7(), frozenset({handing_over.HAND_OVER}))

    with pytest.raises(DeliveryNotFound):
        await handing_over.make_ready(stranger, delivery.number)
    with pytest.raises(DutyMissing):
        await handing_over.make_ready(staff_of(delivery, "deliveries.send"), delivery.number)
    assert (await handing_over.make_ready(counter, delivery.number)).state is DeliveryState.READY


async def test_what_is_posted_never_lies_at_a_counter():
    delivery = await a_delivery()

    with pytest.raises(DeliveryNotFound):
        await handing_over.make_ready(staff_of(delivery), delivery.number)


async def test_it_is_kept_longer_until_a_day_that_makes_sense():
    delivery, _, staff = await at_the_counter()
    today = clock.today()

    kept = await handing_over.keep_until(staff, delivery.number, today + timedelta(days=60))

    assert kept.kept_until == today + timedelta(days=60)
    for day in (today - timedelta(days=1), today + timedelta(days=handing_over.LONGEST_DAYS + 1)):
        with pytest.raises(DeliveryTransitionRefused):
            await handing_over.keep_until(staff, delivery.number, day)
    with pytest.raises(DeliveryTransitionRefused):
        other = await a_delivery(method=Method.PICKUP)
        await handing_over.keep_until(staff_of(other), other.number, today)


async def reminded(delivery: Delivery) -> list[int]:
    rows = await fetch(
        "SELECT payload::json->>'days_left' AS left FROM events WHERE name = 'delivery.pickup-due' AND subject_id = $1 "
        "ORDER BY id",
        delivery.id,
    )
    return [int(row["left"]) for row in rows]


async def test_owners_are_reminded_once_per_reminder_and_not_when_it_was_fetched():
    delivery, _, _ = await at_the_counter()
    fetched, owner, _ = await at_the_counter()
    await give(staff_of(fetched), fetched, IdentityProof(name=NAME, code=await code_of(owner, fetched)))

    for days in (0, 22, 23, 23, 24, 29, 29, 30, 31, 40):
        with clock.travel(by=timedelta(days=days)):
            await handing_over.record_reminders()

    assert await reminded(delivery) == [7, 1]
    assert await reminded(fetched) == []


async def test_a_service_that_was_down_reminds_of_what_is_left_and_not_twice():
    delivery, _, _ = await at_the_counter()
    short, _, _ = await at_the_counter()
    await handing_over.keep_until(staff_of(short), short.number, clock.today())

    with clock.travel(by=timedelta(days=29)):
        assert await asyncio.gather(handing_over.record_reminders(), handing_over.record_reminders()) in (
            [1, 0],
            [0, 1],
        )
    await handing_over.record_reminders()

    assert await reminded(delivery) == [1]
    assert await reminded(short) == [0]


@pytest.mark.parametrize("wrong", ["soon", "7,-1"])
def test_malformed_reminders_are_refused(wrong: str):
    with using(pickup_reminders=wrong), pytest.raises(SettingsError):
        handing_over.reminder_days()


async def test_an_erased_resident_leaves_no_name_and_no_signature():
    delivery, resident, staff = await at_the_counter()
    await give(staff, delivery, IdentityProof(name=NAME, code=await code_of(resident, delivery)))

    copy = await data_subjects.export(resident.id)
    await data_subjects.erase(resident.id)

    assert copy["hand_overs"][0]["taken_by"] == NAME
    assert await fetch_value("SELECT taken_by || signature FROM hand_overs") == ""
    assert (await data_subjects.export(resident.id))["hand_overs"][0]["taken_by"] == ""
    await jobs.drain(strict=False)
