"""Which event in one domain moves another: the whole table."""

from __future__ import annotations

from typing import Any

from backend.events import Event, Listener, listen

REACTIONS: list[tuple[type[Event], Listener]] = []


def wire() -> None:
    """Have every listener of the table hear its events."""
    kind: type[Any]
    for kind, listener in REACTIONS:
        listen(kind, listener)
