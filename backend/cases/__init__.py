"""Cases (办件) as seen from outside: departments push them and what happens to them, residents follow them.

The face of the room: other rooms and doors use these names.
"""

from __future__ import annotations

from backend.cases.applicants import Applicant, IdKind, checked, masked
from backend.cases.following import CaseLine, Followed, followed, followed_by_models, listed
from backend.cases.looking_up import Seen, look_up
from backend.cases.opening import CaseFacts, Pushed, push, push_unnumbered
from backend.cases.reading_back import handled, masked_applicant
from backend.cases.reporting import Kept, Missing, Report, report

__all__ = [
    "Applicant",
    "CaseFacts",
    "CaseLine",
    "Followed",
    "IdKind",
    "Kept",
    "Missing",
    "Pushed",
    "Report",
    "Seen",
    "checked",
    "followed",
    "followed_by_models",
    "handled",
    "listed",
    "look_up",
    "masked",
    "masked_applicant",
    "push",
    "push_unnumbered",
    "report",
]
