"""Which event is told to whom: the whole table. An event without a message states why it is silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend import calendar, callbacks, data_subjects
from backend.cases import events as cases
from backend.catalogue import events as catalogue
from backend.events import Event, EventMeta, name_of, subscribe
from backend.identity import events as identity
from models.cases import CaseState as S
from notifications import events as own
from notifications import facts, hearing, money, outbox, parcels, texts, visits
from notifications.inbox import put
from notifications.telling import GONE, NO_ACCOUNT, NOTHING_NEW, Nobody, Silence, Tell, Told, note

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
"""The state that a case has come to → what its applicant is told."""


def message_for(from_state: str, to_state: str, outcome: str | None) -> str | None:
    """Which message tells of this step; None when it says nothing new to the applicant."""
    if to_state == S.SUBMITTED and from_state != S.CORRECTION:
        return "case_opened"
    if to_state == S.IN_REVIEW and from_state == S.SUSPENDED:
        return "case_resumed"
    if to_state == S.APPROVED and outcome == "approved":
        return "case_approved"
    if to_state == S.CLOSED and outcome == "rejected":
        # A refusal that is reported together with the end of the case must not be told as a happy end.
        return None if from_state == S.REJECTED else "case_rejected"
    return BY_STATE.get(to_state)


async def _case_opened(event: cases.CaseOpened, meta: EventMeta) -> Sequence[Told]:
    case = await facts.case(event.case_id)
    if case is None:
        return GONE
    if case.resident_id is None:
        return NO_ACCOUNT
    if event.state == S.SUBMITTED:
        return (Told(case.resident_id, "case_opened", case.context(event.received_at)),)
    # Its events had come before the case itself did: where it stands is the news, not that it came in.
    name = message_for(S.SUBMITTED, event.state, case.outcome)
    return (Told(case.resident_id, name, case.context(case.since)),) if name else NOTHING_NEW


async def _case_progressed(event: cases.CaseProgressed, meta: EventMeta) -> Sequence[Told]:
    case = await facts.case(event.case_id)
    if case is None:
        return GONE
    if case.resident_id is None:
        return NO_ACCOUNT
    name = message_for(event.from_state, event.to_state, case.outcome)
    return (Told(case.resident_id, name, case.context(event.occurred_at)),) if name else NOTHING_NEW


def _to_the_resident(name: str) -> Tell:
    async def telling(event: Any, meta: EventMeta) -> Sequence[Told]:
        return (Told(event.resident_id, name, {"at": facts.moment(meta.at)}),)

    return Tell((name,), telling)


async def _delegation_began(event: identity.DelegationBegan, meta: EventMeta) -> Sequence[Told]:
    return (Told(event.principal_id, "delegation_began", {"at": facts.moment(meta.at)}),)


async def _delegation_ended(event: identity.DelegationEnded, meta: EventMeta) -> Sequence[Told]:
    """Both are told, whoever ended it; nobody of an offer that led to nothing, and nobody who was forgotten."""
    if event.delegate_id is None:
        return Nobody("an offer that led to nothing")
    gone = event.by if event.how == "erased" else None
    people = (each for each in (event.principal_id, event.delegate_id) if each != gone)
    return [Told(each, "delegation_ended", {"at": facts.moment(meta.at)}) for each in people]


_CASE_MESSAGES = ("case_opened", "case_resumed", "case_approved", *BY_STATE.values())
_SEEN = Silence("the resident did it and sees the result at once")
_OPERATORS = Silence("concerns operators, who watch the alarms")
_STAFF = Silence("concerns staff; residents hear nothing of it")
_AGENCIES = Silence("concerns the systems of departments; residents hear nothing of it")
_CATALOGUE = Silence("the catalogue is looked up, not announced")

RULES: Mapping[type[Event], Tell | Silence] = {
    cases.CaseOpened: Tell(_CASE_MESSAGES, _case_opened),
    cases.CaseProgressed: Tell(_CASE_MESSAGES, _case_progressed),
    cases.CaseCaughtUp: Silence("history that was filled in: it happened long ago"),
    cases.CaseNoted: Silence("the state stayed as it was; the timeline shows it"),
    cases.CaseAmended: Silence("a correction of the record; the case shows it"),
    cases.CaseLinked: Silence("the resident has just confirmed the phone and looks at the list of cases"),
    cases.CaseUnlinked: Silence("to say that the case was somebody else's would tell about somebody else"),
    cases.CaseNumbersRunningOut: _OPERATORS,
    cases.CaseNumbersExhausted: _OPERATORS,
    cases.CaseImported: Silence("an old case, brought over from another system: nothing happened now"),
    catalogue.ItemDrafted: _CATALOGUE,
    catalogue.ItemEdited: _CATALOGUE,
    catalogue.ItemPublished: _CATALOGUE,
    catalogue.ItemWithdrawn: _CATALOGUE,
    calendar.CalendarChanged: Silence("due dates are shown as they are now; the case explains them"),
    identity.ResidentJoined: _SEEN,
    identity.PhoneConfirmed: _SEEN,
    identity.PhoneRemoved: _SEEN,
    identity.PhoneMovedAway: _to_the_resident("phone_moved"),
    identity.ResidentDisabled: _to_the_resident("account_closed"),
    data_subjects.ResidentErased: Silence("the account is gone: there is nobody to tell"),
    identity.ResidentEnabled: _to_the_resident("account_opened"),
    identity.DelegationOffered: _SEEN,
    identity.DelegationBegan: Tell(("delegation_began",), _delegation_began),
    identity.DelegationEnded: Tell(("delegation_ended",), _delegation_ended),
    identity.SessionStarted: _SEEN,
    identity.SessionsEnded: _SEEN,
    identity.RefreshReuseFound: _to_the_resident("session_reused"),
    identity.StaffEnrolled: _STAFF,
    identity.StaffSignedIn: _STAFF,
    identity.StaffSignedOut: _STAFF,
    identity.StaffSignInFailed: _STAFF,
    identity.StaffPasswordChanged: _STAFF,
    identity.StaffDutiesChanged: _STAFF,
    identity.StaffMoved: _STAFF,
    identity.StaffDisabled: _STAFF,
    identity.AgencyEnrolled: _AGENCIES,
    identity.AgencyKeyIssued: _AGENCIES,
    identity.AgencyKeyRevoked: _AGENCIES,
    identity.SigningKeyRotated: _OPERATORS,
    callbacks.WechatPushed: Silence("heard by notifications/hearing.py: it tells us something, not the resident"),
    callbacks.SmsPushed: Silence("heard by notifications/texts.py: it tells us something, not the resident"),
    own.MessageRevived: _OPERATORS,
    **visits.RULES,
    **money.RULES,
    **parcels.RULES,
}


async def tell(event: Event, meta: EventMeta) -> None:
    """Make the messages of an event: each one once per event, resident and template, however often we are called."""
    rule = RULES[type(event)]
    if not isinstance(rule, Tell):
        return
    messages = await rule.telling(event, meta)
    for told in sorted(messages, key=lambda each: (each.resident_id, each.name)):
        await put(event, meta, told.resident_id, told.name, told.context)
    await note(meta.id, messages)


def wire() -> None:
    """Have every event with messages heard. Safe to call again."""
    kind: type[Any]
    for kind, rule in RULES.items():
        if isinstance(rule, Tell):
            subscribe(kind, outbox.SUBSCRIBER, tell)
            outbox.TOLD.add(name_of(kind))
    hearing.wire()
    texts.wire()
