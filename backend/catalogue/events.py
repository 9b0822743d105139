"""What happened to items; about the item."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from backend.events import Event


class ItemDrafted(Event, frozen=True, kw_only=True, tag="item.drafted"):
    """A new version was begun; `number` 1 is a new item."""

    about: ClassVar[str] = "item_id"
    item_id: UUID
    code: str
    number: int


class ItemEdited(Event, frozen=True, kw_only=True, tag="item.edited"):
    """A draft was saved."""

    about: ClassVar[str] = "item_id"
    item_id: UUID
    code: str
    number: int
    revision: int


class ItemPublished(Event, frozen=True, kw_only=True, tag="item.published"):
    """A version is in force. `replaced` is the number of the one it took the place of."""

    about: ClassVar[str] = "item_id"
    item_id: UUID
    code: str
    number: int
    replaced: int | None


class ItemWithdrawn(Event, frozen=True, kw_only=True, tag="item.withdrawn"):
    """A version is no longer in force, and none took its place."""

    about: ClassVar[str] = "item_id"
    item_id: UUID
    code: str
    number: int
