"""Which steps of a case notify its applicant, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.cases import events
from backend.events import Event, EventMeta
from models.cases import CaseState as S
from notifications.rules import facts
from notifications.rules.types import (
    FOR_OPERATORS,
    GONE,
    NO_ACCOUNT,
    NOTHING_NEW,
    NoNotification,
    Notification,
    Notify,
    Rule,
)

BY_STATE: Mapping[str, str] = {
    S.CORRECTION: "supplement_needed",
    S.ACCEPTED: "case_accepted",
    S.NOT_ACCEPTED: "case_not_accepted",
    S.LAPSED: "case_lapsed",
    S.IN_REVIEW: "case_in_review",
    S.SUSPENDED: "case_suspended",
    S.REJECTED: "case_rejected",
    S.APPROVED: "case_decided",
    S.ISSUED: "case_issued",
    S.DELIVERED: "case_delivered",
    S.CLOSED: "case_closed",
    S.WITHDRAWN: "case_withdrawn",
    S.SUBMITTED: "supplement_received",
}
"""The state that a case has come to → the message to its applicant."""
_NAMES = ("case_opened", "case_resumed", "case_approved", *BY_STATE.values())


def message_for(from_state: str, to_state: str, outcome: str | None) -> str | None:
    """The message for this step; None when it says nothing new to the applicant."""
    if to_state == S.SUBMITTED and from_state != S.CORRECTION:
        return "case_opened"
    if to_state == S.IN_REVIEW and from_state == S.SUSPENDED:
        return "case_resumed"
    if to_state == S.APPROVED and outcome == "approved":
        return "case_approved"
    if to_state == S.CLOSED and outcome == "rejected":
        # A refusal that is reported together with the end of the case must not read as a happy end.
        return None if from_state == S.REJECTED else "case_rejected"
    return BY_STATE.get(to_state)


async def _opened(event: events.CaseOpened, meta: EventMeta) -> Sequence[Notification]:
    case = await facts.get_case(event.case_id)
    if case is None:
        return GONE
    if case.resident_id is None:
        return NO_ACCOUNT
    if event.state == S.SUBMITTED:
        return (Notification(case.resident_id, "case_opened", case.context(event.received_at)),)
    # Its events had come before the case itself did: where it stands is the news, not that it came in.
    name = message_for(S.SUBMITTED, event.state, case.outcome)
    return (Notification(case.resident_id, name, case.context(case.since)),) if name else NOTHING_NEW


async def _progressed(event: events.CaseProgressed, meta: EventMeta) -> Sequence[Notification]:
    case = await facts.get_case(event.case_id)
    if case is None:
        return GONE
    if case.resident_id is None:
        return NO_ACCOUNT
    name = message_for(event.from_state, event.to_state, case.outcome)
    return (Notification(case.resident_id, name, case.context(event.occurred_at)),) if name else NOTHING_NEW


RULES: Mapping[type[Event], Rule] = {
    events.CaseOpened: Notify(_NAMES, _opened),
    events.CaseProgressed: Notify(_NAMES, _progressed),
    events.CaseCaughtUp: NoNotification("history that was filled in: it happened long ago"),
    events.CaseNoted: NoNotification("the state stayed as it was; the timeline shows it"),
    events.CaseAmended: NoNotification("a correction of the record; the case shows it"),
    events.CaseLinked: NoNotification("the resident has just confirmed the phone and looks at the list of cases"),
    events.CaseUnlinked: NoNotification("a message about another person's case would reveal that person's business"),
    events.CaseNumbersRunningOut: FOR_OPERATORS,
    events.CaseNumbersExhausted: FOR_OPERATORS,
    events.CaseImported: NoNotification("an old case, brought over from another system: nothing happened now"),
}
