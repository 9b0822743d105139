"""Who is asking. The type of a use case's first parameter is the permission."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from backend.identity.errors import DutyMissing


class AsResident(Struct, frozen=True):
    """A resident who signed in, and the session they use."""

    id: UUID
    session_id: UUID


class AsStaff(Struct, frozen=True):
    """A member of staff who signed in with both factors: their department and what they may do there."""

    id: UUID
    department_id: UUID
    duties: frozenset[str]
    session_id: UUID | None = None

    def require(self, duty: str) -> None:
        """Raises DutyMissing unless the duty ("catalogue.publish") is theirs."""
        if duty not in self.duties:
            raise DutyMissing(duty=duty)


class AsOperator(Struct, frozen=True):
    """The operator who runs a command on the server: seeds, the demo, the first officers. Not reachable over the
    API."""

    def require(self, duty: str) -> None:
        """An operator needs no duty; what they do is in the ledger under their name."""


class AsAgency(Struct, frozen=True):
    """A department's system whose signature we checked."""

    id: UUID
    department_id: UUID
