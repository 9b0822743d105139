"""The facts that a message may state: a few plain words, and never an id number, a phone number or a reason.

Messages show up on locked screens and pass through other companies: why a case was refused, or what a resident has to
bring, stands behind the sign-in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from backend.clock import SHANGHAI
from backend.database import fetch_row
from notifications import wording
from notifications.templates import ITEM_ROOM

NO_DUE_DATE = "以办理部门通知为准"
SOME_DEPARTMENT = "办理部门"


class CaseFacts(NamedTuple):
    """A case as its messages name it, and its applicant."""

    resident_id: UUID | None
    item: str
    number: str
    department: str
    due: str
    outcome: str | None
    since: datetime
    """When its present state began."""

    def context(self, at: datetime) -> Mapping[str, str]:
        """The values of the placeholders."""
        return {
            "item": self.item,
            "number": self.number,
            "department": self.department,
            "due": self.due,
            "at": moment(at),
        }


_CASE = """
SELECT c.resident_id, c.item_name, c.number, c.due_on, c.outcome, c.state_at, d.name AS department
FROM cases c LEFT JOIN departments d ON d.id = c.department_id WHERE c.id = $1
"""


async def get_case(case_id: UUID) -> CaseFacts | None:
    """The case; None when it is gone."""
    row = await fetch_row(_CASE, case_id)
    if row is None:
        return None
    return CaseFacts(
        resident_id=row["resident_id"],
        item=short_name(row["item_name"]),
        number=wording.clean(row["number"]),
        department=short_name(row["department"] or SOME_DEPARTMENT),
        due=day(row["due_on"]) if row["due_on"] else NO_DUE_DATE,
        outcome=row["outcome"],
        since=row["state_at"],
    )


def short_name(text: str) -> str:
    """A name for a message: one clean line of bounded length without personal numbers."""
    return wording.shorten(wording.without_people(wording.clean(text)), ITEM_ROOM)


def moment(at: datetime) -> str:
    """`2026年11月22日 15:04`, in China."""
    local = at.astimezone(SHANGHAI)
    return f"{local.year}年{local.month}月{local.day}日 {local:%H:%M}"


def day(on: date) -> str:
    """`2026年11月22日`."""
    return f"{on.year}年{on.month}月{on.day}日"
