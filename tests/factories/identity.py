"""Residents, staff and agencies, made by the use cases that make them in earnest."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from stdnum.cn import uscc
from uuid_utils.compat import uuid7

from backend import clock, identity
from backend.crypto import fingerprint, seal
from backend.database import execute, fetch_value
from backend.identity import (
    AsAgency,
    AsOperator,
    AsResident,
    AsStaff,
    Tokens,
    agencies,
    delegating,
    one_time_codes,
    staff,
    timing,
    tokens,
)
from backend.identity.devices import DeviceClass
from backend.identity.staff_signing_in import StaffSession
from backend.identity.staff_signing_in import sign_in_staff as sign_in_staff
from backend.partners.wechat.port import PhoneNumber, Session

PASSWORD = "Correct-Horse-42"
OPERATOR = AsOperator()

_numbers = itertools.count(1)


class OneAnswer:
    """The two questions that identity asks WeChat, answered from memory; for everything else there is the sandbox."""

    def __init__(self, session: Session, phone: PhoneNumber | None = None) -> None:
        self.session, self.phone = session, phone

    async def session_of(self, code: str) -> Session:
        return self.session

    async def phone_of(self, code: str, *, openid: str | None = None) -> PhoneNumber:
        assert self.phone is not None
        return self.phone


def an_openid() -> str:
    """An unknown one."""
    return f"o{secrets.token_urlsafe(20)[:27]}"


async def signed_in(*, openid: str | None = None, device: DeviceClass = "ios", unionid: str | None = None) -> Tokens:
    """A resident who has just signed in: a new one, unless an openid is given."""
    session = Session(openid or an_openid(), secrets.token_urlsafe(18), unionid)
    wechat = OneAnswer(session)
    return await identity.sign_in_resident(secrets.token_hex(16), device=device, wechat=wechat)  # type: ignore[arg-type]


async def a_resident(*, phone: str | None = None, openid: str | None = None) -> AsResident:
    """A resident in a session of their own, with this confirmed phone."""
    given = await signed_in(openid=openid)
    if phone is not None:
        sealed = seal(phone, where="residents.phone", row=given.resident_id)
        await execute(
            "UPDATE residents SET phone = $2, phone_fingerprint = $3, phone_confirmed_at = now() WHERE id = $1",
            given.resident_id,
            sealed,
            fingerprint(phone, "phone"),
        )
    return AsResident(given.resident_id, given.session_id)


def with_token(token: str) -> dict[str, str]:
    """The header that carries an access token."""
    return {"Authorization": f"Bearer {token}"}


def headers_of(resident: AsResident) -> dict[str, str]:
    """The header with which this resident's requests come."""
    token = tokens.issue_token(resident.id, resident.session_id, "resident", seconds=900).token
    return with_token(token)


async def a_delegation(
    principal: AsResident,
    delegate: AsResident,
    *,
    matters: Sequence[delegating.Scope] = ("appointments",),
    days: int = 30,
) -> UUID:
    """The one has let the other act for them, until so many days from now."""
    until = clock.today() + timedelta(days=days)
    offered = await delegating.offer_delegation(principal, name="田秀英", matters=matters, until=until)
    invitation = await delegating.create_invitation(principal, offered.id)
    return (await delegating.accept_invitation(delegate, invitation.code, name="王小红")).id


async def a_department_id() -> UUID:
    """A department of its own region, as bare as the database allows."""
    region, department, number = uuid7(), uuid7(), next(_numbers)
    await execute(
        "INSERT INTO regions (id, created_at, code, name, level, valid_from) "
        "VALUES ($1, now(), $2, '某省', 'province', '2020-01-01')",
        region,
        f"{(100_000 + number * 7919) % 900_000 + 100_000}",
    )
    body = f"11{110000 + number % 800000}{number:09d}"
    await execute(
        "INSERT INTO departments (id, created_at, uscc, name, domain, region_id, phone) "
        "VALUES ($1, now(), $2, '某局', '人社', $3, '0100000000')",
        department,
        body + uscc.calc_check_digit(body),
        region,
    )
    return department


class StaffCredentials(NamedTuple):
    """What a member of staff knows and has."""

    id: UUID
    login: str
    password: str
    secret: str
    department_id: UUID

    @property
    def code(self) -> str:
        """The code that their app shows now."""
        return one_time_codes.code_at(self.secret)


async def staff_credentials(
    *, department_id: UUID | None = None, duties: Iterable[str] = (), login: str | None = None
) -> StaffCredentials:
    """A member of staff who has chosen their password."""
    department_id = department_id or await a_department_id()
    login = login or f"staff{next(_numbers)}"
    enrolled = await staff.enrol_staff(
        OPERATOR,
        login=login,
        name="李娜",
        department_id=department_id,
        duties=duties,
        password=PASSWORD,
        chosen_by_owner=True,
    )
    return StaffCredentials(enrolled.staff_id, login, PASSWORD, enrolled.totp_secret, department_id)


async def staff_signed_in(who: StaffCredentials, *, address: str = "10.0.0.1") -> StaffSession:
    """A session of this member of staff. Their code may have been used just now, so the next one is used."""
    step = await fetch_value("SELECT totp_step FROM staff_members WHERE id = $1", who.id)
    moment = max(timing.seconds(), float((step + 1) * one_time_codes.STEP))
    code = one_time_codes.code_at(who.secret, moment)
    return await sign_in_staff(who.login, who.password, code, address=address)


async def a_staff(*, department_id: UUID | None = None, duties: Iterable[str] = ()) -> AsStaff:
    """A member of staff who is signed in."""
    duties = frozenset(duties)
    who = await staff_credentials(department_id=department_id, duties=duties)
    session = await staff_signed_in(who)
    return AsStaff(who.id, who.department_id, duties, session.session_id)


def staff_headers_of(member: AsStaff) -> dict[str, str]:
    """The header with which this member of staff's requests come."""
    assert member.session_id is not None
    token = tokens.issue_token(member.id, member.session_id, "staff", seconds=3600, scattered=False).token
    return with_token(token)


class AgencyCredentials(NamedTuple):
    """An agency and the key that it signs with."""

    id: UUID
    department_id: UUID
    key: str
    secret: str

    @property
    def principal(self) -> AsAgency:
        """The agency as the door names it."""
        return AsAgency(self.id, self.department_id)

    def headers(self, method: str, address: str, body: bytes = b"") -> Mapping[str, str]:
        """The headers that sign this request."""
        return identity.sign_request(method, address, body, key=self.key, secret=self.secret)


async def an_agency(*, department_id: UUID | None = None) -> AgencyCredentials:
    """A department's system with a shared secret."""
    department_id = department_id or await a_department_id()
    agency_id = await agencies.enrol_agency(OPERATOR, name="某局业务系统", department_id=department_id)
    issued = await agencies.issue_key(OPERATOR, agency_id)
    return AgencyCredentials(agency_id, department_id, issued.name, issued.secret)
