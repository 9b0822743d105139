"""Two serving processes, one board: what a clerk does at one reaches the followers at the other, through Redis."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from backend import clock
from backend.appointments import attending, board
from backend.identity import AsOperator
from backend.identity.duties import hall_duty
from models.regions import Hall
from tests.apis import apis
from tests.backend.appointments.test_board import Follower
from tests.factories.appointments import a_line, a_slot, a_window, an_appointment, many_people
from tests.factories.identity import a_staff, staff_headers_of


@pytest.mark.timeout(180)
async def test_a_call_at_one_process_is_on_the_screen_of_another_at_once_and_survives_its_death(tmp_path: Path):
    line = await a_line()
    slot = await a_slot(5, line, timedelta(seconds=1), day=clock.today())
    windows = [await a_window(line, number) for number in ("1", "2")]
    for who in await many_people(2):
        await attending.check_in(AsOperator(), (await an_appointment(slot, who)).id)
    clerk = staff_headers_of(await a_staff(duties={hall_duty((await Hall.get(id=slot.hall_id)).code)}))
    follower = Follower()

    async with apis(tmp_path) as running:
        first, second = await running.start("first"), await running.start("second")
        following = asyncio.create_task(follower.run(second, slot.hall_id))
        try:
            assert (await follower.until(1, 15))["called"] == []
            await asyncio.sleep(1)  # by now it listens at Redis; nothing else would wake it before `LOOK_AGAIN`
            async with httpx.AsyncClient(base_url=first, timeout=20) as http:
                called = await http.post(f"/v1/staff/windows/{windows[0].id}/call", headers=clerk)
                assert called.status_code == 200, called.text
                # Sooner than anybody would look again by themselves.
                seen = await follower.until(2, board.LOOK_AGAIN / 2)
                assert [each["label"] for each in seen["called"]] == [called.json()["label"]]

                await http.post(f"/v1/staff/windows/{windows[1].id}/call", headers=clerk)
                assert len((await follower.until(3, board.LOOK_AGAIN / 2))["called"]) == 2

            running.kill("first")
            again = await running.start("first")
            async with httpx.AsyncClient(base_url=again, timeout=20) as http:
                served = await http.post(f"/v1/staff/tickets/{called.json()['id']}/serve", headers=clerk)
                assert served.status_code == 200, served.text
            assert len((await follower.until(4, board.LOOK_AGAIN / 2))["called"]) == 1
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError, httpx.HTTPError):
                await following
