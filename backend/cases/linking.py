"""Who sees a case: the resident whose confirmed phone number is the applicant's.

A link is made when a case comes in and when a resident confirms a phone. It stays when the resident changes the number
later, and a case with a resident is never given to the next owner of the number.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from backend import clock
from backend.cases.events import CaseLinked, CaseUnlinked
from backend.cases.locks import lock_phone
from backend.crypto import fingerprints
from backend.database import fetch, fetch_value, transaction
from backend.events import EventMeta, record
from backend.identity import phone_of
from backend.identity.events import PhoneConfirmed
from backend.settings import settings
from models.cases import Case

_RESIDENT = "SELECT id FROM residents WHERE phone_fingerprint = ANY($1) AND disabled_at IS NULL"
_LINK = """
UPDATE cases SET resident_id = $1, linked_at = $4
WHERE applicant_phone_fingerprint = ANY($2) AND resident_id IS NULL AND received_at > $3
RETURNING id
"""


async def link_case(case: Case, phone: str | None) -> None:
    """Find the resident of a case that has just come in, or whose applicant was just corrected."""
    before, case.resident_id, case.linked_at = case.resident_id, None, None
    if phone is not None and case.received_at > _oldest():
        candidates = fingerprints(phone, "phone")
        await lock_phone(candidates[0])
        case.resident_id = await fetch_value(_RESIDENT, candidates)
        case.linked_at = clock.now() if case.resident_id else None
    if before == case.resident_id:
        return
    await case.save(update_fields=["resident_id", "linked_at"])
    if before is not None:
        await record(CaseUnlinked(case_id=case.id, resident_id=before))
    if case.resident_id is not None:
        await record(CaseLinked(case_id=case.id, resident_id=case.resident_id))


async def link_on_phone(event: PhoneConfirmed, meta: EventMeta) -> None:
    """Give the resident the cases of the phone number they confirmed that have no resident yet."""
    async with transaction():
        phone = await phone_of(event.resident_id)
        if phone is None:
            return
        candidates = fingerprints(phone, "phone")
        await lock_phone(candidates[0])
        for row in await fetch(_LINK, event.resident_id, candidates, _oldest(), meta.at):
            await record(CaseLinked(case_id=row["id"], resident_id=event.resident_id))


def _oldest() -> datetime:
    return clock.now() - timedelta(days=settings().case_link_days)
