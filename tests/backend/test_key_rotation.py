"""Data keys change while the service runs, and nothing is lost."""

from __future__ import annotations

import os

import pytest

from backend import crypto, jobs, key_rotation
from backend.database import execute, fetch, fetch_value
from backend.deliveries import tracking
from backend.partners.courier.port import Track
from backend.settings import using
from tests.factories.cases import PHONE, a_case, a_resident_with_phone, facts
from tests.factories.deliveries import a_node, a_shipment
from tests.factories.identity import a_resident, an_agency, staff_credentials

OLD, NEW = (f"{name}:{os.urandom(32).hex()}" for name in ("k1", "k2"))
OLD_INDEX, NEW_INDEX = (f"{name}:{os.urandom(32).hex()}" for name in ("f1", "f2"))


async def test_every_sealed_column_of_the_tables_is_on_the_list():
    with using(data_keys=OLD, fingerprint_keys=OLD_INDEX):
        await a_resident(phone=PHONE)
        await an_agency()
        await staff_credentials()
        await a_case()
        found = set()
        for row in await fetch(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type = 'text'"
        ):
            sealed = await fetch_value(
                f'SELECT 1 FROM "{row["table_name"]}" WHERE "{row["column_name"]}" LIKE \'v1.%.k1.%\' LIMIT 1'
            )
            if sealed:
                found.add(f"{row['table_name']}.{row['column_name']}")

    assert {
        "residents.phone",
        "wechat_accounts.openid",
        "agency_keys.secret",
        "staff_members.name",
        "cases.applicant_phone",
    } <= found
    assert found <= {each.where for each in key_rotation.SEALED}


async def test_with_a_new_key_everything_is_sealed_anew_and_found_all_the_while():
    with using(data_keys=OLD, fingerprint_keys=OLD_INDEX):
        resident = await a_resident_with_phone()
        case = await a_case()
    with using(data_keys=f"{NEW},{OLD}", fingerprint_keys=f"{NEW_INDEX},{OLD_INDEX}"):
        before = await key_rotation.keys_in_use()
        done = await key_rotation.reseal()
        after = await key_rotation.keys_in_use()

    assert set(before) == {"k1"}
    assert done["residents.phone"] == 1
    assert set(after) == {"k2"}
    with using(data_keys=NEW, fingerprint_keys=NEW_INDEX):
        row = await fetch_value("SELECT phone FROM residents WHERE id = $1", resident.id)
        assert crypto.open_sealed(row, where="residents.phone", row=resident.id) == PHONE
        assert await fetch_value("SELECT phone_fingerprint FROM residents WHERE id = $1", resident.id) == (
            crypto.fingerprint(PHONE, "phone")
        )
        identity = facts().applicant.id_number
        assert identity is not None
        assert await fetch_value(
            "SELECT applicant_id_tail_fingerprint FROM cases WHERE id = $1", case.id
        ) == crypto.fingerprint(f"{case.number}:{identity[-4:]}", "id-tail")


async def test_changing_the_cipher_seals_anew_too():
    with using(data_keys=OLD):
        resident = await a_resident_with_phone()
    with using(data_keys=OLD, data_cipher="sm4-gcm"):
        await key_rotation.reseal()

        sealed = await fetch_value("SELECT phone FROM residents WHERE id = $1", resident.id)

    assert sealed.startswith("v1.sm4-gcm.k1.")


async def test_a_second_run_has_nothing_to_do():
    await a_resident_with_phone()

    assert await key_rotation.reseal() == {}


async def test_a_value_that_was_tampered_with_stops_the_run_and_stays_as_it_is():
    with using(data_keys=OLD):
        resident = await a_resident_with_phone()
        sealed = await fetch_value("SELECT phone FROM residents WHERE id = $1", resident.id)
        broken = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
        await execute("UPDATE residents SET phone = $2 WHERE id = $1", resident.id, broken)
    with using(data_keys=f"{NEW},{OLD}"):
        with pytest.raises(crypto.SealBroken):
            await key_rotation.reseal()

    assert await fetch_value("SELECT phone FROM residents WHERE id = $1", resident.id) == broken
    await jobs.drain(strict=False)


async def test_nodes_of_a_parcel_are_known_again_after_both_keys_have_changed():
    node = a_node("collected", -5)
    with using(data_keys=OLD, fingerprint_keys=OLD_INDEX):
        shipment = await a_shipment()
        track = Track(waybill=str(shipment.waybill), company="ems", nodes=(node,), complete=True)
        await tracking.ingest_tracks([track], source="kuaidi100", trusted=True)
    with using(data_keys=f"{NEW},{OLD}", fingerprint_keys=f"{NEW_INDEX},{OLD_INDEX}"):
        done = await key_rotation.reseal()
    with using(data_keys=NEW, fingerprint_keys=NEW_INDEX):
        again = await tracking.ingest_tracks([track], source="kuaidi100", trusted=True)

    assert (done["shipment_nodes.raw_text"], done["deliveries.street"], again.nodes) == (1, 1, 0)
