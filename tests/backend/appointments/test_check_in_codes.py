"""Check-in codes: one minute, one visit, one hall, one use; and one refusal for everything that is not so."""

from __future__ import annotations

import asyncio
import logging
import re
import zlib
from base64 import b32decode, b32encode
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from backend import clock, qr_images
from backend.appointments import attending, check_in_codes
from backend.appointments.check_in_codes import LIFE, SCHEME, encode_code, issue_check_in_code
from backend.appointments.errors import (
    AppointmentNotFound,
    AppointmentTransitionRefused,
    CheckInRefused,
    TooEarlyToCheckIn,
)
from backend.appointments.tickets import QueueTicket
from backend.database import execute, fetch_value
from backend.identity import timing
from backend.identity.principals import AsOperator, AsResident
from backend.settings import using
from models.appointments import Appointment, AppointmentState
from models.queueing import Ticket
from tests.factories.appointments import a_slot, an_appointment, somebody

STAFF = AsOperator()
SOON = timedelta(seconds=1)


async def a_visit(**changes: object) -> tuple[AsResident, Appointment, UUID]:
    """A resident whose slot is about to begin, their appointment and its hall."""
    resident = await somebody()
    slot = await a_slot(starts_in=SOON, day=clock.today())
    appointment = await an_appointment(slot, resident, **changes)  # type: ignore[arg-type]
    return resident, appointment, slot.hall_id


async def test_a_code_checks_its_visit_in_and_gives_a_number():
    resident, appointment, hall_id = await a_visit()

    shown = await issue_check_in_code(resident, appointment.id)
    found = await attending.check_in_by_code(STAFF, hall_id, shown.code)

    assert re.fullmatch(r"[A-Z]{1,2}001", found.label)
    assert (await Appointment.get(id=appointment.id)).state is AppointmentState.CHECKED_IN
    assert timedelta(0) < shown.expires_at - timing.now() <= LIFE
    assert 0 < shown.refresh_in < LIFE.total_seconds()


async def test_a_code_is_no_address_and_names_no_person():
    resident, appointment, _ = await a_visit()

    code = (await issue_check_in_code(resident, appointment.id)).code

    assert re.fullmatch(r"ZB1\.[A-Z2-7]{103}", code)
    assert "://" not in code
    assert appointment.number not in code
    assert str(resident.id) not in code


@pytest.mark.parametrize("times", [2, 64])
async def test_a_code_is_used_once_however_many_scan_it_at_once(times: int):
    resident, appointment, hall_id = await a_visit()
    code = (await issue_check_in_code(resident, appointment.id)).code

    scans = [attending.check_in_by_code(STAFF, hall_id, code) for _ in range(times)]
    outcomes = await asyncio.gather(*scans, return_exceptions=True)

    assert sum(isinstance(each, QueueTicket) for each in outcomes) == 1
    assert sum(isinstance(each, CheckInRefused) for each in outcomes) == times - 1
    assert await Ticket.filter(appointment_id=appointment.id).count() == 1


async def test_of_two_codes_of_one_visit_one_is_used():
    resident, appointment, hall_id = await a_visit()
    codes = [(await issue_check_in_code(resident, appointment.id)).code for _ in range(2)]

    scans = [attending.check_in_by_code(STAFF, hall_id, code) for code in codes]
    outcomes = await asyncio.gather(*scans, return_exceptions=True)

    assert sorted(type(each) for each in outcomes if isinstance(each, Exception)) == [CheckInRefused]
    assert await Ticket.all().count() == 1


async def test_an_expired_code_is_refused_and_one_of_this_second_is_not():
    _, appointment, hall_id = await a_visit()
    over = encode_code(appointment.id, hall_id, appointment.day, timing.now() - timedelta(seconds=1))
    good = encode_code(appointment.id, hall_id, appointment.day, timing.now() + timedelta(seconds=30))

    with pytest.raises(CheckInRefused):
        await attending.check_in_by_code(STAFF, hall_id, over)
    with clock.travel(by=timedelta(seconds=31)), pytest.raises(CheckInRefused):
        await attending.check_in_by_code(STAFF, hall_id, good)

    assert await attending.check_in_by_code(STAFF, hall_id, good)


async def test_a_code_for_another_hall_or_another_day_is_refused():
    resident, appointment, hall_id = await a_visit()
    _, _, other_hall = await a_visit()
    ends = timing.now() + LIFE
    tomorrow = encode_code(appointment.id, hall_id, appointment.day + timedelta(days=1), ends)
    moved_hall = encode_code(appointment.id, other_hall, appointment.day, ends)
    good = (await issue_check_in_code(resident, appointment.id)).code

    for code, at in ((good, other_hall), (tomorrow, hall_id), (moved_hall, other_hall)):
        with pytest.raises(CheckInRefused):
            await attending.check_in_by_code(STAFF, at, code)

    assert await Ticket.all().count() == 0


async def test_a_code_of_a_visit_that_was_cancelled_or_never_was_is_refused():
    _, appointment, hall_id = await a_visit(state=AppointmentState.CANCELLED)
    ends = timing.now() + LIFE

    for identity in (appointment.id, uuid7()):
        with pytest.raises(CheckInRefused):
            await attending.check_in_by_code(STAFF, hall_id, encode_code(identity, hall_id, appointment.day, ends))


async def test_every_refusal_looks_the_same_and_only_the_security_log_knows_why(caplog: pytest.LogCaptureFixture):
    resident, appointment, hall_id = await a_visit()
    good = (await issue_check_in_code(resident, appointment.id)).code
    over = encode_code(appointment.id, hall_id, appointment.day, timing.now() - timedelta(minutes=5))
    await attending.check_in_by_code(STAFF, hall_id, good)
    caplog.set_level(logging.INFO)

    answers = []
    for code, at in ((good, hall_id), (over, hall_id), (good, uuid7()), ("ZB1.FORGED", hall_id)):
        with pytest.raises(CheckInRefused) as caught:
            check_in_codes.decode_code(code, at) if at != hall_id else None
            await attending.check_in_by_code(STAFF, hall_id, code)
        answers.append((str(caught.value), caught.value.facts, caught.value.detail))

    assert len({str(each) for each in answers}) == 1
    assert [each.reason for each in caplog.records if hasattr(each, "reason")] == [  # type: ignore[attr-defined]
        "replayed",
        "expired",
        "other-hall",
        "forged",
    ]


@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_code_with_any_bit_changed_is_forged(place: int, bit: int):
    hall_id, day = UUID(int=7), clock.today()
    code = encode_code(UUID(int=9), hall_id, day, timing.now() + LIFE)
    raw = bytearray(b32decode(code.removeprefix(SCHEME) + "=" * (-len(code.removeprefix(SCHEME)) % 8)))
    raw[place % len(raw)] ^= 1 << bit

    with pytest.raises(CheckInRefused):
        check_in_codes.decode_code(SCHEME + b32encode(bytes(raw)).decode().rstrip("="), hall_id)

    assert check_in_codes.decode_code(code, hall_id).day == day


@pytest.mark.parametrize(
    "text", ["", "ZB1.", "ZB2.AAAA", "https://example.org/?t=ZB1.AAAA", "ZB1." + "A" * 500, "ZB1.甲", "\x00", "zb1.!!"]
)
def test_everything_else_that_is_scanned_is_refused(text: str):
    with pytest.raises(CheckInRefused):
        check_in_codes.decode_code(text, UUID(int=7))


@given(st.text(max_size=150))
@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_makes_the_scanner_fall_over(text: str):
    for code in (text, SCHEME + text):
        with pytest.raises(CheckInRefused):
            check_in_codes.decode_code(code, UUID(int=7))


def test_a_code_written_under_an_older_key_is_accepted_while_the_key_is_on_the_ring():
    old, new = f"old:{'11' * 32}", f"new:{'22' * 32}"
    with using(fingerprint_keys=old):
        code = encode_code(UUID(int=9), UUID(int=7), clock.today(), timing.now() + LIFE)

    with using(fingerprint_keys=f"{new},{old}"):
        assert check_in_codes.decode_code(code, UUID(int=7)).appointment_id == UUID(int=9)
    with using(fingerprint_keys=new), pytest.raises(CheckInRefused):
        check_in_codes.decode_code(code, UUID(int=7))


async def test_too_early_leaves_the_code_unused_and_says_when_to_come():
    resident = await somebody()
    slot = await a_slot(starts_in=attending.EARLIEST + timedelta(minutes=10))
    appointment = await an_appointment(slot, resident)
    code = (await issue_check_in_code(resident, appointment.id)).code

    with pytest.raises(TooEarlyToCheckIn) as caught:
        await attending.check_in_by_code(STAFF, slot.hall_id, code)
    await execute("UPDATE slots SET starts_at = now() WHERE id = $1", slot.id)

    assert "opens_at" in caught.value.facts
    assert await attending.check_in_by_code(STAFF, slot.hall_id, code)


async def test_only_the_owner_gets_a_code_and_only_for_a_visit_to_come():
    resident, appointment, hall_id = await a_visit()

    with pytest.raises(AppointmentNotFound):
        await issue_check_in_code(await somebody(), appointment.id)
    await attending.check_in_by_code(STAFF, hall_id, (await issue_check_in_code(resident, appointment.id)).code)
    with pytest.raises(AppointmentTransitionRefused):
        await issue_check_in_code(resident, appointment.id)


async def test_spent_codes_are_forgotten_after_a_day():
    resident, appointment, hall_id = await a_visit()
    await attending.check_in_by_code(STAFF, hall_id, (await issue_check_in_code(resident, appointment.id)).code)

    await check_in_codes.delete_spent_codes()
    kept = await fetch_value("SELECT count(*) FROM spent_check_ins")
    await execute("UPDATE spent_check_ins SET spent_at = now() - interval '25 hours'")
    await check_in_codes.delete_spent_codes()

    assert (kept, await fetch_value("SELECT count(*) FROM spent_check_ins")) == (1, 0)


def modules(image: bytes) -> list[list[bool]]:
    """The pixels of one of our PNGs: True is dark."""
    width = int.from_bytes(image[16:20], "big")
    start = image.index(b"IDAT")
    packed = zlib.decompress(image[start + 4 : start + 4 + int.from_bytes(image[start - 4 : start], "big")])
    row = 1 + -(-width // 8)
    rows = [packed[at + 1 : at + row] for at in range(0, len(packed), row)]
    return [[not (line[x // 8] >> (7 - x % 8)) & 1 for x in range(width)] for line in rows]


def test_both_pictures_show_the_same_code_with_a_quiet_zone():
    code = encode_code(UUID(int=9), UUID(int=7), clock.today(), timing.now() + LIFE)

    pixels, drawn = modules(qr_images.png_code(code, 1)), qr_images.svg_code(code).decode()

    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1", drawn)
    dark = {(int(x) + step, int(y)) for x, y, length in runs for step in range(int(length))}
    assert dark == {(x, y) for y, row in enumerate(pixels) for x, is_dark in enumerate(row) if is_dark}
    assert len(pixels) <= 45, "it stays small enough for an old phone's screen"
    assert min(min(each) for each in dark) == qr_images.QUIET
    assert len(modules(qr_images.png_code(code, 480))) in range(400, 481)
    assert "script" not in drawn
