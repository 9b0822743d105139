"""Accounts of staff and their duties: every change holds at once, and power is divided (B-35)."""

from __future__ import annotations

from uuid import uuid4

import pytest

from backend.errors import Invalid
from backend.identity import AsOperator, AsStaff, staff
from backend.identity.errors import (
    DutiesInConflict,
    DutyInvalid,
    DutyMissing,
    LoginTaken,
    PasswordWeak,
    SessionEnded,
    StaffNotFound,
)
from backend.identity.staff_signing_in import authenticate_staff
from models.events import EventRecord
from tests.factories.identity import (
    OPERATOR,
    PASSWORD,
    a_department_id,
    a_staff,
    staff_credentials,
    staff_signed_in,
)


async def enrol(by: AsStaff | AsOperator, **changes: object) -> staff.EnrolledStaff:
    given = {
        "login": "zhang.wei",
        "name": "张伟",
        "department_id": await a_department_id(),
        "duties": [],
        "password": PASSWORD,
        **changes,
    }
    return await staff.enrol_staff(by, **given)  # type: ignore[arg-type]


async def test_an_account_comes_with_a_secret_for_the_owners_app() -> None:
    enrolled = await enrol(OPERATOR)

    assert enrolled.totp_address.startswith("otpauth://totp/")
    assert enrolled.totp_secret in enrolled.totp_address
    assert (await EventRecord.get(name="staff.enrolled")).subject_id == enrolled.staff_id


async def test_a_login_is_given_once() -> None:
    await enrol(OPERATOR)

    with pytest.raises(LoginTaken):
        await enrol(OPERATOR, login="ZHANG.wei")


@pytest.mark.parametrize("login", ["", "x", "张伟", "has space", "-dash", "a" * 40])
async def test_a_login_has_a_plain_form(login: str) -> None:
    with pytest.raises(Invalid):
        await enrol(OPERATOR, login=login)


async def test_an_account_needs_a_department_and_a_good_password() -> None:
    with pytest.raises(Invalid):
        await enrol(OPERATOR, department_id=uuid4())
    with pytest.raises(PasswordWeak):
        await enrol(OPERATOR, password="weak")


async def test_only_the_system_officer_makes_accounts_and_cannot_give_duties_with_them() -> None:
    officer = await a_staff(duties=["staff.manage"])

    assert await enrol(officer)
    with pytest.raises(DutyMissing):
        await enrol(officer, login="li.si", duties=["cases.read"])
    with pytest.raises(DutyMissing):
        await enrol(await a_staff(duties=["cases.handle"]), login="li.si")


async def test_the_security_officer_gives_duties_but_never_to_themselves() -> None:
    security = await a_staff(duties=["duties.grant"])
    who = await staff_credentials(duties=["cases.read"])
    given = await staff_signed_in(who)

    await staff.change_duties(security, who.id, ["cases.handle"])

    assert (await authenticate_staff(given.staff_id, given.session_id)).duties == {"cases.handle"}
    with pytest.raises(DutiesInConflict):
        await staff.change_duties(security, security.id, ["cases.handle"])
    with pytest.raises(DutyMissing):
        await staff.change_duties(await a_staff(duties=["staff.manage"]), who.id, [])
    with pytest.raises(StaffNotFound):
        await staff.change_duties(security, uuid4(), [])


@pytest.mark.parametrize(
    "duties",
    [["staff.manage", "duties.grant"], ["duties.grant", "audit.read"], ["agencies.manage", "audit.read"]],
)
async def test_the_three_officers_are_three_people(duties: list[str]) -> None:
    with pytest.raises(DutiesInConflict):
        await enrol(OPERATOR, duties=duties)


async def test_a_duty_that_does_not_exist_cannot_be_given() -> None:
    with pytest.raises(DutyInvalid):
        await enrol(OPERATOR, duties=["everything"])


async def test_moving_to_another_department_holds_at_once() -> None:
    who, elsewhere = await staff_credentials(), await a_department_id()
    given = await staff_signed_in(who)

    await staff.move_staff(OPERATOR, who.id, elsewhere)

    assert (await authenticate_staff(given.staff_id, given.session_id)).department_id == elsewhere
    with pytest.raises(Invalid):
        await staff.move_staff(OPERATOR, who.id, uuid4())


async def test_new_credentials_make_the_old_ones_and_all_sessions_void() -> None:
    who = await staff_credentials()
    given = await staff_signed_in(who)

    renewed = await staff.reset_staff(OPERATOR, who.id, "Another-Horse-43")

    assert renewed.totp_secret != who.secret
    with pytest.raises(SessionEnded):
        await authenticate_staff(given.staff_id, given.session_id)
    with pytest.raises(StaffNotFound):
        await staff.reset_staff(OPERATOR, uuid4(), "Another-Horse-43")


async def test_members_of_staff_see_who_they_are() -> None:
    member = await a_staff(duties=["cases.read", "cases.handle"])

    me = await staff.get_own_staff_account(member)

    assert (me.id, me.name, me.duties) == (member.id, "李娜", ("cases.handle", "cases.read"))


def test_a_duty_is_asked_for_by_name() -> None:
    member = AsStaff(uuid4(), uuid4(), frozenset({"cases.read"}))

    member.require("cases.read")
    with pytest.raises(DutyMissing) as refused:
        member.require("cases.handle")
    assert refused.value.facts == {"duty": "cases.handle"}
