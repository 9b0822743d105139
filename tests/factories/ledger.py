"""Events in the ledger, sealed or not, and what the owner of the tables can do to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

from backend.auditing import anchors, seal_new, write_anchor
from backend.chain import Finding
from backend.database import fetch_value, transaction
from backend.events import Event, record
from tests.owner import as_owner


class PageTurned(Event, tag="page.turned"):
    """An event of these tests."""

    about: ClassVar[str] = "page_id"
    page_id: UUID
    number: int = 0


async def some_events(count: int, page: UUID | None = None) -> list[UUID]:
    """Events in the ledger, not sealed yet; of one page, and so of one shard, when one is given."""
    async with transaction():
        return [await record(PageTurned(page_id=page or uuid4(), number=n)) for n in range(count)]


async def tamper(sql: str, *arguments: Any) -> None:
    """Run a statement as the owner, with the triggers off."""
    async with as_owner() as owner:
        await owner.execute(sql, *arguments)


async def a_chain(length: int = 6) -> int:
    """A sealed chain in one shard; the shard."""
    await some_events(length, page=uuid4())
    assert await seal_new() == length
    return await fetch_value("SELECT shard FROM event_seals LIMIT 1")


async def an_anchor(folder: Path) -> Path:
    """A file that holds an anchor of now."""
    write_anchor(folder / "anchors.jsonl", await anchors())
    return folder / "anchors.jsonl"


def places(findings: list[Finding]) -> set[tuple[str, int, int | None]]:
    """Kind, shard and position of what was found."""
    return {(each.kind, each.shard, each.position) for each in findings}
