"""Entrants of a draw find their entry, its result, and the proof that shows it."""

from __future__ import annotations

import httpx

from backend.appointments import draw_entries, drawing
from backend.database import execute
from tests.factories.appointments import a_line, a_slot, item_of
from tests.factories.identity import a_resident, headers_of


async def test_an_entry_is_seen_before_the_draw_and_with_its_result_after_it(client: httpx.AsyncClient):
    line = await a_line(admission="draw")
    slot = await a_slot(1, line)
    item, people = await item_of(line), [await a_resident() for _ in range(3)]
    await drawing.prepare_draws()
    for who in people:
        await drawing.enter_draw(who, line.id, slot.day, item, [slot.id])
    [before] = await draw_entries.list_own_draw_entries(people[0])
    assert (before.state, before.rank, before.item_code, before.slot_ids) == ("entered", None, item, [slot.id])

    await execute("UPDATE draws SET closes_at = now()")
    await drawing.hold_due_draws()

    found = [(await draw_entries.list_own_draw_entries(who))[0] for who in people]
    assert sorted(each.state for each in found) == ["lost", "lost", "won"]
    assert sorted(each.rank or 0 for each in found) == [1, 2, 3]
    winner = next(each for each in found if each.state == "won")
    assert (winner.rank, winner.slot_id) == (1, slot.id)
    proof = (await client.get(winner.proof)).json()
    assert {each["id"]: each["rank"] for each in proof["entries"]} == {str(each.id): each.rank for each in found}
    assert await draw_entries.list_own_draw_entries(await a_resident()) == []


async def test_entries_are_listed_over_http_to_their_owner(client: httpx.AsyncClient):
    line = await a_line(admission="draw")
    slot, me = await a_slot(1, line), await a_resident()
    await drawing.prepare_draws()
    entered = await drawing.enter_draw(me, line.id, slot.day, await item_of(line), [slot.id])

    answer = await client.get("/v1/resident/draw-entries", headers=headers_of(me))

    [seen] = answer.json()
    assert (seen["id"], seen["state"], seen["appointment_id"]) == (str(entered.id), "entered", None)
    assert seen["proof"] == f"/v1/public/lines/{line.id}/draws/{slot.day}"
