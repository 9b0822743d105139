"""The people who work for departments: their accounts, departments and duties. Every change holds at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from backend.crypto import open_sealed, seal
from backend.database import fetch_row, transaction
from backend.errors import Fault, Invalid
from backend.events import Event, record
from backend.identity import duties as duties_table
from backend.identity import one_time_codes, passwords, timing
from backend.identity.errors import DutiesInConflict, LoginTaken, StaffNotFound
from backend.identity.events import (
    StaffDisabled,
    StaffDutiesChanged,
    StaffEnrolled,
    StaffMoved,
    StaffPasswordChanged,
)
from backend.identity.principals import AsOperator, AsStaff
from backend.identity.staff_signing_in import SECRET

_NAME = "staff_members.name"
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{1,31}", re.ASCII)

_ADD = """
INSERT INTO staff_members
    (id, created_at, login, name, department_id, duties, password_hash, password_changed_at, totp_secret, totp_step)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)
"""
_SELF = "SELECT id, login, name, department_id, duties FROM staff_members WHERE id = $1"
_DUTIES = "UPDATE staff_members SET duties = $2 WHERE id = $1 RETURNING id"
_MOVE = "UPDATE staff_members SET department_id = $2 WHERE id = $1 RETURNING id"
_DISABLE = "UPDATE staff_members SET disabled_at = coalesce(disabled_at, $2) WHERE id = $1 RETURNING id"
_RESET = """
UPDATE staff_members SET password_hash = $2, password_changed_at = NULL, totp_secret = $3, totp_step = 0,
                         disabled_at = NULL
WHERE id = $1 RETURNING id
"""
_END_ALL = """
UPDATE staff_sessions SET ended_at = $2, end_reason = $3 WHERE staff_id = $1 AND ended_at IS NULL
"""


class EnrolledStaff(NamedTuple):
    """A new account, or one with new credentials. The secret is shown this once."""

    staff_id: UUID
    totp_secret: str
    totp_address: str
    """For the authenticator app, as a QR code."""


class StaffDetail(NamedTuple):
    """What members of staff see of themselves."""

    id: UUID
    login: str
    name: str
    department_id: UUID
    duties: tuple[str, ...]


async def get_own_staff_account(staff: AsStaff) -> StaffDetail:
    """The account of the member of staff. Raises StaffNotFound when it is gone."""
    row = await fetch_row(_SELF, staff.id)
    if row is None:
        raise StaffNotFound
    name = open_sealed(row["name"], where=_NAME, row=row["id"])
    return StaffDetail(row["id"], row["login"], name, row["department_id"], tuple(row["duties"]))


async def enrol_staff(
    by: AsStaff | AsOperator,
    *,
    login: str,
    name: str,
    department_id: UUID,
    duties: Iterable[str],
    password: str,
    chosen_by_owner: bool = False,
) -> EnrolledStaff:
    """Create a staff account. Unless its owner chose the password, it must be changed at the first sign-in.

    Raises DutyMissing without `staff.manage` (and `duties.grant` when there are duties to give: only an operator has
    both); PasswordWeak, DutyInvalid, DutiesInConflict; LoginTaken; Invalid for a login or department that cannot be.
    """
    by.require("staff.manage")
    wanted = duties_table.check_duties(duties)
    if wanted:
        by.require("duties.grant")
    login = login.strip().casefold()
    if not _LOGIN.fullmatch(login):
        raise Invalid(fields=[Fault("/login", "账号名应为 2 至 32 个小写字母、数字或 . _ -")])
    passwords.check_strength(password, login=login)
    kept, identity, now = await passwords.hash_password(password), uuid7(), await timing.database_now()
    secret = one_time_codes.new_secret()
    row = (
        identity,
        now,
        login,
        seal(name, where=_NAME, row=identity),
        department_id,
        wanted,
        kept,
        now if chosen_by_owner else None,
        seal(secret, where=SECRET, row=identity),
    )
    await _add(row, StaffEnrolled(staff_id=identity, department_id=department_id))
    return EnrolledStaff(identity, secret, one_time_codes.address_of(secret, login))


async def change_duties(by: AsStaff | AsOperator, staff_id: UUID, duties: Iterable[str]) -> None:
    """Let the member of staff do exactly this from now on.

    Raises DutyMissing without `duties.grant`; DutiesInConflict for one's own or for duties that exclude each other;
    DutyInvalid; StaffNotFound.
    """
    by.require("duties.grant")
    if isinstance(by, AsStaff) and by.id == staff_id:
        raise DutiesInConflict("不能更改自己的职责")
    wanted = duties_table.check_duties(duties)
    await _change(_DUTIES, staff_id, wanted, StaffDutiesChanged(staff_id=staff_id, duties=tuple(wanted)))


async def move_staff(by: AsStaff | AsOperator, staff_id: UUID, department_id: UUID) -> None:
    """Have the member of staff work for another department from now on. Raises DutyMissing, StaffNotFound, Invalid."""
    by.require("staff.manage")
    await _change(_MOVE, staff_id, department_id, StaffMoved(staff_id=staff_id, department_id=department_id))


async def disable_staff(by: AsStaff | AsOperator, staff_id: UUID) -> None:
    """Close the account and end its sessions. Raises DutyMissing without `staff.manage`, StaffNotFound."""
    by.require("staff.manage")
    now = await timing.database_now()
    async with transaction() as connection:
        await _change(_DISABLE, staff_id, now, StaffDisabled(staff_id=staff_id))
        await connection.execute(_END_ALL, staff_id, now, "disabled")


async def reset_staff(by: AsStaff | AsOperator, staff_id: UUID, password: str) -> EnrolledStaff:
    """New credentials for an account, and open it again if it was closed; the password must be changed at once.

    Raises DutyMissing without `staff.manage`, StaffNotFound, PasswordWeak.
    """
    by.require("staff.manage")
    row = await fetch_row(_SELF, staff_id)
    if row is None:
        raise StaffNotFound
    passwords.check_strength(password, login=row["login"])
    kept, now = await passwords.hash_password(password), await timing.database_now()
    secret = one_time_codes.new_secret()
    async with transaction() as connection:
        sealed = seal(secret, where=SECRET, row=staff_id)
        await connection.execute(_RESET, staff_id, kept, sealed)
        await connection.execute(_END_ALL, staff_id, now, "reset")
        await record(StaffPasswordChanged(staff_id=staff_id, by_owner=False))
    return EnrolledStaff(staff_id, secret, one_time_codes.address_of(secret, row["login"]))


async def _add(row: tuple[Any, ...], fact: Event) -> None:
    try:
        async with transaction() as connection:
            await connection.execute(_ADD, *row)
            await record(fact)
    except asyncpg.UniqueViolationError as error:
        raise LoginTaken from error
    except asyncpg.ForeignKeyViolationError as error:
        raise _no_department() from error


async def _change(sql: str, staff_id: UUID, value: Any, fact: Event) -> None:
    try:
        async with transaction() as connection:
            if await connection.fetchval(sql, staff_id, value) is None:
                raise StaffNotFound
            await record(fact)
    except asyncpg.ForeignKeyViolationError as error:
        raise _no_department() from error


def _no_department() -> Invalid:
    return Invalid(fields=[Fault("/department_id", "没有这个部门")])
