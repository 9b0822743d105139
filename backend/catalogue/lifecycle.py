"""The state machine of an item's version. Pure."""

from __future__ import annotations

from enum import StrEnum

from backend.catalogue.errors import ItemVersionTransitionRefused
from backend.state_machine import StateMachine
from models.catalogue import VersionState


class VersionTransition(StrEnum):
    """What can happen to a version."""

    EDIT = "edit"
    PUBLISH = "publish"
    WITHDRAW = "withdraw"


ITEM_VERSIONS: StateMachine[VersionState, VersionTransition] = StateMachine(
    {
        (VersionState.DRAFT, VersionTransition.EDIT): VersionState.DRAFT,
        (VersionState.DRAFT, VersionTransition.PUBLISH): VersionState.PUBLISHED,
        (VersionState.PUBLISHED, VersionTransition.WITHDRAW): VersionState.WITHDRAWN,
    },
    refused=ItemVersionTransitionRefused,
)
"""A published version never changes, and a withdrawn one never comes back."""
