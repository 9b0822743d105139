"""Staff sign in with both factors; every fault looks the same (B-18 … B-20, B-26)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from argon2 import extract_parameters

from backend import cache, clock, jobs
from backend.database import execute, fetch_value
from backend.identity import attempts, one_time_codes, passwords, staff_signing_in, timing
from backend.identity.errors import (
    AttemptsExhausted,
    CredentialsWrong,
    PasswordExpired,
    PasswordWeak,
    SessionEnded,
)
from backend.identity.staff import disable_staff, enrol_staff
from backend.identity.staff_signing_in import StaffSession, authenticate_staff, sign_in_staff
from backend.settings import using
from models.events import EventRecord
from tests.factories.identity import (
    OPERATOR,
    PASSWORD,
    StaffCredentials,
    a_department_id,
    staff_credentials,
    staff_signed_in,
)

ADDRESS = "10.0.0.7"


@pytest.fixture(autouse=True)
def _early_in_a_step() -> Iterator[None]:
    """No code grows old between two lines of a test: it begins when a step of half a minute has just begun."""
    with clock.travel(by=timedelta(seconds=31 - timing.seconds() % 30)):
        yield


async def enter(who: StaffCredentials, **changes: str) -> StaffSession:
    given = {"login": who.login, "password": who.password, "code": who.code, "address": ADDRESS, **changes}
    return await sign_in_staff(given.pop("login"), given.pop("password"), given.pop("code"), **given)


async def test_both_factors_open_a_session() -> None:
    who = await staff_credentials(duties=["cases.read"])

    given = await enter(who)

    staff = await authenticate_staff(given.staff_id, given.session_id)
    assert (staff.id, staff.department_id, staff.duties) == (who.id, who.department_id, {"cases.read"})
    assert await EventRecord.filter(name="staff.signed-in", subject_id=who.id).count() == 1


@pytest.mark.parametrize("change", [{"password": "Wrong-Horse-42!"}, {"code": "000000"}, {"login": "nobody"}])
async def test_one_wrong_factor_is_enough_to_be_refused(change: dict[str, str]) -> None:
    who = await staff_credentials()
    if change.get("code") == who.code:
        change = {"code": "111111"}

    with pytest.raises(CredentialsWrong):
        await enter(who, **change)

    assert await fetch_value("SELECT count(*) FROM staff_sessions") == 0


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345", "12 456"])
async def test_everything_that_is_no_code_is_a_wrong_code(code: str) -> None:
    who = await staff_credentials()

    with pytest.raises(CredentialsWrong):
        await enter(who, code=code)


async def test_the_name_may_be_written_in_capitals() -> None:
    who = await staff_credentials()

    assert await enter(who, login=f" {who.login.upper()} ")


async def test_a_code_opens_once() -> None:
    who = await staff_credentials()
    code = who.code
    await enter(who, code=code)

    with pytest.raises(CredentialsWrong):
        await enter(who, code=code)


async def test_of_ten_uses_of_a_code_at_once_one_wins() -> None:
    who = await staff_credentials()
    code = who.code

    outcomes = await asyncio.gather(
        *(enter(who, code=code, address=f"10.0.1.{n}") for n in range(10)), return_exceptions=True
    )

    assert sum(isinstance(each, StaffSession) for each in outcomes) == 1
    assert sum(isinstance(each, CredentialsWrong) for each in outcomes) == 9


async def test_a_code_older_than_the_last_one_is_void_though_its_time_is_not_over() -> None:
    who = await staff_credentials()
    now = timing.seconds()
    await enter(who, code=one_time_codes.code_at(who.secret, now + 30))

    with pytest.raises(CredentialsWrong):
        await enter(who, code=one_time_codes.code_at(who.secret, now))


async def test_codes_of_the_neighbouring_steps_are_taken_and_no_others() -> None:
    now = timing.seconds()
    for distance, opens in ((-30, True), (30, True), (-90, False), (90, False)):
        who = await staff_credentials()
        code = one_time_codes.code_at(who.secret, now + distance)
        if opens:
            assert await enter(who, code=code)
        else:
            with pytest.raises(CredentialsWrong):
                await enter(who, code=code)


# -- guessing ----------------------------------------------------------------------------------------


async def guess(who: StaffCredentials, times: int, address: str = ADDRESS) -> None:
    for _ in range(times):
        with pytest.raises(CredentialsWrong):
            await enter(who, password="Guessed-Horse-1", address=address)


async def test_after_five_guesses_the_right_password_is_refused_too_and_redis_cannot_free_it() -> None:
    who = await staff_credentials()
    await guess(who, attempts.PER_SOURCE)

    await cache.redis().flushdb()
    with pytest.raises(AttemptsExhausted) as refused:
        await enter(who)

    assert 0 < (refused.value.retry_after or 0) <= 600
    with clock.travel(by=timedelta(minutes=11)):
        assert await enter(who)


async def test_guesses_at_once_are_no_more_than_guesses_in_a_row() -> None:
    who = await staff_credentials()

    outcomes = await asyncio.gather(
        *(enter(who, password="Guessed-Horse-1") for _ in range(20)), return_exceptions=True
    )

    assert sum(isinstance(each, CredentialsWrong) for each in outcomes) == attempts.PER_SOURCE
    assert sum(isinstance(each, AttemptsExhausted) for each in outcomes) == 20 - attempts.PER_SOURCE


async def test_a_name_that_does_not_exist_is_locked_like_one_that_does() -> None:
    who = await staff_credentials()
    real, invented = [], []

    for login, seen in ((who.login, real), ("invented", invented)):
        for _ in range(7):
            with pytest.raises((CredentialsWrong, AttemptsExhausted)) as refused:
                await enter(who, login=login, password="Guessed-Horse-1")
            seen.append((refused.value.code, refused.value.detail, refused.value.facts))

    assert real == invented


async def test_an_attacker_who_guesses_does_not_lock_the_owner_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PER_LOGIN", 6)
    who = await staff_credentials()
    await enter(who, address="192.168.7.7", code=one_time_codes.code_at(who.secret, timing.seconds() - 30))
    for n in range(3):
        await guess(who, 2, address=f"172.16.0.{n}")

    with pytest.raises(AttemptsExhausted):
        await enter(who, address="172.16.9.9")
    assert await enter(who, address="192.168.7.7")


async def test_a_success_clears_the_counter_of_its_own_source_only() -> None:
    who = await staff_credentials()
    await guess(who, 4, address="10.0.0.1")
    await guess(who, 4, address="10.0.0.2")

    await enter(who, address="10.0.0.1")

    assert await fetch_value("SELECT count(*) FROM sign_in_attempts") == 4


def test_a_whole_ipv6_network_of_one_customer_is_one_source() -> None:
    assert attempts.source_of("2001:db8:1:2::1") == attempts.source_of("2001:db8:1:2:ffff::9")
    assert attempts.source_of("2001:db8:1:2::1") != attempts.source_of("2001:db8:1:3::1")
    assert attempts.source_of("::ffff:10.0.0.1") == attempts.source_of("10.0.0.1")
    assert attempts.source_of("unknown") == attempts.source_of("unknown")


async def test_failures_stand_in_the_ledger_for_accounts_that_exist() -> None:
    who = await staff_credentials()
    await guess(who, 1)
    with pytest.raises(CredentialsWrong):
        await enter(who, login="invented")

    await jobs.drain()

    assert await EventRecord.filter(name="staff.sign-in-failed").count() == 1
    assert (await EventRecord.get(name="staff.sign-in-failed")).subject_id == who.id


async def test_unusually_many_failures_over_all_accounts_raise_the_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "ANOMALY", 3)
    before = attempts.ANOMALIES._value.get()
    who = await staff_credentials()

    for n in range(3):
        with pytest.raises(CredentialsWrong):
            await enter(who, login=f"account{n}", address=f"10.1.0.{n}")

    assert attempts.ANOMALIES._value.get() == before + 1


async def test_a_name_that_does_not_exist_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 is what takes the time: it runs once, on a hash of the same cost, whether the name exists or not."""
    who = await staff_credentials()
    kept: list[str] = []

    def noting(hashed: str, password: str) -> bool:
        kept.append(hashed)
        return verify(hashed, password)

    verify = passwords._verify
    monkeypatch.setattr(passwords, "_verify", noting)
    for login in (who.login, "nobody"):
        with pytest.raises(CredentialsWrong):
            await enter(who, login=login, password="Guessed-Horse-1")

    real, nobody = kept
    assert real != nobody
    assert extract_parameters(real) == extract_parameters(nobody)


# -- passwords that are too old or too weak ----------------------------------------------------------


async def test_a_password_given_by_others_must_be_changed_before_anything_else() -> None:
    department_id = await a_department_id()
    enrolled = await enrol_staff(
        OPERATOR, login="wang.fang", name="王芳", department_id=department_id, duties=[], password=PASSWORD
    )
    who = StaffCredentials(enrolled.staff_id, "wang.fang", PASSWORD, enrolled.totp_secret, department_id)
    with pytest.raises(PasswordExpired):
        await enter(who, code=one_time_codes.code_at(who.secret, timing.seconds() - 30))
    assert await fetch_value("SELECT count(*) FROM staff_sessions") == 0

    given = await enter(who, new_password="Another-Horse-43")

    assert await authenticate_staff(given.staff_id, given.session_id)
    with clock.travel(by=timedelta(minutes=1)), pytest.raises(CredentialsWrong):
        await enter(who)


async def test_a_password_is_too_old_after_ninety_days() -> None:
    who = await staff_credentials()

    with clock.travel(by=timedelta(days=89)):
        assert await enter(who)
    with clock.travel(by=timedelta(days=91)), pytest.raises(PasswordExpired):
        await enter(who)
    with using(staff_password_days=0), clock.travel(by=timedelta(days=92)):
        assert await enter(who)


@pytest.mark.parametrize(
    "weak",
    [PASSWORD, "Short-1", "onlylowercase", "Aa1-Aa1-Aa1-", "x" * 129, "Password-2026!", "Staffname-in-it-7"],
)
async def test_a_weak_new_password_changes_nothing(weak: str) -> None:
    who = await staff_credentials(login="staffname")

    with pytest.raises(PasswordWeak) as refused:
        await enter(who, new_password=weak)

    assert refused.value.fields[0].pointer == "/new_password"
    assert await enter(who)


async def test_a_weak_new_password_does_not_reveal_whether_the_factors_were_right() -> None:
    who = await staff_credentials()

    for change in ({}, {"password": "Wrong-Horse-42!"}, {"code": "000000"}, {"login": "nobody"}):
        with pytest.raises(PasswordWeak):
            await enter(who, new_password="weak", **change)

    assert await fetch_value("SELECT count(*) FROM sign_in_attempts") == 0


async def test_a_new_password_ends_the_other_sessions() -> None:
    who = await staff_credentials()
    before = await enter(who, code=one_time_codes.code_at(who.secret, timing.seconds() - 30))

    after = await enter(who, new_password="Another-Horse-43")

    with pytest.raises(SessionEnded):
        await authenticate_staff(before.staff_id, before.session_id)
    assert await authenticate_staff(after.staff_id, after.session_id)


async def test_passwords_and_secrets_are_not_kept_in_clear() -> None:
    who = await staff_credentials()

    row = await fetch_value("SELECT row_to_json(m)::text FROM staff_members m WHERE id = $1", who.id)

    assert who.password not in row
    assert who.secret not in row
    assert "李娜" not in row
    assert "$argon2id$" in row


# -- the session -------------------------------------------------------------------------------------


async def test_a_session_is_over_after_fifteen_minutes_without_a_request() -> None:
    given = await staff_signed_in(await staff_credentials())
    with clock.travel(by=timedelta(minutes=14)):
        assert await authenticate_staff(given.staff_id, given.session_id)
    with clock.travel(by=timedelta(minutes=28)):
        assert await authenticate_staff(given.staff_id, given.session_id)

    with clock.travel(by=timedelta(minutes=44)), pytest.raises(SessionEnded):
        await authenticate_staff(given.staff_id, given.session_id)


async def test_a_busy_session_is_over_in_the_end() -> None:
    given = await staff_signed_in(await staff_credentials())
    for minutes in range(10, 12 * 60, 10):
        with clock.travel(by=timedelta(minutes=minutes)):
            assert await authenticate_staff(given.staff_id, given.session_id)

    with clock.travel(by=timedelta(hours=12)), pytest.raises(SessionEnded):
        await authenticate_staff(given.staff_id, given.session_id)


async def test_a_closed_account_is_out_at_once() -> None:
    who = await staff_credentials()
    given = await staff_signed_in(who)

    await disable_staff(OPERATOR, who.id)

    with pytest.raises(SessionEnded):
        await authenticate_staff(given.staff_id, given.session_id)
    with clock.travel(by=timedelta(minutes=2)), pytest.raises(CredentialsWrong):
        await enter(who)


async def test_a_session_belongs_to_the_one_it_was_opened_for() -> None:
    given = await staff_signed_in(await staff_credentials())
    other = await staff_credentials()

    for staff_id, session_id in ((other.id, given.session_id), (given.staff_id, uuid4())):
        with pytest.raises(SessionEnded):
            await authenticate_staff(staff_id, session_id)


async def test_signing_out_ends_the_session() -> None:
    given = await staff_signed_in(await staff_credentials())
    staff = await authenticate_staff(given.staff_id, given.session_id)

    await staff_signing_in.sign_out_staff(staff)
    await staff_signing_in.sign_out_staff(staff)

    with pytest.raises(SessionEnded):
        await authenticate_staff(given.staff_id, given.session_id)
    assert await EventRecord.filter(name="staff.signed-out").count() == 1


async def test_an_account_closed_between_the_check_and_the_session_does_not_enter() -> None:
    who = await staff_credentials()
    real = one_time_codes.step_of

    with pytest.MonkeyPatch.context() as patch:

        async def closing(*arguments: object) -> object:
            found = real(who.code, who.secret)
            await execute("UPDATE staff_members SET disabled_at = now() WHERE id = $1", who.id)
            return found

        patch.setattr(staff_signing_in, "_checked", closing)
        with pytest.raises(CredentialsWrong):
            await enter(who)

    assert await fetch_value("SELECT count(*) FROM staff_sessions") == 0
