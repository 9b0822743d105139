"""Which changes of accounts, phones, delegations and sessions notify residents, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend import data_subjects
from backend.events import Event, EventMeta
from backend.identity import events
from notifications.rules.facts import moment
from notifications.rules.types import FOR_OPERATORS, RESIDENT_DID_IT, NoNotification, Notification, Notify, Rule


def _to_the_resident(name: str) -> Notify:
    async def decide(event: Any, meta: EventMeta) -> Sequence[Notification]:
        return (Notification(event.resident_id, name, {"at": moment(meta.at)}),)

    return Notify((name,), decide)


async def _delegation_began(event: events.DelegationBegan, meta: EventMeta) -> Sequence[Notification]:
    return (Notification(event.principal_id, "delegation_began", {"at": moment(meta.at)}),)


async def _delegation_ended(event: events.DelegationEnded, meta: EventMeta) -> Sequence[Notification]:
    """Both sides, whichever of them ended it; neither for an offer that led to nothing, and no erased resident."""
    if event.delegate_id is None:
        return NoNotification("an offer that led to nothing")
    gone = event.by if event.how == "erased" else None
    people = (each for each in (event.principal_id, event.delegate_id) if each != gone)
    return [Notification(each, "delegation_ended", {"at": moment(meta.at)}) for each in people]


_STAFF = NoNotification("concerns staff, not residents")
_AGENCIES = NoNotification("concerns the systems of departments, not residents")

RULES: Mapping[type[Event], Rule] = {
    events.ResidentJoined: RESIDENT_DID_IT,
    events.PhoneConfirmed: RESIDENT_DID_IT,
    events.PhoneRemoved: RESIDENT_DID_IT,
    events.PhoneMovedAway: _to_the_resident("phone_moved"),
    events.ResidentDisabled: _to_the_resident("account_closed"),
    data_subjects.ResidentErased: NoNotification("the account is gone: no recipient is left"),
    events.ResidentEnabled: _to_the_resident("account_opened"),
    events.DelegationOffered: RESIDENT_DID_IT,
    events.DelegationBegan: Notify(("delegation_began",), _delegation_began),
    events.DelegationEnded: Notify(("delegation_ended",), _delegation_ended),
    events.SessionStarted: RESIDENT_DID_IT,
    events.SessionsEnded: RESIDENT_DID_IT,
    events.RefreshReuseFound: _to_the_resident("session_reused"),
    events.StaffEnrolled: _STAFF,
    events.StaffSignedIn: _STAFF,
    events.StaffSignedOut: _STAFF,
    events.StaffSignInFailed: _STAFF,
    events.StaffPasswordChanged: _STAFF,
    events.StaffDutiesChanged: _STAFF,
    events.StaffMoved: _STAFF,
    events.StaffDisabled: _STAFF,
    events.AgencyEnrolled: _AGENCIES,
    events.AgencyKeyIssued: _AGENCIES,
    events.AgencyKeyRevoked: _AGENCIES,
    events.SigningKeyRotated: FOR_OPERATORS,
}
