"""What a demo or an examination finds when it begins: `seed("demo")`, `seed("acceptance")`.

Everything is deterministic: the same profile gives the same ids, logins and keys on every machine, so that a tester
can write them down. They are no secrets, and therefore production refuses them. Seeding again changes nothing.

`demo` is the catalogue, the departments' systems with their keys, the staff, the halls' lines and slots, and the
counters at which certificates are fetched.
`acceptance` (contract T-5) adds the residents R001 … R050, whom the WeChat sandbox knows under the same names.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode, b64encode
from typing import Literal, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from msgspec import Struct

from backend import catalogue, clock
from backend.appointments.seeding import open_now as open_slots_now
from backend.appointments.seeding import seed as seed_appointments
from backend.crypto import fingerprint, seal
from backend.database import transaction
from backend.deliveries.seeding import seed as seed_counters
from backend.events import acting_as, record
from backend.identity import passwords
from backend.identity.events import (
    AgencyEnrolled,
    AgencyKeyIssued,
    PhoneConfirmed,
    ResidentJoined,
    StaffEnrolled,
)
from backend.partners.wechat.sandbox.world import World
from backend.settings import SettingsError, settings
from models.identity import Agency, AgencyKey, Resident, StaffMember, WeChatAccount
from models.regions import Department

Profile = Literal["demo", "acceptance"]

RESIDENTS = 50
PASSWORD = "Sample-Only-42!"  # noqa: S105 - public, and refused in production


class StaffSeed(NamedTuple):
    """A member of staff to be: the department is named by what it is about."""

    login: str
    name: str
    domain: str
    duties: tuple[str, ...]


A, B = "公安", "市场监管"
"""The departments A and B of the contract."""
_CLERK = (
    *("cases.handle", "cases.read", "catalogue.edit", "deliveries.send", "fees.manage", "refunds.request"),
    *("deliveries.send", "deliveries.hand-over"),
)
_CHIEF = ("cases.read", "catalogue.publish", "payments.reconcile", "refunds.approve", "pickup-points.manage")
STAFF = (
    StaffSeed("a.clerk", "甲局经办", A, _CLERK),
    StaffSeed("a.chief", "甲局审核", A, _CHIEF),
    StaffSeed("b.clerk", "乙局经办", B, _CLERK),
    StaffSeed("b.chief", "乙局审核", B, _CHIEF),
    StaffSeed("hall.chief", "大厅主任", A, ("halls.manage",)),
    StaffSeed("hall.clerk", "大厅窗口", A, ("hall:city-hall",)),
    StaffSeed("hall.kiosk", "大厅自助机", A, ("kiosk:city-hall",)),
    StaffSeed("auditor", "审计管理员", A, ("audit.read",)),
    StaffSeed("security", "安全管理员", A, ("duties.grant",)),
    StaffSeed("system", "系统管理员", A, ("agencies.manage", "messages.operate", "staff.manage")),
)
AGENCIES = {
    "公安": "ak_sample_police",
    "人社": "ak_sample_labour",
    "医保": "ak_sample_medical",
    "民政": "ak_sample_civil",
    "市场监管": "ak_sample_market",
    "不动产": "ak_sample_property",
    "公积金": "ak_sample_housing",
    "卫健": "ak_sample_health",
    "教育": "ak_sample_education",
    "税务": "ak_sample_tax",
}
"""The key of each department's system, by what the department is about."""


class Credentials(Struct, frozen=True):
    """Everything that opens a door after seeding; printed by the command, never stored."""

    agencies: dict[str, dict[str, str]]
    """Department → key and secret (base64) of its system."""
    staff: dict[str, dict[str, str]]
    """Login → password and TOTP secret (base32)."""
    residents: dict[str, dict[str, str]]
    """Name in the sandbox → id and phone."""


def agency_secret(key: str) -> str:
    """The shared secret that belongs to a key of `AGENCIES`, in base64."""
    return b64encode(hashlib.sha256(f"zhangban sample agency {key}".encode()).digest()).decode()


def totp_secret(login: str) -> str:
    """The TOTP secret of a member of `STAFF`, in base32."""
    return b32encode(hashlib.sha256(f"zhangban sample totp {login}".encode()).digest()[:20]).decode()


async def seed(profile: Profile, *, open_now: tuple[int, ...] = ()) -> Credentials:
    """Fill in what is missing of the profile; what opens the doors. `open_now` opens slots of so many places each
    that begin within the hour.

    Raises SettingsError in production.
    """
    if settings().profile == "production":
        raise SettingsError("seeded credentials are public: production refuses them")
    with acting_as("operator", "seed"):
        await catalogue.seed()
        departments = {each.domain: each for each in await Department.all()}
        for domain, key in AGENCIES.items():
            await _agency(departments[domain], key)
        for member in STAFF:
            await _member(member, departments[member.domain].id)
        await seed_appointments()
        await seed_counters()
        if open_now:
            await open_slots_now(open_now)
        residents = await _residents() if profile == "acceptance" else {}
    return Credentials(
        agencies={domain: {"key": key, "secret": agency_secret(key)} for domain, key in AGENCIES.items()},
        staff={each.login: {"password": PASSWORD, "totp_secret": totp_secret(each.login)} for each in STAFF},
        residents=residents,
    )


def _id(*parts: str) -> UUID:
    return uuid5(NAMESPACE_URL, "/".join(("zhangban:sample", *parts)))


async def _agency(department: Department, key: str) -> None:
    agency_id, key_id = _id("agency", key), _id("key", key)
    async with transaction():
        if await Agency.exists(id=agency_id):
            return
        await Agency.create(id=agency_id, name=f"{department.name}业务系统", department_id=department.id)
        await record(AgencyEnrolled(agency_id=agency_id, department_id=department.id))
        sealed = seal(agency_secret(key), where="agency_keys.secret", row=key_id)
        await AgencyKey.create(id=key_id, agency_id=agency_id, name=key, algorithm="hmac-sha256", secret=sealed)
        await record(AgencyKeyIssued(agency_id=agency_id, key_name=key))


async def _member(member: StaffSeed, department_id: UUID) -> None:
    staff_id = _id("staff", member.login)
    if await StaffMember.exists(id=staff_id):
        return
    kept = await passwords.hash_password(PASSWORD)
    async with transaction():
        await StaffMember.create(
            id=staff_id,
            login=member.login,
            name=seal(member.name, where="staff_members.name", row=staff_id),
            department_id=department_id,
            duties=sorted(member.duties),
            password_hash=kept,
            password_changed_at=clock.now(),
            totp_secret=seal(totp_secret(member.login), where="staff_members.totp_secret", row=staff_id),
        )
        await record(StaffEnrolled(staff_id=staff_id, department_id=department_id))


async def _residents() -> dict[str, dict[str, str]]:
    """R001 … R050 with the openids, unionids and phones that the sandbox gives people of these names."""
    world, made = World(settings()), {}
    for name in (f"R{number:03d}" for number in range(1, RESIDENTS + 1)):
        someone = world.persona(name)
        resident_id = _id("resident", name)
        made[name] = {"id": str(resident_id), "phone": someone.phone}
        if not await Resident.exists(id=resident_id):
            await _resident(resident_id, someone.openid, someone.unionid, someone.phone)
    return made


async def _resident(resident_id: UUID, openid: str, unionid: str, phone: str) -> None:
    account_id = _id("wechat", str(resident_id))
    async with transaction():
        await Resident.create(
            id=resident_id,
            phone=seal(phone, where="residents.phone", row=resident_id),
            phone_fingerprint=fingerprint(phone, "phone"),
            phone_confirmed_at=clock.now(),
        )
        await WeChatAccount.create(
            id=account_id,
            resident_id=resident_id,
            account="mini_program",
            openid=seal(openid, where="wechat_accounts.openid", row=account_id),
            openid_fingerprint=fingerprint(openid, "openid"),
            unionid=seal(unionid, where="wechat_accounts.unionid", row=account_id),
            unionid_fingerprint=fingerprint(unionid, "unionid"),
        )
        await record(ResidentJoined(resident_id=resident_id))
        await record(PhoneConfirmed(resident_id=resident_id))
