"""What happens to residents, sessions, staff and agencies. Ids and codes only: the ledger is kept for ever."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from backend.events import Event

# -- residents -------------------------------------------------------------------------------------


class ResidentJoined(Event, frozen=True, kw_only=True, tag="resident.joined"):
    """A resident signed in for the first time."""

    about: ClassVar[str] = "resident_id"
    resident_id: UUID


class PhoneConfirmed(Event, frozen=True, kw_only=True, tag="resident.phone-confirmed"):
    """WeChat vouched for a phone number of the resident; read it with `identity.phone_of(resident_id)`."""

    about: ClassVar[str] = "resident_id"
    resident_id: UUID


class PhoneRemoved(Event, frozen=True, kw_only=True, tag="resident.phone-removed"):
    """The resident took their phone number away."""

    about: ClassVar[str] = "resident_id"
    resident_id: UUID


class PhoneMovedAway(Event, frozen=True, kw_only=True, tag="resident.phone-moved-away"):
    """Another resident proved that the phone number is now theirs; the event does not name them."""

    about: ClassVar[str] = "resident_id"
    resident_id: UUID


class ResidentDisabled(Event, frozen=True, kw_only=True, tag="resident.disabled"):
    """The account was closed to its owner; all sessions ended with it."""

    about: ClassVar[str] = "resident_id"
    resident_id: UUID


class ResidentEnabled(Event, frozen=True, kw_only=True, tag="resident.enabled"):
    """The account is open to its owner again."""

    about: ClassVar[str] = "resident_id"
    resident_id: UUID


# -- delegation ------------------------------------------------------------------------------------


class DelegationOffered(Event, frozen=True, kw_only=True, tag="delegation.offered"):
    """A resident (the principal) asks a delegate to act for them in these matters."""

    about: ClassVar[str] = "delegation_id"
    delegation_id: UUID
    principal_id: UUID
    matters: tuple[str, ...]


class DelegationBegan(Event, frozen=True, kw_only=True, tag="delegation.began"):
    """The invitation was taken: from now on the delegate may act for the principal."""

    about: ClassVar[str] = "delegation_id"
    delegation_id: UUID
    principal_id: UUID
    delegate_id: UUID


class DelegationEnded(Event, frozen=True, kw_only=True, tag="delegation.ended"):
    """The delegate may act no more; `delegate_id` is null when the offer was not accepted, `by` when time ended it.

    `how` is "withdrawn", "lapsed" (an offer), "revoked", "renounced", "over" or "erased".
    """

    about: ClassVar[str] = "delegation_id"
    delegation_id: UUID
    principal_id: UUID
    delegate_id: UUID | None
    how: str
    by: UUID | None


# -- sessions --------------------------------------------------------------------------------------


class SessionStarted(Event, frozen=True, kw_only=True, tag="session.started"):
    """A resident signed in on a device of this class."""

    about: ClassVar[str] = "session_id"
    session_id: UUID
    resident_id: UUID
    device: str


class SessionsEnded(Event, frozen=True, kw_only=True, tag="resident.sessions-ended"):
    """Sessions of a resident were ended: by signing out, by the resident elsewhere, or because there were too many."""

    about: ClassVar[str] = "resident_id"
    resident_id: UUID
    session_ids: tuple[UUID, ...]
    reason: str


class RefreshReuseFound(Event, frozen=True, kw_only=True, tag="session.refresh-reused"):
    """A refresh token came that had a successor: the session was ended and the resident is notified."""

    about: ClassVar[str] = "session_id"
    session_id: UUID
    resident_id: UUID
    reason: str
    """`reused` or `elsewhere` (from another class of device)."""


# -- staff -----------------------------------------------------------------------------------------


class StaffEnrolled(Event, frozen=True, kw_only=True, tag="staff.enrolled"):
    """A member of staff got an account."""

    about: ClassVar[str] = "staff_id"
    staff_id: UUID
    department_id: UUID


class StaffSignedIn(Event, frozen=True, kw_only=True, tag="staff.signed-in"):
    """A member of staff signed in with both factors."""

    about: ClassVar[str] = "staff_id"
    staff_id: UUID
    session_id: UUID


class StaffSignedOut(Event, frozen=True, kw_only=True, tag="staff.signed-out"):
    """A member of staff ended their session."""

    about: ClassVar[str] = "staff_id"
    staff_id: UUID
    session_id: UUID


class StaffSignInFailed(Event, frozen=True, kw_only=True, tag="staff.sign-in-failed"):
    """A sign-in with the login of this member of staff failed: wrong password or one-time code."""

    about: ClassVar[str] = "staff_id"
    staff_id: UUID


class StaffPasswordChanged(Event, frozen=True, kw_only=True, tag="staff.password-changed"):
    """The password was changed by its owner, or reset (`by_owner` false)."""

    about: ClassVar[str] = "staff_id"
    staff_id: UUID
    by_owner: bool


class StaffDutiesChanged(Event, frozen=True, kw_only=True, tag="staff.duties-changed"):
    """What the member of staff may do, from now on."""

    about: ClassVar[str] = "staff_id"
    staff_id: UUID
    duties: tuple[str, ...]


class StaffMoved(Event, frozen=True, kw_only=True, tag="staff.moved"):
    """The member of staff works for another department from now on."""

    about: ClassVar[str] = "staff_id"
    staff_id: UUID
    department_id: UUID


class StaffDisabled(Event, frozen=True, kw_only=True, tag="staff.disabled"):
    """The account was closed; all sessions ended with it."""

    about: ClassVar[str] = "staff_id"
    staff_id: UUID


# -- agencies and keys -----------------------------------------------------------------------------


class AgencyEnrolled(Event, frozen=True, kw_only=True, tag="agency.enrolled"):
    """A department's system may call us."""

    about: ClassVar[str] = "agency_id"
    agency_id: UUID
    department_id: UUID


class AgencyKeyIssued(Event, frozen=True, kw_only=True, tag="agency.key-issued"):
    """An agency got a key to sign with."""

    about: ClassVar[str] = "agency_id"
    agency_id: UUID
    key_name: str


class AgencyKeyRevoked(Event, frozen=True, kw_only=True, tag="agency.key-revoked"):
    """A key of an agency is no longer accepted."""

    about: ClassVar[str] = "agency_id"
    agency_id: UUID
    key_name: str


class SigningKeyRotated(Event, frozen=True, kw_only=True, tag="signing-key.rotated"):
    """Access tokens will be signed with a new key; `at_once` when the old one was thrown away."""

    about: ClassVar[str] = "key_id"
    key_id: UUID
    at_once: bool
