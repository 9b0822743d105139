"""A person gets a copy of everything, and can be forgotten."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import msgspec
import pytest

from backend import data_subjects, jobs
from backend.auditing import seal_new, verify
from backend.crypto import seal
from backend.database import execute, fetch, fetch_value
from backend.deliveries import tracking
from backend.identity import AsResident
from backend.partners.courier.port import Track
from models.deliveries import DeliveryState
from tests.factories.appointments import an_appointment
from tests.factories.cases import PHONE, a_case, reported
from tests.factories.deliveries import STREET, a_delivery, a_node, a_shipment, address_of
from tests.factories.identity import a_resident, headers_of
from tests.factories.notifications import partners_in_the_sandbox


@pytest.fixture(autouse=True)
async def _wechat(_clean: None) -> AsyncIterator[None]:
    """Messages go out through the sandbox."""
    async with partners_in_the_sandbox():
        yield


async def _somebody_with_a_case() -> AsResident:
    resident = await a_resident(phone=PHONE)
    await reported(await a_case(), "受理")
    await jobs.drain()
    return resident


async def test_the_copy_holds_the_phone_the_case_and_the_messages_and_no_secret():
    resident = await _somebody_with_a_case()

    copy = await data_subjects.export(await data_subjects.find(PHONE))

    text = msgspec.json.encode(copy, enc_hook=str).decode()
    assert copy["residents"][0]["phone"] == PHONE
    assert copy["residents"][0]["id"] == resident.id
    assert len(copy["cases"]) == 1
    assert copy["case_events"]
    assert copy["messages"]
    assert "v1.aes-gcm" not in text
    assert "fingerprint" not in text


async def test_who_is_forgotten_is_found_nowhere_and_the_ledger_stays_whole(client: httpx.AsyncClient):
    resident = await _somebody_with_a_case()
    headers = headers_of(resident)
    assert (await client.get("/v1/resident/me", headers=headers)).status_code == 200

    erased = await data_subjects.erase(resident.id)
    await jobs.drain()

    assert {"cases", "messages"} <= erased.keys()
    assert await fetch_value("SELECT phone FROM residents WHERE id = $1", resident.id) is None
    for table in ("wechat_accounts", "messages", "cases"):
        assert await fetch_value(f"SELECT count(*) FROM {table} WHERE resident_id = $1", resident.id) == 0
    assert (await client.get("/v1/resident/me", headers=headers)).status_code == 401
    with pytest.raises(data_subjects.ResidentNotFound):
        await data_subjects.find(PHONE)
    await seal_new()
    assert await verify() == []
    [event] = await fetch("SELECT payload FROM events WHERE name = 'resident.erased'")
    assert json.loads(event["payload"])["erased"] == erased


async def test_forgetting_twice_finds_nothing_the_second_time():
    resident = await _somebody_with_a_case()

    await data_subjects.erase(resident.id)

    assert await data_subjects.erase(resident.id) == {}


async def test_an_unknown_person_cannot_be_forgotten():
    with pytest.raises(data_subjects.ResidentNotFound):
        await data_subjects.erase(uuid4())


async def test_the_name_of_a_booking_is_copied_and_then_forgotten():
    resident = await a_resident(phone=PHONE)
    appointment = (await an_appointment(resident=resident)).id
    sealed = seal("王芳", where="appointments.visitor_name", row=appointment)
    await execute("UPDATE appointments SET visitor_name = $2, visitor_key = 'k' WHERE id = $1", appointment, sealed)

    [copied] = (await data_subjects.export(resident.id))["appointments"]
    erased = await data_subjects.erase(resident.id)

    assert copied["visitor_name"] == "王芳"
    assert "visitor_key" not in copied
    assert erased["appointments"] == 1
    row = await fetch("SELECT visitor_name, visitor_key FROM appointments WHERE id = $1", appointment)
    assert [tuple(each) for each in row] == [(None, None)]


async def test_what_was_brought_keeps_no_address_and_no_words_of_the_courier_when_its_owner_is_forgotten():
    resident = await a_resident()
    on_its_way = await a_shipment(await a_delivery(resident, state=DeliveryState.IN_TRANSIT))
    brought = await a_shipment(await a_delivery(resident, state=DeliveryState.ORDERED))
    track = Track(waybill=str(brought.waybill), company="ems", nodes=(a_node("delivered", -1),), complete=True)
    await tracking.ingest_tracks([track], source="kuaidi100", trusted=True)

    copy = await data_subjects.export(resident.id)
    erased = await data_subjects.erase(resident.id)

    assert {each["street"] for each in copy["deliveries"]} == {STREET}
    assert copy["shipment_nodes"][0]["raw_text"] == track.nodes[0].raw_text
    assert (erased["deliveries"], erased["shipment_nodes"]) == (1, 1)
    assert await fetch_value("SELECT raw_text FROM shipment_nodes") == ""
    left = await fetch("SELECT name, phone, street FROM deliveries WHERE street = ''")
    assert [tuple(row.values()) for row in left] == [("", "", "")]
    assert (await address_of((await on_its_way.delivery).id))["street"] == STREET
