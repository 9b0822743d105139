"""The states of an item's version and the moves between them: a table and one function that refuses. Pure."""

from __future__ import annotations

from enum import StrEnum

from backend.catalogue.errors import ItemVersionTransitionRefused
from models.catalogue import VersionState


class VersionTransition(StrEnum):
    """What may be done with a version."""

    EDIT = "edit"
    PUBLISH = "publish"
    WITHDRAW = "withdraw"


MOVES: dict[tuple[VersionState, VersionTransition], VersionState] = {
    (VersionState.DRAFT, VersionTransition.EDIT): VersionState.DRAFT,
    (VersionState.DRAFT, VersionTransition.PUBLISH): VersionState.PUBLISHED,
    (VersionState.PUBLISHED, VersionTransition.WITHDRAW): VersionState.WITHDRAWN,
}
"""Everything that is allowed. What is published never changes and what is withdrawn never comes back."""


def after(state: VersionState, move: VersionTransition) -> VersionState:
    """The state that the move leads to. Raises ItemVersionTransitionRefused, naming what is allowed instead."""
    try:
        return MOVES[state, move]
    except KeyError:
        allowed = sorted(possible for at, possible in MOVES if at is state)
        raise ItemVersionTransitionRefused(state=state, move=move, allowed=allowed) from None
