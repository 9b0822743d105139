"""Cases and what happens to them, pushed the way agencies push them."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import cases, clock
from backend.cases import Applicant, CaseFacts, IdKind, Report, ReportResult
from backend.crypto import fingerprint, seal
from backend.identity.principals import AsAgency, AsResident
from models.cases import Case
from models.identity import Resident

ITEM = "12441500196720244T3442199806003"
"""An item code of the right form that no catalogue holds."""
ID_NUMBER = "11010519491231002X"
PHONE = "13800138000"

_numbers = count(1)


def an_agency_principal() -> AsAgency:
    """A department's system, as a use case sees it."""
    return AsAgency(uuid7(), uuid7())


async def a_resident_with_phone(phone: str | None = PHONE) -> AsResident:
    """A resident whose phone number is confirmed, without a session."""
    resident_id = uuid7()
    await Resident.create(
        id=resident_id,
        phone=seal(phone, where="residents.phone", row=resident_id) if phone else None,
        phone_fingerprint=fingerprint(phone, "phone") if phone else None,
        phone_confirmed_at=clock.now() if phone else None,
    )
    return AsResident(resident_id, uuid7())


def a_number(item: str = ITEM) -> str:
    """A case number that no other test uses."""
    return f"{item}20260302{next(_numbers):04d}"


def facts(**changes: Any) -> CaseFacts:
    """What an agency says about an ordinary case."""
    given: dict[str, Any] = {
        "item_code": ITEM,
        "item_name": "居民身份证换领",
        "applicant": Applicant("张三丰", IdKind.RESIDENT_ID, ID_NUMBER, PHONE),
        "title": "张三丰换领居民身份证",
        "received_at": clock.now() - timedelta(hours=2),
        "promised_days": 5,
    }
    return CaseFacts(**{**given, **changes})


async def a_case(agency: AsAgency | None = None, number: str | None = None, **changes: Any) -> Case:
    """A case that an agency pushed."""
    pushed = await cases.push_case(agency or an_agency_principal(), number or a_number(), facts(**changes))
    return pushed.case


def a_report(code: str, event_id: str | None = None, at: datetime | None = None, **changes: Any) -> Report:
    """Something that happened an hour ago, or `at`."""
    moment = at or clock.now() - timedelta(hours=1)
    return Report(event_id=event_id or uuid7().hex, code=code, occurred_at=moment, **changes)


async def reported(case: Case, *codes: str, **changes: Any) -> list[ReportResult]:
    """These things happened to the case, a minute apart, in this order."""
    began = clock.now() - timedelta(hours=1)
    agency = AsAgency(case.agency_id, case.department_id or UUID(int=0))
    kept: list[ReportResult] = []
    for n, code in enumerate(codes):
        moment = began + timedelta(minutes=n)
        kept += await cases.ingest_reports(agency, [(case.number, a_report(code, at=moment, **changes))])
    return kept
