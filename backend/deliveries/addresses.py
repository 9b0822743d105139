"""A resident's address book: sealed, by the code of the region, with one default and so many at most.

Deliveries copy an address when they are chosen: to change or remove it here redirects nothing that is under way.
"""

from __future__ import annotations

import re
import unicodedata
from uuid import UUID

import asyncpg
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import normalised, open_sealed, seal
from backend.database import execute, fetch, fetch_row, fetch_value, row_as, transaction
from backend.deliveries import acting, region_codes
from backend.deliveries.errors import (
    AddressChanged,
    AddressInvalid,
    AddressLimitExceeded,
    AddressNotFound,
    DeliveryReceiverNotFound,
)
from backend.deliveries.events import AddressRemoved, AddressSaved
from backend.errors import Fault, raises
from backend.events import record
from backend.identity import AsResident
from backend.settings import settings

_MOBILE = re.compile(r"(?:\+?86)?(1[3-9]\d{9})", re.ASCII)
_LANDLINE = re.compile(r"0\d{2,3}\d{7,8}", re.ASCII)


class AddressForm(Struct, frozen=True, kw_only=True):
    """What the resident fills in."""

    name: str
    phone: str
    region_code: str
    street: str
    label: str = ""
    is_default: bool = False


class AddressDetail(Struct, frozen=True, kw_only=True):
    """An address as its owner reads it. `region` lists the names from the province down."""

    id: UUID
    person_id: UUID
    name: str
    phone: str
    region_code: str
    region: tuple[str, ...]
    street: str
    label: str
    is_default: bool
    version: int
    usable: bool
    """False when the region's code is no longer in use: the owner has to choose the region again before anything is
    sent there."""


_COLUMNS = """
SELECT a.id, a.resident_id, a.name, a.phone, a.region_code, a.street, a.label, a.is_default, a.version,
       EXISTS (SELECT 1 FROM regions r WHERE r.code = a.region_code AND r.valid_from <= $1
               AND (r.valid_to IS NULL OR r.valid_to > $1)) AS usable
FROM addresses a
"""
_LIST = _COLUMNS + " WHERE a.resident_id = $2 AND a.removed_at IS NULL ORDER BY a.is_default DESC, a.id DESC"
_ONE = _COLUMNS + " WHERE a.id = $2 AND a.removed_at IS NULL"
# Two devices of one person that save at the same moment count each other's address.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 31))"
_COUNT = "SELECT count(*) FROM addresses WHERE resident_id = $1 AND removed_at IS NULL"
_NO_DEFAULT = """
UPDATE addresses SET is_default = false, version = version + 1 WHERE resident_id = $1 AND is_default AND id <> $2
"""
_INSERT = """
INSERT INTO addresses (id, created_at, resident_id, name, phone, region_code, street, label, is_default, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)
"""
_UPDATE = """
UPDATE addresses SET name = $2, phone = $3, region_code = $4, street = $5, label = $6, is_default = $7,
    version = version + 1
WHERE id = $1
"""
_LOCK = """
SELECT version, is_default FROM addresses WHERE id = $1 AND resident_id = $2 AND removed_at IS NULL FOR NO KEY UPDATE
"""
# A removed address loses its content; the row stays as evidence.
_REMOVE = """
UPDATE addresses SET removed_at = $2, is_default = false, name = '', phone = '', street = '', label = '',
    version = version + 1
WHERE id = $1
"""
_NEXT_DEFAULT = """
UPDATE addresses SET is_default = true, version = version + 1 WHERE id = (
    SELECT id FROM addresses WHERE resident_id = $1 AND removed_at IS NULL ORDER BY id DESC LIMIT 1)
"""


@raises(DeliveryReceiverNotFound)
async def list_addresses(resident: AsResident, person_id: UUID | None = None) -> list[AddressDetail]:
    """List the addresses of the resident, or of a person they may act for: the default first, then the latest."""
    person = await acting.person_for(resident, person_id)
    rows = await fetch(_LIST, clock.today(), person.id)
    names = await region_codes.region_names_of(row["region_code"] for row in rows)
    return [_detail(row, names.get(row["region_code"], ())) for row in rows]


@raises(AddressNotFound)
async def get_address(resident: AsResident, address_id: UUID) -> AddressDetail:
    """Return an address of the resident, or of a person they may act for."""
    await acting.owner_of_address(resident, address_id)
    row = await fetch_row(_ONE, clock.today(), address_id)
    if row is None:
        raise AddressNotFound
    names = await region_codes.region_names_of([row["region_code"]])
    return _detail(row, names.get(row["region_code"], ()))


@raises(AddressInvalid, AddressLimitExceeded, DeliveryReceiverNotFound)
async def save_address(resident: AsResident, form: AddressForm, person_id: UUID | None = None) -> AddressDetail:
    """Save a new address; the first one is the default."""
    person, form = await acting.person_for(resident, person_id), _checked(form)
    await region_codes.check_region(form.region_code)
    identity = uuid7()
    async with transaction():
        await execute(_ONE_AT_A_TIME, person.id)
        count: int = await fetch_value(_COUNT, person.id)
        if count >= settings().addresses_per_resident:
            raise AddressLimitExceeded(limit=settings().addresses_per_resident)
        default = form.is_default or count == 0
        if default:
            await execute(_NO_DEFAULT, person.id, identity)
        name, phone, street = _sealed(form, identity)
        await execute(
            _INSERT, identity, clock.now(), person.id, name, phone, form.region_code, street, form.label, default
        )
        await record(AddressSaved(address_id=identity, resident_id=person.id))
        return await get_address(person, identity)


@raises(AddressNotFound, AddressInvalid, AddressChanged)
async def change_address(resident: AsResident, address_id: UUID, form: AddressForm, version: int) -> AddressDetail:
    """Change an address, if it still has this version.

    There is always a default: it stays the default until another address becomes it.
    """
    person = await acting.owner_of_address(resident, address_id)
    form = _checked(form)
    await region_codes.check_region(form.region_code)
    async with transaction():
        await execute(_ONE_AT_A_TIME, person.id)
        row = await _locked(person, address_id)
        if row["version"] != version:
            raise AddressChanged(version=row["version"])
        default = form.is_default or row["is_default"]
        if default:
            await execute(_NO_DEFAULT, person.id, address_id)
        name, phone, street = _sealed(form, address_id)
        await execute(_UPDATE, address_id, name, phone, form.region_code, street, form.label, default)
        await record(AddressSaved(address_id=address_id, resident_id=person.id))
        return await get_address(person, address_id)


@raises(AddressNotFound)
async def remove_address(resident: AsResident, address_id: UUID) -> None:
    """Remove an address; the latest of the others becomes the default if this one was. Raises AddressNotFound."""
    person = await acting.owner_of_address(resident, address_id)
    async with transaction():
        await execute(_ONE_AT_A_TIME, person.id)
        row = await _locked(person, address_id)
        await execute(_REMOVE, address_id, clock.now())
        if row["is_default"]:
            await execute(_NEXT_DEFAULT, person.id)
        await record(AddressRemoved(address_id=address_id, resident_id=person.id))


async def _locked(person: AsResident, address_id: UUID) -> asyncpg.Record:
    row = await fetch_row(_LOCK, address_id, person.id)
    if row is None:
        raise AddressNotFound
    return row


def _checked(form: AddressForm) -> AddressForm:
    """The form in one spelling. Raises AddressInvalid, pointing to what a courier could not read."""
    faults: list[Fault] = []
    name, street, label = (_line(text) for text in (form.name, form.street, form.label))
    if not 2 <= len(name) <= 40 or not any(map(str.isalpha, name)):
        faults.append(Fault("/name", "请填写收件人姓名，2 至 40 个字"))
    if (phone := _phone(form.phone)) is None:
        faults.append(Fault("/phone", "请填写 11 位手机号码，或带区号的固定电话"))
    if not 4 <= len(street) <= 120 or not any(map(str.isalpha, street)):
        faults.append(Fault("/street", "请填写详细地址，如街道、门牌号、楼栋和房间，4 至 120 个字"))
    if len(label) > 10:
        faults.append(Fault("/label", "标签最多 10 个字"))
    if faults or phone is None:
        raise AddressInvalid(fields=faults)
    return AddressForm(
        name=name, phone=phone, region_code=form.region_code, street=street, label=label, is_default=form.is_default
    )


def _line(text: str) -> str:
    """One line of visible characters."""
    visible = (" " if unicodedata.category(each)[0] in "CZ" else each for each in unicodedata.normalize("NFC", text))
    return " ".join("".join(visible).split())


def _phone(text: str) -> str | None:
    number = normalised(text)
    if found := _MOBILE.fullmatch(number):
        return found[1]
    return number if _LANDLINE.fullmatch(number) else None


def _sealed(form: AddressForm, address_id: UUID) -> tuple[str, str, str]:
    name, phone, street = (
        seal(value, where=f"addresses.{column}", row=address_id)
        for column, value in (("name", form.name), ("phone", form.phone), ("street", form.street))
    )
    return name, phone, street


def _detail(row: asyncpg.Record, region: tuple[str, ...]) -> AddressDetail:
    name, phone, street = (
        open_sealed(row[column], where=f"addresses.{column}", row=row["id"]) for column in ("name", "phone", "street")
    )
    opened = {"person_id": row["resident_id"], "region": region, "name": name, "phone": phone, "street": street}
    return row_as(AddressDetail, {**row, **opened})
