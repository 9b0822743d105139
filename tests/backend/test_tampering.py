"""Every change of the ledger behind our back is found, with the shard and the position."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from backend import auditing, chain, clock
from backend.auditing import anchors, seal_new, verify
from backend.settings import settings
from tests.factories.ledger import a_chain, an_anchor, places, some_events, tamper
from tests.owner import as_owner


@pytest.mark.parametrize(
    "change",
    ["payload = replace(payload, '3', '7')", "actor_id = 'somebody else'", "at = at - interval '1 microsecond'",
     "created_at = created_at + interval '1 day'", "request_id = 'x'", "subject_id = gen_random_uuid()"],
)  # fmt: skip
async def test_an_edited_event_is_found(change: str):
    shard = await a_chain()

    await tamper(f"UPDATE events SET {change} WHERE id = (SELECT event_id FROM event_seals WHERE position = 4)")

    assert places(await verify()) == {("altered", shard, 4)}


async def test_an_event_deleted_in_the_middle_is_found():
    shard = await a_chain()

    await tamper("DELETE FROM events WHERE id = (SELECT event_id FROM event_seals WHERE position = 3)")

    assert places(await verify()) == {("event-missing", shard, 3)}


async def test_an_event_deleted_with_its_seal_is_found():
    shard = await a_chain()

    await tamper("DELETE FROM events WHERE id = (SELECT event_id FROM event_seals WHERE position = 3)")
    await tamper("DELETE FROM event_seals WHERE position = 3")

    assert places(await verify()) == {("gap", shard, 3)}


async def test_closing_the_gap_by_renumbering_is_found():
    shard = await a_chain()
    await tamper("DELETE FROM events WHERE id = (SELECT event_id FROM event_seals WHERE position = 3)")
    await tamper("DELETE FROM event_seals WHERE position = 3")

    for position in (4, 5, 6):
        await tamper("UPDATE event_seals SET position = position - 1 WHERE position = $1", position)

    assert places(await verify()) == {("altered", shard, 3)}


async def test_two_events_that_changed_places_are_found():
    shard = await a_chain()
    async with as_owner() as owner:
        two, five = [
            row["event_id"]
            for row in await owner.fetch("SELECT event_id FROM event_seals WHERE position IN (2, 5) ORDER BY position")
        ]
        await owner.execute("UPDATE event_seals SET event_id = $1 WHERE position = 2", uuid4())
        await owner.execute("UPDATE event_seals SET event_id = $1 WHERE position = 5", two)
        await owner.execute("UPDATE event_seals SET event_id = $1 WHERE position = 2", five)

    assert places(await verify()) == {("altered", shard, 2), ("altered", shard, 5)}


async def test_a_seal_that_was_overwritten_is_found():
    shard = await a_chain()

    await tamper("UPDATE event_seals SET hash = 'nothing' WHERE position = 2")

    assert places(await verify()) == {("altered", shard, 2), ("altered", shard, 3)}


async def test_a_cut_tail_is_found_by_the_anchor(tmp_path: Path):
    shard = await a_chain()
    kept = await an_anchor(tmp_path)

    await tamper("DELETE FROM events WHERE id IN (SELECT event_id FROM event_seals WHERE position >= 5)")
    await tamper("DELETE FROM event_seals WHERE position >= 5")

    assert await verify() == []
    assert places(await verify(kept)) == {("cut", shard, 5)}


async def rewrite(shard: int) -> None:
    """Recompute every hash, as an informed attacker would."""
    async with as_owner() as owner:
        last = chain.genesis(shard)
        for row in await owner.fetch("SELECT * FROM event_seals ORDER BY position"):
            event = await owner.fetchrow(
                f"SELECT {', '.join(chain.COLUMNS)} FROM events WHERE id = $1", row["event_id"]
            )
            last = chain.link(last, chain.digest(tuple(event)))
            await owner.execute("UPDATE event_seals SET hash = $1 WHERE id = $2", last.hex(), row["id"])


async def test_a_chain_written_anew_is_found_by_the_anchor(tmp_path: Path):
    shard = await a_chain()
    kept = await an_anchor(tmp_path)

    await tamper(
        "UPDATE events SET actor_id = 'nobody' WHERE id = (SELECT event_id FROM event_seals WHERE position = 2)"
    )
    await rewrite(shard)

    assert await verify() == []
    assert places(await verify(kept)) == {("rewritten", shard, 6)}


async def test_a_restored_older_state_that_went_on_is_found_by_the_anchor(tmp_path: Path):
    page = uuid4()
    await some_events(3, page)
    await seal_new()
    snapshot = await anchors()
    await some_events(3, page)
    await seal_new()
    kept = await an_anchor(tmp_path)
    [head] = snapshot.heads

    await tamper("DELETE FROM events WHERE id IN (SELECT event_id FROM event_seals WHERE position > $1)", head.position)
    await tamper("DELETE FROM event_seals WHERE position > $1", head.position)
    await some_events(5, page)
    await seal_new()

    assert await verify() == []
    assert places(await verify(kept)) == {("rewritten", head.shard, 6)}


async def test_a_whole_shard_that_vanished_is_found_by_the_anchor(tmp_path: Path):
    shard = await a_chain()
    kept = await an_anchor(tmp_path)

    await tamper("DELETE FROM events")
    await tamper("DELETE FROM event_seals")

    assert places(await verify(kept)) == {("cut", shard, 1)}


async def test_an_event_that_is_not_sealed_is_found_after_a_while():
    [identity] = await some_events(1)
    assert await verify() == []

    with clock.travel(by=timedelta(seconds=settings().ledger_unsealed_alarm_seconds + 1)):
        [finding] = await verify()

    assert (finding.kind, finding.event_id) == ("unsealed", str(identity))


async def test_an_event_put_in_or_kept_out_by_hand_is_found():
    [identity] = await some_events(1)

    await tamper("DELETE FROM unsealed_events")

    [finding] = await verify()
    assert (finding.kind, finding.event_id) == ("outside", str(identity))


async def test_an_event_that_vanished_before_it_was_sealed_is_found_by_its_place_in_the_queue():
    [identity] = await some_events(1)
    await tamper("DELETE FROM events")

    assert await seal_new() == 0

    [finding] = await verify()
    assert (finding.kind, finding.event_id) == ("event-missing", str(identity))


async def test_verifying_goes_through_chains_longer_than_one_batch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(auditing, "BATCH", 4)
    shard = await a_chain(11)
    await tamper("UPDATE events SET actor_id = 'x' WHERE id = (SELECT event_id FROM event_seals WHERE position = 9)")

    assert places(await verify()) == {("altered", shard, 9)}
