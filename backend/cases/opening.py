"""Cases as departments push them: the first push opens a case, a later one corrects what was said about it.

A push may be repeated as often as the network needs: the number (the department's, or its own reference when we issue
the number) says which case it is. Everything happens under the number's lock.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct, structs
from uuid_utils.compat import uuid7

from backend import clock
from backend.cases import applicants
from backend.cases.applicants import Applicant, SealedApplicant
from backend.cases.errors import (
    CaseInvalid,
    CaseItemFixed,
    CaseNumbersUsedUp,
    CaseNumberTaken,
    CaseReferenceReused,
)
from backend.cases.events import CaseAmended, CaseImported, CaseOpened
from backend.cases.items import Item, get_item
from backend.cases.linking import link_case
from backend.cases.locks import lock_number, lock_reference
from backend.cases.numbering import alert_used_up, next_number
from backend.cases.projecting import project_case
from backend.crypto import normalised
from backend.database import fetch, transaction
from backend.errors import Fault, raises
from backend.events import record
from backend.identity import AsAgency
from backend.settings import settings
from models.cases import Case, CaseState

NUMBER = re.compile(r"[0-9A-Z][0-9A-Z-]{3,63}", re.ASCII)
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
AHEAD = timedelta(hours=48)
"""How far another clock may be ahead of ours; what is dated later is refused, because it would outrank everything."""

_ADOPT = """
UPDATE case_events SET case_id = $1 WHERE agency_id = $2 AND case_number = $3 AND case_id IS NULL RETURNING id
"""


class CaseFacts(Struct, frozen=True, kw_only=True):
    """What a department says about a case. `None`: nothing said, so what was said before stays."""

    item_code: str
    applicant: Applicant
    title: str
    item_name: str | None = None
    received_at: datetime | None = None
    promised_days: int | None = None
    reference: str | None = None


class PushedCase(Struct, frozen=True):
    """The case after a push, whether it was new, and which facts were corrected."""

    case: Case
    created: bool
    changed: list[str]


def checked_number(text: str, pointer: str = "/number") -> str:
    """A case's number in one spelling. Raises CaseInvalid."""
    number = normalised_number(text)
    if not NUMBER.fullmatch(number):
        raise CaseInvalid(fields=[Fault(pointer, "办件编号应为 4 至 64 位数字、大写字母或连字符")])
    return number


def normalised_number(text: str) -> str:
    """A case's number in one spelling: no spaces, no full-width characters, capitals; dashes stay."""
    return "".join(unicodedata.normalize("NFKC", text).split()).upper()


def check_moment(moment: datetime, pointer: str) -> None:
    """Refuse a time that cannot be. Raises CaseInvalid."""
    if moment > clock.now() + AHEAD:
        raise CaseInvalid(fields=[Fault(pointer, "时间晚于当前时间 48 小时以上，请核对系统时钟")])
    if moment < EARLIEST:
        raise CaseInvalid(fields=[Fault(pointer, "时间早于 1990 年，请核对")])


@raises(CaseInvalid, CaseNumberTaken, CaseReferenceReused, CaseItemFixed)
async def push_case(agency: AsAgency, number: str, facts: CaseFacts) -> PushedCase:
    """Open the case with the department's own number, or correct what was said about it.

    Raises CaseNumberTaken when another agency has the number, CaseReferenceReused when the agency's own reference
    stands for another case, CaseItemFixed, CaseInvalid.
    """
    number = checked_number(number)
    if facts.received_at is not None:
        check_moment(facts.received_at, "/received_at")
    async with transaction():
        await _check_reference(agency, number, facts.reference)
        await lock_number(number)
        case = await Case.filter(number=number).select_for_update().first()
        if case is None:
            return PushedCase(await _open(agency, number, facts), True, [])
        if case.agency_id != agency.id:
            raise CaseNumberTaken(fields=[Fault("/number", "该办件编号已被使用")])
        return PushedCase(case, False, await _amend(case, facts))


@raises(CaseInvalid, CaseReferenceReused, CaseNumbersUsedUp)
async def push_unnumbered_case(agency: AsAgency, facts: CaseFacts) -> PushedCase:
    """Open a case under a number of ours. The department's `reference` says which case it is when it asks again.

    Raises CaseReferenceReused when the reference stands for a case of another content, CaseNumbersUsedUp, CaseInvalid.
    """
    if not facts.reference:
        raise CaseInvalid(fields=[Fault("/reference", "由平台编号时必须填写业务流水号")])
    if facts.received_at is not None:
        check_moment(facts.received_at, "/received_at")
    try:
        async with transaction():
            await lock_reference(agency.id, facts.reference)
            case = await Case.filter(agency_id=agency.id, reference=facts.reference).first()
            if case is not None:
                return PushedCase(_same(case, facts), False, [])
            item = await get_item(facts.item_code)
            return PushedCase(await _open(agency, await _free_number(item.code), facts), True, [])
    except CaseNumbersUsedUp:
        await alert_used_up(normalised(facts.item_code))
        raise


async def _free_number(item_code: str) -> str:
    """The next number of ours that no department has used by itself: some number by the same rule. Its lock is held."""
    while True:
        number = await next_number(item_code)
        await lock_number(number)
        if not await Case.filter(number=number).exists():
            return number


async def _check_reference(agency: AsAgency, number: str, reference: str | None) -> None:
    if reference is None:
        return
    await lock_reference(agency.id, reference)
    if await Case.filter(agency_id=agency.id, reference=reference).exclude(number=number).exists():
        raise CaseReferenceReused(fields=[Fault("/reference", "该业务流水号已用于另一办件")])


async def _open(agency: AsAgency, number: str, facts: CaseFacts) -> Case:
    item, case_id = await get_item(facts.item_code), uuid7()
    received = facts.received_at or clock.now()
    applicant = applicants.seal_applicant(facts.applicant, case_id=case_id, number=number)
    case = await Case.create(
        id=case_id,
        number=number,
        agency_id=agency.id,
        department_id=agency.department_id,
        reference=facts.reference,
        item_code=item.code,
        item_name=_item_name(item, facts),
        title=applicants.without_id_numbers(facts.title),
        received_at=received,
        promised_days=_limit(item, facts),
        state=CaseState.SUBMITTED,
        state_at=received,
        due="{}",
        **structs.asdict(applicant),
    )
    early = [row["id"] for row in await fetch(_ADOPT, case_id, agency.id, number)]
    await link_case(case, facts.applicant.phone)
    await project_case(case, early, announce=False)
    old = received < clock.now() - timedelta(days=settings().case_news_days)
    opened = CaseImported if old else CaseOpened
    await record(
        opened(case_id=case_id, agency_id=agency.id, item_code=item.code, state=case.state, received_at=received)
    )
    return case


def _item_name(item: Item, facts: CaseFacts) -> str:
    return item.name or facts.item_name or "未收录事项"


def _limit(item: Item, facts: CaseFacts) -> int | None:
    return item.promised_days if facts.promised_days is None else facts.promised_days


def _differences(case: Case, facts: CaseFacts) -> dict[str, Any]:
    """The facts that are said differently now, by field."""
    said: dict[str, Any] = {"title": applicants.without_id_numbers(facts.title)}
    for name in ("received_at", "promised_days", "reference"):
        if (value := getattr(facts, name)) is not None:
            said[name] = value
    found = {name: value for name, value in said.items() if getattr(case, name) != value}
    if _applicant_of(case) != facts.applicant:
        found["applicant"] = facts.applicant
    return found


def _applicant_of(case: Case) -> Applicant:
    columns = SealedApplicant(**{name: getattr(case, name) for name in SealedApplicant.__struct_fields__})
    return applicants.open_applicant(columns, case_id=case.id)


def _same(case: Case, facts: CaseFacts) -> Case:
    """The case, if the facts are those it was opened with. Raises CaseReferenceReused pointing to the others."""
    different = list(_differences(case, facts))
    if normalised(facts.item_code) != case.item_code:
        different.append("item_code")
    if different:
        raise CaseReferenceReused(fields=[Fault(f"/{name}", "与此前提交的内容不同") for name in different])
    return case


async def _amend(case: Case, facts: CaseFacts) -> list[str]:
    """Correct what was said about the case; the names of the facts that changed."""
    if normalised(facts.item_code) != case.item_code:
        raise CaseItemFixed(fields=[Fault("/item_code", "办件的事项不能更改")])
    changes = _differences(case, facts)
    if not changes:
        return []
    phone, names = case.applicant_phone_fingerprint, sorted(changes)
    if (applicant := changes.pop("applicant", None)) is not None:
        changes |= structs.asdict(applicants.seal_applicant(applicant, case_id=case.id, number=case.number))
    for name, value in changes.items():
        setattr(case, name, value)
    case.version += 1
    await case.save(update_fields=[*changes, "version"])
    if case.applicant_phone_fingerprint != phone:
        await link_case(case, facts.applicant.phone)
    await project_case(case, [])
    await record(CaseAmended(case_id=case.id, changed=names))
    return names
