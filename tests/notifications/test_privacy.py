"""What leaves the house names no person and cannot be made to reveal more: seen in what the partners received."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from uuid_utils.compat import uuid7

from backend import jobs
from backend.cases.events import CaseProgressed
from backend.database import fetch, transaction
from backend.events import record
from backend.partners.sandbox import Sandbox
from models.cases import Case
from models.cases import CaseState as S
from models.identity import Resident
from tests.factories.notifications import a_reachable_resident, consents

ID_NUMBER, PHONE = "11010519491231002X", "13912345678"
HOSTILE = f"{{0.__class__}}{{{{7*7}}}}\n张三{ID_NUMBER} {PHONE}补贴"


async def a_case(resident: Resident) -> Case:
    at = datetime(2026, 11, 22, 7, 4, tzinfo=UTC)
    return await Case.create(
        number=f"CASE{resident.id.hex.upper()}",
        agency_id=uuid7(),
        item_code="X",
        item_name=HOSTILE,
        title="补贴",
        received_at=at,
        due="{}",
        state=S.REJECTED,
        state_at=at,
        resident_id=resident.id,
        outcome="rejected",
    )


@pytest.mark.parametrize("channel", ["mini_program", "official_account", "sms"])
async def test_no_number_of_a_person_and_no_template_trick_reaches_a_partner(sandbox: Sandbox, channel: str):
    resident, persona = await a_reachable_resident(
        sandbox.world, follows=channel == "official_account", phone=channel == "sms"
    )
    if channel == "mini_program":
        await consents(resident, persona, "case-result")
    case = await a_case(resident)
    async with transaction():
        await record(
            CaseProgressed(
                case_id=case.id, case_event_id=uuid7(), from_state=S.IN_REVIEW, to_state=S.REJECTED, code="rejected",
                occurred_at=case.received_at,
            )
        )  # fmt: skip

    await jobs.drain()

    said = [str(list(each.data.values())) for each in sandbox.world.delivered]
    said += [str(each.parameters) for each in sandbox.sms.texts]
    assert len(said) == 1
    [row] = await fetch("SELECT title, body, context, channel FROM messages")
    assert row["channel"] == channel
    everything = said[0] + row["title"] + row["body"] + row["context"]
    assert ID_NUMBER not in everything
    assert PHONE not in everything
    assert persona.phone not in everything
    assert "{0.__class__}{{7*7}} 张三" in row["body"], "braces in a value are nothing but braces"
    assert "\n" not in msgspec.json.decode(row["context"])["item"]


async def test_the_tables_of_messages_hold_no_openid_and_no_phone_in_clear(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world, follows=True, phone=True)
    await consents(resident, persona, "case-result")
    case = await a_case(resident)
    async with transaction():
        await record(
            CaseProgressed(
                case_id=case.id, case_event_id=uuid7(), from_state=S.IN_REVIEW, to_state=S.REJECTED, code="rejected",
                occurred_at=case.received_at,
            )
        )  # fmt: skip
    await jobs.drain()

    for table in ("messages", "message_attempts", "consent_changes", "pgqueuer", "pgqueuer_log", "events"):
        for row in await fetch(f"SELECT t::text AS line FROM {table} t"):
            assert persona.phone not in row["line"]
            assert persona.openid not in row["line"]
            assert persona.oa_openid not in row["line"]
