"""The ledger is sealed without gaps, in documented bytes, and can be checked elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from backend import auditing, chain
from backend.auditing import anchors, export, seal_new, verify, verify_export
from backend.database import fetch, fetch_row, fetch_value, transaction
from backend.events import record
from backend.settings import using
from tests.factories.ledger import PageTurned, a_chain, an_anchor, places, some_events, tamper

# -- sealing ------------------------------------------------------------------------------------


async def test_every_event_gets_one_place_and_the_ledger_verifies():
    await some_events(50)

    assert await seal_new() == 50

    assert await fetch_value("SELECT count(*) FROM unsealed_events") == 0
    assert await fetch_value("SELECT count(DISTINCT event_id) FROM event_seals") == 50
    assert await verify() == []
    assert await seal_new() == 0


async def test_the_hash_can_be_recomputed_from_the_documented_form_alone():
    page = uuid4()
    [identity] = await some_events(1, page)
    await seal_new()
    row = await fetch_row("SELECT e.*, s.shard, s.hash FROM events e JOIN event_seals s ON s.event_id = e.id")
    assert row is not None

    def micros(column: str) -> int:
        since = row[column] - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

    values = [
        str(identity), micros("created_at"), micros("at"), "page.turned", "page", str(page), "system", "-", "-",
        f'{{"event":"page.turned","page_id":"{page}","number":0}}',
    ]  # fmt: skip
    written = "".join(f"{len(str(value).encode())}:{value}," for value in values).encode()
    before = hashlib.sha256(f"zhangban ledger shard {row['shard']}".encode()).digest()

    assert row["hash"] == hashlib.sha256(before + hashlib.sha256(written).digest()).hexdigest()


async def test_the_canonical_form_covers_every_column_of_the_table():
    rows = await fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'events'::regclass AND attnum > 0 AND NOT attisdropped"
    )

    assert {row["attname"] for row in rows} == set(chain.COLUMNS)


def test_two_events_that_differ_only_in_where_a_field_ends_have_different_digests():
    assert chain.digest(["ab", ""]) != chain.digest(["a", "b"])


async def test_sealing_goes_on_where_it_stopped_and_keeps_to_its_limit():
    await some_events(10, page=uuid4())

    assert [await seal_new(limit=4) for _ in range(4)] == [4, 4, 2, 0]
    assert [row["position"] for row in await fetch("SELECT position FROM event_seals ORDER BY id")] == list(
        range(1, 11)
    )
    assert await verify() == []


async def test_an_event_that_commits_late_is_sealed_late_and_not_skipped():
    began, finish = asyncio.Event(), asyncio.Event()
    page = uuid4()

    async def slowly() -> UUID:
        async with transaction():
            identity = await record(PageTurned(page_id=page))
            began.set()
            await finish.wait()
        return identity

    slow = asyncio.create_task(slowly())
    await began.wait()
    await some_events(3, page)
    assert await seal_new() == 3
    finish.set()
    late = await slow

    assert await seal_new() == 1
    assert await fetch_value("SELECT position FROM event_seals WHERE event_id = $1", late) == 4
    assert await verify() == []


async def test_many_sealers_at_once_leave_no_gap_and_no_double():
    pages = [uuid4() for _ in range(4)]

    async def busy() -> None:
        for _ in range(10):
            await some_events(2, page=pages[_ % 4])

    async def sealer() -> None:
        for _ in range(25):
            await seal_new(limit=3)

    await asyncio.gather(busy(), busy(), sealer(), sealer(), sealer())
    await auditing.seal_all()

    assert await fetch_value("SELECT count(*) FROM event_seals") == 40
    assert await verify() == []


async def test_a_sealer_that_dies_at_any_statement_leaves_nothing_half_done(monkeypatch: pytest.MonkeyPatch):
    await some_events(3, page=uuid4())
    deaths = 0
    for fatal in range(1, 30):
        statements = 0
        with monkeypatch.context() as patch:
            for name in ("execute", "fetch", "fetchrow", "fetchval"):
                real = getattr(asyncpg.Connection, name)

                async def dying(self: Any, *given: Any, _real: Any = real, _fatal: int = fatal, **named: Any) -> Any:
                    nonlocal statements
                    statements += 1
                    answer = await _real(self, *given, **named)
                    if statements == _fatal:
                        self.terminate()
                        raise ConnectionResetError("killed")
                    return answer

                patch.setattr(asyncpg.Connection, name, dying)
            try:
                await seal_new()
            except (OSError, asyncpg.InterfaceError):
                deaths += 1
            else:
                break
        sealed = await fetch_value("SELECT count(*) FROM event_seals")
        waiting = await fetch_value("SELECT count(*) FROM unsealed_events")
        assert sealed + waiting == 3
        assert sealed in (0, 3)

    assert deaths >= 4
    assert await fetch_value("SELECT count(*) FROM event_seals") == 3
    assert await verify() == []


async def test_another_number_of_shards_breaks_no_chain():
    with using(ledger_shards=16):
        await some_events(20)
        await seal_new()
        await some_events(5)
    with using(ledger_shards=3):
        await some_events(20)
        await seal_new()

    assert await verify() == []
    assert await fetch_value("SELECT count(*) FROM event_seals") == 45


# -- anchors and exports ------------------------------------------------------------------------


async def test_an_anchor_names_the_head_of_every_shard():
    await some_events(40)
    await seal_new()

    kept = await anchors()

    rows = await fetch("SELECT shard, max(position) AS position FROM event_seals GROUP BY shard ORDER BY shard")
    assert [(head.shard, head.position) for head in kept.heads] == [tuple(row) for row in rows]


async def test_the_hourly_job_adds_an_anchor_to_the_file(tmp_path: Path):
    shard = await a_chain(2)
    with using(anchor_file=str(tmp_path / "kept" / "anchors.jsonl")):
        await auditing.keep_anchor({})
        await auditing.keep_anchor({})

    assert len((tmp_path / "kept" / "anchors.jsonl").read_text().splitlines()) == 2
    assert set(auditing.read_anchors(tmp_path / "kept" / "anchors.jsonl")) == {shard}


async def test_anchors_that_contradict_each_other_are_refused(tmp_path: Path):
    await a_chain(2)
    kept = await an_anchor(tmp_path)
    text = kept.read_text()
    kept.write_text(text + text.replace('"hash":"', '"hash":"0'))

    with pytest.raises(auditing.AnchorUnreadable, match="line 2"):
        auditing.read_anchors(kept)


async def test_an_export_verifies_without_a_database(tmp_path: Path):
    await some_events(30)
    await seal_new()
    kept = await an_anchor(tmp_path)

    assert await export(tmp_path / "ledger.jsonl") == 30

    assert verify_export(tmp_path / "ledger.jsonl") == []
    assert verify_export(tmp_path / "ledger.jsonl", kept) == []


async def test_an_edited_export_is_found(tmp_path: Path):
    shard = await a_chain()
    await export(tmp_path / "ledger.jsonl")
    lines = (tmp_path / "ledger.jsonl").read_text().splitlines()

    lines[3] = lines[3].replace('"system"', '"nobody"')
    (tmp_path / "edited.jsonl").write_text("\n".join(lines))
    (tmp_path / "short.jsonl").write_text("\n".join(lines[:3]))

    assert places(verify_export(tmp_path / "edited.jsonl")) == {("altered", shard, 3)}
    assert places(verify_export(tmp_path / "short.jsonl")) == {("cut", shard, 3)}


async def test_an_anchor_younger_than_the_export_is_no_finding(tmp_path: Path):
    page = uuid4()
    await some_events(2, page)
    await seal_new()
    await export(tmp_path / "ledger.jsonl")
    await some_events(2, page)
    await seal_new()
    kept = await an_anchor(tmp_path)

    assert verify_export(tmp_path / "ledger.jsonl", kept) == []


async def test_an_export_that_was_cut_and_promises_less_is_found_by_an_older_anchor(tmp_path: Path):
    shard = await a_chain()
    kept = await an_anchor(tmp_path)
    await tamper("DELETE FROM event_seals WHERE position > 4")
    await export(tmp_path / "ledger.jsonl")

    assert places(verify_export(tmp_path / "ledger.jsonl", kept)) == {("cut", shard, 5)}


async def test_a_file_that_is_no_export_is_refused(tmp_path: Path):
    (tmp_path / "other.jsonl").write_text('{"hello": 1}\n')

    with pytest.raises(auditing.AnchorUnreadable):
        verify_export(tmp_path / "other.jsonl")
