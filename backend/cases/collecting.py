"""Who may fetch the document of a case with their own identity document in hand."""

from __future__ import annotations

import hmac
from uuid import UUID

from backend.cases.applicants import normalise_tail, tail_matches
from backend.cases.deliveries import SUBJECT
from backend.crypto import normalised, open_sealed
from backend.database import fetch_row

_APPLICANT = "SELECT id, number, applicant_name, applicant_id_tail_fingerprint AS tail FROM cases WHERE id = $1"


async def is_applicant(subject_kind: str, subject_id: UUID, name: str, id_last_four: str) -> bool:
    """Whether the case's applicant has this name and these last four characters of their identity document.

    False for what is no case, and for an applicant of whom the department has reported only one of the two.
    """
    row = await fetch_row(_APPLICANT, subject_id) if subject_kind == SUBJECT else None
    if row is None or not row["applicant_name"]:
        return False
    known = open_sealed(row["applicant_name"], where="cases.applicant_name", row=row["id"])
    same = hmac.compare_digest(normalised(known).encode(), normalised(name).encode())
    try:
        tail = normalise_tail(id_last_four)
    except ValueError:
        return False
    return tail_matches(row["number"], tail, row["tail"]) and same
