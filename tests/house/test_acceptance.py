"""An examiner reads the views of `acceptance`, and nothing else; nothing personal is in them."""

from __future__ import annotations

import asyncpg
import pytest

from backend import privacy_scan
from backend.settings import settings
from models.appointments import AppointmentState
from models.identity import Resident
from tests.factories.appointments import a_slot, an_appointment
from tests.factories.cases import a_case, a_resident_with_phone, reported
from tests.factories.identity import a_resident, a_staff
from tests.factories.notifications import a_message
from tests.owner import as_owner

COLUMNS = {
    "v_outbox": {"key", "kind", "state", "attempts"},
    "v_transition": {"entity", "id", "from", "to", "at", "actor", "step"},
    "v_slot": {"slot_id", "capacity", "held", "booked"},
    "v_payment": {"out_trade_no", "state", "total_fen", "paid_fen", "refunded_fen"},
    "v_ledger": {"grp", "ref", "account", "amount_fen"},
    "v_delivery": {"number", "state", "method", "waybill", "company", "shipment_state"},
    "v_booking": {"booking_id", "slot_id", "person_id", "item_id", "day", "state", "active"},
    "v_session": {"id", "kind", "subject_id", "created_at", "last_used_at", "expires_at", "ended_at", "end_reason"},
}


async def test_the_views_show_what_they_promise():
    async with as_owner() as owner:
        rows = await owner.fetch(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'acceptance'"
        )

    shown: dict[str, set[str]] = {}
    for row in rows:
        shown.setdefault(row["table_name"], set()).add(row["column_name"])
    assert shown == COLUMNS


async def test_a_life_is_seen_through_the_views():
    resident, staff = await a_resident(phone="13800138000"), await a_staff()
    case = await a_case()
    await reported(case, "受理", "办结")
    await a_message(await Resident.get(id=resident.id))

    async with as_owner() as owner:
        await owner.execute(f"SET ROLE {settings().reader_role}")
        steps = await owner.fetch(
            'SELECT "from", "to" FROM acceptance.v_transition WHERE id = $1 ORDER BY step', case.id
        )
        outbox = await owner.fetch("SELECT kind, state, attempts FROM acceptance.v_outbox")
        sessions = await owner.fetch("SELECT kind, subject_id FROM acceptance.v_session ORDER BY kind")

    assert [row["from"] for row in steps][1:] == [row["to"] for row in steps][:-1]
    assert (steps[0]["from"], steps[-1]["to"]) == ("SUBMITTED", "CLOSED")
    assert [tuple(row) for row in outbox] == [("case_accepted", "PENDING", 0)]
    assert [tuple(row) for row in sessions] == [("resident", resident.id), ("staff", staff.id)]
    text = repr([*steps, *outbox, *sessions])
    assert privacy_scan.personal(text) == []


async def test_slots_and_places_are_seen_through_the_views():
    slot = await a_slot(3)
    booked = await an_appointment(slot)
    await an_appointment(slot, state=AppointmentState.CANCELLED)

    async with as_owner() as owner:
        await owner.execute(f"SET ROLE {settings().reader_role}")
        [shown] = await owner.fetch("SELECT * FROM acceptance.v_slot")
        places = await owner.fetch("SELECT booking_id, state, active FROM acceptance.v_booking ORDER BY active")

    assert dict(shown) == {"slot_id": slot.id, "capacity": 3, "held": 0, "booked": 1}
    assert [(row["state"], row["active"]) for row in places] == [("CANCELLED", False), ("BOOKED", True)]
    assert places[1]["booking_id"] == booked.id


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM residents", "SELECT * FROM events", "SELECT * FROM messages", "DELETE FROM acceptance.v_outbox",
     "UPDATE acceptance.v_outbox SET attempts = 1", "CREATE TABLE acceptance.mine (x int)", "SELECT * FROM pgqueuer"],
)  # fmt: skip
async def test_the_reader_reads_nothing_else_and_changes_nothing(statement: str):
    async with as_owner() as owner:
        await owner.execute(f"SET ROLE {settings().reader_role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute(statement)


async def test_a_view_never_hides_a_session_that_ended():
    await a_resident_with_phone()
    resident = await a_resident()
    async with as_owner() as owner:
        await owner.execute("UPDATE sessions SET ended_at = now(), end_reason = 'signed-out'")
        row = await owner.fetchrow("SELECT subject_id, end_reason FROM acceptance.v_session")

    assert tuple(row) == (resident.id, "signed-out")
