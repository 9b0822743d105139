"""Cases (办件) as seen from outside: departments push them and what happens to them, residents follow them.

The face of the room: other rooms and doors use these names.
"""

from __future__ import annotations

from backend.cases.agency_views import get_pushed_case, masked_applicant
from backend.cases.applicants import Applicant, IdKind, check_applicant, mask_applicant
from backend.cases.opening import CaseFacts, PushedCase, push_case, push_unnumbered_case
from backend.cases.public_lookup import PublicCaseDetail, look_up_case
from backend.cases.reporting import Missing, Report, ReportResult, ingest_reports
from backend.cases.resident_views import CaseDetail, CaseSummary, get_own_case, get_own_case_json, list_own_cases

__all__ = [
    "Applicant",
    "CaseDetail",
    "CaseFacts",
    "CaseSummary",
    "IdKind",
    "Missing",
    "PublicCaseDetail",
    "PushedCase",
    "Report",
    "ReportResult",
    "check_applicant",
    "get_own_case",
    "get_own_case_json",
    "get_pushed_case",
    "ingest_reports",
    "list_own_cases",
    "look_up_case",
    "mask_applicant",
    "masked_applicant",
    "push_case",
    "push_unnumbered_case",
]
