"""Cases (办件) as seen from outside: departments push them and what happens to them, residents follow them.

The face of the room: other rooms and doors use these names.
"""

from __future__ import annotations

from backend.cases import deliveries, fees, lifecycle, sending_in
from backend.cases.agency_views import get_pushed_case, masked_applicant
from backend.cases.applicants import Applicant, IdKind, check_applicant, mask_applicant
from backend.cases.collecting import is_applicant
from backend.cases.delivery_options import DeliveryOptions, list_delivery_options
from backend.cases.lifecycle import FLAG_NAMES, STATE_NAMES
from backend.cases.opening import CaseFacts, PushedCase, push_case, push_unnumbered_case
from backend.cases.public_lookup import CaseLookupLimitExceeded, PublicCaseDetail, look_up_case
from backend.cases.reporting import MOST_AT_ONCE, Missing, Report, ReportResult, ingest_reports
from backend.cases.resident_views import CaseDetail, CaseSummary, get_own_case, get_own_case_json, list_own_cases
from backend.cases.vocabulary import NAMES, Kind, Outcome

__all__ = [
    "FLAG_NAMES",
    "MOST_AT_ONCE",
    "NAMES",
    "STATE_NAMES",
    "Applicant",
    "CaseDetail",
    "CaseFacts",
    "CaseLookupLimitExceeded",
    "CaseSummary",
    "DeliveryOptions",
    "IdKind",
    "Kind",
    "Missing",
    "Outcome",
    "PublicCaseDetail",
    "PushedCase",
    "Report",
    "ReportResult",
    "check_applicant",
    "deliveries",
    "fees",
    "get_own_case",
    "get_own_case_json",
    "get_pushed_case",
    "ingest_reports",
    "is_applicant",
    "lifecycle",
    "list_delivery_options",
    "list_own_cases",
    "look_up_case",
    "mask_applicant",
    "masked_applicant",
    "push_case",
    "push_unnumbered_case",
    "sending_in",
]
