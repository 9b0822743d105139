"""What a department reads back of a case it pushed: where it stands, its events with flags, a masked applicant."""

from __future__ import annotations

from backend.cases import applicants
from backend.cases.applicants import Applicant, SealedApplicant
from backend.cases.errors import CaseNotFound
from backend.cases.opening import NUMBER, normalised_number
from backend.errors import raises
from backend.identity import AsAgency
from models.cases import Case, CaseEvent


@raises(CaseNotFound)
async def get_pushed_case(agency: AsAgency, number: str) -> tuple[Case, list[CaseEvent]]:
    """The agency's own case with its events in the order in which they happened.

    Raises CaseNotFound, for another agency's case as well.
    """
    spelled = normalised_number(number)
    case = await Case.get_or_none(number=spelled, agency_id=agency.id) if NUMBER.fullmatch(spelled) else None
    if case is None:
        raise CaseNotFound
    return case, await CaseEvent.filter(case_id=case.id).order_by("occurred_at", "rank", "event_id")


def masked_applicant(case: Case) -> Applicant:
    """The applicant of a case, masked."""
    columns = SealedApplicant(**{name: getattr(case, name) for name in SealedApplicant.__struct_fields__})
    return applicants.mask_applicant(applicants.open_applicant(columns, case_id=case.id))
