"""The address book: checked against the map, sealed, bounded, with one default, shared with a delegate."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from backend import clock, data_subjects
from backend.database import fetch, fetch_value
from backend.deliveries import addresses
from backend.deliveries.addresses import AddressForm
from backend.deliveries.errors import (
    AddressChanged,
    AddressInvalid,
    AddressLimitExceeded,
    AddressNotFound,
    DeliveryReceiverNotFound,
)
from backend.identity import delegating
from backend.settings import using
from models.regions import Region, RegionLevel
from tests.factories.deliveries import NAME, PHONE, STREET
from tests.factories.identity import a_delegation, a_resident
from tests.factories.regions import a_region


async def a_form(**changes: Any) -> AddressForm:
    values: dict[str, Any] = {"name": NAME, "phone": PHONE, "street": STREET, **changes}
    if "region_code" not in values:
        values["region_code"] = (await a_region()).code
    return AddressForm(**values)


async def test_an_address_is_kept_sealed_and_read_as_it_was_written():
    resident = await a_resident()
    form = await a_form(label="家")

    saved = await addresses.save_address(resident, form)

    row = (await fetch("SELECT name, phone, street FROM addresses WHERE id = $1", saved.id))[0]
    assert all(value.startswith("v1.") for value in row.values())
    assert (saved.name, saved.phone, saved.street, saved.label) == (NAME, PHONE, STREET, "家")
    assert saved.region[:2] == ("测试省", "测试市")
    assert saved.is_default
    assert saved.usable
    assert await addresses.list_addresses(resident) == [saved]
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'address.saved'") == 1


@pytest.mark.parametrize(
    ("written", "kept"),
    [("+86 138-0013-8000", PHONE), ("１３８００１３８０００", PHONE), ("0431-88880000", "043188880000")],
)
async def test_a_phone_is_kept_in_one_spelling(written: str, kept: str):
    saved = await addresses.save_address(await a_resident(), await a_form(phone=written))

    assert saved.phone == kept


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": "田"}, "/name"),
        ({"name": "12345"}, "/name"),
        ({"phone": "12345"}, "/phone"),
        ({"phone": "2380013800"}, "/phone"),
        ({"street": "1号"}, "/street"),
        ({"street": "\u200b\u200b\u200b\u200b"}, "/street"),
        ({"label": "一二三四五六七八九十一"}, "/label"),
        ({"region_code": "980199999999"}, "/region_code"),
        ({"region_code": "980000"}, "/region_code"),
        ({"region_code": "980100"}, "/region_code"),
    ],
)
async def test_what_a_courier_could_not_read_is_refused_and_pointed_at(changes: dict[str, str], pointer: str):
    resident, form = await a_resident(), await a_form()
    changed = AddressForm(**{name: changes.get(name, getattr(form, name)) for name in form.__struct_fields__})

    with pytest.raises(AddressInvalid) as caught:
        await addresses.save_address(resident, changed)

    assert [fault.pointer for fault in caught.value.fields] == [pointer]
    assert await addresses.list_addresses(resident) == []


async def test_a_code_that_is_no_longer_in_use_is_refused_with_the_one_that_took_its_place():
    new = await a_region()
    parent = await Region.get(code="980100")
    await Region.create(
        code="980199", name="旧县", level=RegionLevel.COUNTY, parent=parent, valid_from=clock.today() - timedelta(900),
        valid_to=clock.today(), successor=new,
    )  # fmt: skip

    with pytest.raises(AddressInvalid) as caught:
        await addresses.save_address(await a_resident(), await a_form(region_code="980199"))

    assert new.code in caught.value.fields[0].message


async def test_an_address_whose_code_ends_later_is_shown_as_unusable():
    resident, region = await a_resident(), await a_region(code="980198")
    await addresses.save_address(resident, await a_form(region_code=region.code))
    await Region.filter(id=region.id).update(valid_to=clock.today())

    assert [each.usable for each in await addresses.list_addresses(resident)] == [False]


async def test_there_is_one_default_and_it_moves_when_another_is_chosen_or_it_is_removed():
    resident = await a_resident()
    first = await addresses.save_address(resident, await a_form())
    second = await addresses.save_address(resident, await a_form())
    third = await addresses.save_address(resident, await a_form(is_default=True))

    assert [each.id for each in await addresses.list_addresses(resident) if each.is_default] == [third.id]
    await addresses.remove_address(resident, third.id)
    assert [each.id for each in await addresses.list_addresses(resident) if each.is_default] == [second.id]
    changed = await addresses.change_address(resident, first.id, await a_form(is_default=True), version=2)
    assert changed.is_default
    assert [each.is_default for each in await addresses.list_addresses(resident)] == [True, False]


async def test_the_default_stays_one_when_it_is_written_anew_without_saying_so():
    resident = await a_resident()
    only = await addresses.save_address(resident, await a_form())

    changed = await addresses.change_address(resident, only.id, await a_form(street="学府路15号5栋2单元101"), version=1)

    assert changed.is_default
    assert (changed.version, changed.street) == (2, "学府路15号5栋2单元101")


async def test_a_change_of_an_address_that_changed_meanwhile_is_refused():
    resident = await a_resident()
    saved = await addresses.save_address(resident, await a_form())
    await addresses.change_address(resident, saved.id, await a_form(), version=1)

    with pytest.raises(AddressChanged) as caught:
        await addresses.change_address(resident, saved.id, await a_form(), version=1)

    assert caught.value.facts == {"version": 2}


async def test_so_many_addresses_and_no_more_also_from_several_phones_at_once():
    resident, form = await a_resident(), await a_form()

    with using(addresses_per_resident=3):
        answers = await asyncio.gather(
            *(addresses.save_address(resident, form) for _ in range(6)), return_exceptions=True
        )

    assert sum(isinstance(each, AddressLimitExceeded) for each in answers) == 3
    kept = await addresses.list_addresses(resident)
    assert len(kept) == 3
    assert sum(each.is_default for each in kept) == 1


async def test_what_is_removed_is_gone_with_its_words():
    resident = await a_resident()
    saved = await addresses.save_address(resident, await a_form())

    await addresses.remove_address(resident, saved.id)

    assert await addresses.list_addresses(resident) == []
    assert await fetch_value("SELECT name || phone || street FROM addresses WHERE id = $1", saved.id) == ""
    with pytest.raises(AddressNotFound):
        await addresses.remove_address(resident, saved.id)


async def test_a_delegate_keeps_addresses_for_their_principal_until_the_delegation_ends():
    mother, daughter = await a_resident(), await a_resident()
    delegation: UUID = await a_delegation(mother, daughter, matters=("deliveries",))

    saved = await addresses.save_address(daughter, await a_form(), mother.id)
    assert [each.id for each in await addresses.list_addresses(mother)] == [saved.id]
    assert [each.id for each in await addresses.list_addresses(daughter, mother.id)] == [saved.id]
    assert await addresses.list_addresses(daughter) == []
    await delegating.end_delegation(mother, delegation)

    with pytest.raises(DeliveryReceiverNotFound):
        await addresses.list_addresses(daughter, mother.id)
    with pytest.raises(AddressNotFound):
        await addresses.get_address(daughter, saved.id)


async def test_a_delegation_in_other_matters_and_a_strangers_id_open_nothing():
    mother, daughter = await a_resident(), await a_resident()
    await a_delegation(mother, daughter, matters=("appointments", "payments"))
    saved = await addresses.save_address(mother, await a_form())

    for person in (mother.id, uuid7()):
        with pytest.raises(DeliveryReceiverNotFound):
            await addresses.save_address(daughter, await a_form(), person)
    for each in (saved.id, uuid7()):
        with pytest.raises(AddressNotFound):
            await addresses.remove_address(daughter, each)


async def test_an_erased_resident_leaves_no_address_and_a_copy_shows_them_before():
    resident = await a_resident()
    await addresses.save_address(resident, await a_form())

    copy = await data_subjects.export(resident.id)
    erased = await data_subjects.erase(resident.id)

    assert copy["addresses"][0]["street"] == STREET
    assert erased["addresses"] == 1
    assert await fetch_value("SELECT count(*) FROM addresses") == 0
