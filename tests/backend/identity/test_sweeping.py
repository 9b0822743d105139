"""What is thrown away by the clock, and what stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend import clock, identity
from backend.database import execute, fetch_value
from backend.identity import spent_codes, timing
from backend.identity.sweeping import sweep_identity
from backend.schedule import timetable
from tests.factories.identity import a_resident, an_agency, signed_in, staff_credentials, staff_signed_in


class Spent(Exception):
    """The error that the caller of `claimed` wants."""


async def count(table: str) -> int:
    return int(await fetch_value(f'SELECT count(*) FROM "{table}"'))


async def test_codes_attempts_and_nonces_go_when_they_guard_nothing_any_more() -> None:
    await signed_in()
    agency = await an_agency()
    await execute(
        "INSERT INTO agency_nonces (key_id, nonce, at) SELECT id, 'n', now() FROM agency_keys WHERE name = $1",
        agency.key,
    )
    await execute("INSERT INTO sign_in_attempts (subject, source, at) VALUES ('s', 'p', now())")

    await sweep_identity({})
    assert [await count(each) for each in ("spent_codes", "agency_nonces", "sign_in_attempts")] == [1, 1, 1]
    with clock.travel(by=timedelta(hours=13)):
        await sweep_identity({})

    assert [await count(each) for each in ("spent_codes", "agency_nonces", "sign_in_attempts")] == [0, 0, 0]


async def test_a_claimed_code_stays_claimed_for_as_long_as_wechat_would_take_it() -> None:
    async with spent_codes.spend_code("wx-login", "the-code", Spent):
        pass

    with clock.travel(by=timedelta(minutes=6)):
        await sweep_identity({})
        with pytest.raises(Spent):
            async with spent_codes.spend_code("wx-login", "the-code", Spent):
                pass


async def test_sessions_that_are_over_stay_for_half_a_year_and_living_ones_for_ever() -> None:
    resident = await a_resident()
    await identity.sign_out_resident(resident)
    staff = await staff_credentials()
    await staff_signed_in(staff)

    with clock.travel(by=timedelta(days=179)):
        kept = await a_resident()
        await sweep_identity({})
        assert (await count("sessions"), await count("staff_sessions")) == (2, 1)
    with clock.travel(by=timedelta(days=182)):
        await sweep_identity({})
        assert (await count("sessions"), await count("staff_sessions")) == (1, 0)

    assert await fetch_value("SELECT id FROM sessions") == kept.session_id


async def test_sweeping_twice_is_the_same_as_once_and_stands_in_the_timetable() -> None:
    await sweep_identity({})
    await sweep_identity({})

    assert "identity.sweep" in {name for _, name in timetable().cron}
    assert timing.now()
