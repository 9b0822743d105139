"""A visit to a hall: booked, checked in by code, called while two screens watch, served; and the rush, in numbers."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from api.demo.client import Answer, Caller, Phone, TestControls
from api.demo.people import Person
from api.demo.processes import DemoFailed
from api.demo.showing import Timeline
from backend import clock, seeding
from backend.identity import code_at

ITEM = "居民身份证到期换领"
"""What the person of this chapter comes for; the hall's line A handles it."""
PLACES = (7, 20)
"""The slots that are opened for the story: one for the visit, one for the rush."""
SCREENS, LOOKS = 2, 5.0
"""How many follow the live board, and for how many seconds a call may take to be shown."""
CROWD, AT_ONCE = 200, 20
"""How many want one of the places of the second slot, and how many of them sign in at a time."""


class Staff(Caller):
    """A member of staff at a desk, or a kiosk."""

    token = ""

    async def sign_in(self, login: str) -> Answer:
        """Password and one-time code, as the seeds gave them."""
        body = {"login": login, "password": seeding.PASSWORD, "code": code_at(seeding.totp_secret(login))}
        answer = await self.ask("POST", "/v1/staff/sessions", body, expect=201)
        self.token = answer.body["access_token"]
        return answer

    async def get(self, path: str) -> Answer:
        """A read."""
        return await self.ask("GET", path, headers=lambda: {"authorization": f"Bearer {self.token}"})

    async def send(self, path: str, body: Any = None, *, expect: int | None = None) -> Answer:
        """A write, with an Idempotency-Key of its own."""
        headers = {"authorization": f"Bearer {self.token}", "idempotency-key": str(uuid.uuid4())}
        return await self.ask("POST", path, body, headers=lambda: headers, expect=expect)


class Screen:
    """A follower of the hall's live board."""

    def __init__(self) -> None:
        self.shown: dict[str, float] = {}
        self.ready = asyncio.Event()
        self.more = asyncio.Event()

    async def follow(self, http: aiohttp.ClientSession, address: str) -> None:
        """Read snapshots for as long as they come, and note when a number was first seen at a window."""
        async with http.get(address, timeout=aiohttp.ClientTimeout(total=None)) as answer:
            async for raw in answer.content:
                if raw.startswith(b"data: "):
                    for called in msgspec.json.decode(raw[6:])["called"]:
                        self.shown.setdefault(called["label"], clock.monotonic())
                    self.ready.set()
                    self.more.set()

    async def begin(self) -> None:
        """Wait for the first snapshot. Raises DemoFailed when none comes."""
        try:
            await asyncio.wait_for(self.ready.wait(), LOOKS)
        except TimeoutError as error:
            raise DemoFailed("叫号屏没有连上") from error

    async def until(self, label: str) -> float | None:
        """When the number was first seen; None when it was not within the patience of a waiting resident."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOKS):
                while label not in self.shown:
                    self.more.clear()
                    await self.more.wait()
        return self.shown.get(label)


class Visit:
    """The chapter of the halls."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        api: str,
        person: Person,
        phone: Phone,
        controls: TestControls,
        timeline: Timeline,
    ) -> None:
        self.http, self.api, self.person, self.phone = http, api, person, phone
        self.controls, self.timeline = controls, timeline
        self.clerk, self.kiosk = Staff(http, api), Staff(http, api)
        self.delays: list[float] = []
        self.outcomes: Counter[int] = Counter()
        self.hall = self.appointment = ""
        self.slots: list[dict[str, Any]] = []

    async def play(self) -> None:
        """The whole chapter."""
        self.timeline.heading("七、预约大厅：预约、签到、叫号")
        await self._look()
        await self._book()
        label = await self._check_in()
        await self._call(label)
        self.timeline.heading("八、放号：两百人同时抢二十个号")
        await self._rush()

    async def _look(self) -> None:
        halls = (await self.phone.get("/v1/public/halls?limit=100")).body["items"]
        self.hall = next(each["id"] for each in halls if each["code"] == "city-hall")
        day = clock.today().isoformat()
        path = f"/v1/public/halls/{self.hall}/free-places?item={quote(self.person.item_code)}&day={day}"
        answer = await self.phone.get(path)
        soon = [each for each in answer.body["slots"] if each["state"] == "open" and each["free"] in PLACES]
        # The newest are the last two: they were opened for the story, with just so many places.
        self.slots = [next(each for each in soon[::-1] if each["free"] == places) for places in PLACES]
        free = sum(each["free"] for each in answer.body["slots"])
        self.timeline.step(self.person.name, f"查余号「{self.person.item}」", f"今天还有 {free} 个号", answer.ms)

    async def _book(self) -> None:
        body = {
            "slot_id": self.slots[0]["id"],
            "item_code": self.person.item_code,
            "visitor": {
                "name": self.person.name,
                "id_last_four": self.person.id_number[-4:],
                "phone": self.person.phone,
            },
        }
        answer = await self.phone.send("POST", "/v1/resident/appointments", body, expect=201)
        self.appointment = answer.body["id"]
        self.timeline.step(self.person.name, "预约最近的时段", f"预约编号 {answer.body['number']}", answer.ms)
        again = await self.phone.send("POST", "/v1/resident/appointments", body, expect=409)
        self.timeline.step(self.person.name, "再约一次同一事项", f"409 {again.body['title']}", again.ms)

    async def _check_in(self) -> str:
        await self.kiosk.sign_in("hall.kiosk")
        shown = await self.phone.get(f"/v1/resident/appointments/{self.appointment}/check-in-code")
        self.timeline.step(self.person.name, "出示签到码（60 秒有效）", f"{shown.body['code'][:16]}…", shown.ms)
        path, body = f"/v1/staff/halls/{self.hall}/kiosk/scans", {"code": shown.body["code"]}
        answer = await self.kiosk.send(path, body, expect=201)
        self.timeline.step("自助机", "扫码签到", f"排队号 {answer.body['label']}", answer.ms)
        replayed = await self.kiosk.send(path, body, expect=403)
        self.timeline.step("自助机", "同一个码再扫一次", f"403 {replayed.body['title']}", replayed.ms)
        queue = await self.phone.get(f"/v1/resident/appointments/{self.appointment}/queue")
        self.timeline.step(self.person.name, "我的排队进度", f"前面 {queue.body['ahead']} 人", queue.ms)
        return str(answer.body["label"])

    async def _call(self, label: str) -> None:
        """Two screens follow the board; the clerk of the first window that serves the line calls."""
        answer = await self.clerk.sign_in("hall.clerk")
        windows = await self.clerk.get(f"/v1/staff/halls/{self.hall}/windows")
        self.timeline.step("窗口", "工作人员登录（密码 + 动态码）", "已登录", answer.ms)
        address = f"{self.api}/v1/public/halls/{self.hall}/board/stream"
        screens = [Screen() for _ in range(SCREENS)]
        following = [asyncio.create_task(each.follow(self.http, address)) for each in screens]
        try:
            await asyncio.gather(*(each.begin() for each in screens))
            began = clock.monotonic()
            called = await self.clerk.send(f"/v1/staff/windows/{windows.body[0]['id']}/call")
            seen = [await each.until(label) for each in screens]
            self.delays = [(at - began) * 1000 for at in seen if at is not None]
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
        window = called.body["window"]
        self.timeline.step("窗口", "叫下一个号", f"请 {called.body['label']} 到 {window} 号窗口", called.ms)
        late = max(self.delays, default=LOOKS * 1000)
        self.timeline.step("叫号屏、手机", "实时收到叫号（SSE）", f"{called.body['label']} → {window} 号窗口", late)
        served = await self.clerk.send(f"/v1/staff/tickets/{called.body['id']}/serve")
        self.timeline.step("窗口", "办结", served.body["label"], served.ms)

    # -- the rush --------------------------------------------------------------------------------

    async def _rush(self) -> None:
        turn, began = asyncio.Semaphore(AT_ONCE), clock.monotonic()
        phones = await asyncio.gather(*(self._somebody(number, turn) for number in range(CROWD)))
        self.timeline.step("两百位居民", "各自登录", f"{len(phones)} 人就绪", (clock.monotonic() - began) * 1000)
        body = {"slot_id": self.slots[1]["id"], "item_code": self.person.item_code}
        began = clock.monotonic()
        answers = await asyncio.gather(*(self._tap(each, body) for each in phones))
        took = (clock.monotonic() - began) * 1000
        self.outcomes = Counter(each.status for each in answers)
        winners = sorted(each.ms for each in answers if each.status == 201)
        slowest = winners[-1] if winners else 0
        told = "，".join(f"{status} × {count}" for status, count in sorted(self.outcomes.items()))
        self.timeline.step("两百位居民", f"同时抢 {PLACES[1]} 个号", told, took, answers=dict(self.outcomes))
        self.timeline.step("抢到的人", "最慢的一个等了", f"{slowest:.0f} ms", slowest)

    async def _somebody(self, number: int, turn: asyncio.Semaphore) -> Phone:
        name = f"居民{number:03d}"
        phone = Phone(self.http, self.api, name, address=f"10.{number // 250}.0.{number % 250 + 1}")
        async with turn:
            await self.controls.ask("POST", "/sandbox/personas", {"name": name})
            await phone.sign_in(self.controls)
        return phone

    async def _tap(self, phone: Phone, body: Any) -> Answer:
        return await phone.send("POST", "/v1/resident/appointments", body, any_status=True)

    # -- in the end ------------------------------------------------------------------------------

    async def check(self) -> None:
        """Check what the chapter itself knows."""
        mine = (await self.phone.get(f"/v1/resident/appointments/{self.appointment}")).body
        self.timeline.check("预约、签到、叫号、办结走完", mine["state"] == "served", mine["state_name"])
        told = "、".join(f"{late:.0f} ms" for late in self.delays)
        self.timeline.check("两块屏幕都看到同一次叫号", len(self.delays) == SCREENS, told or "没有一块显示")
        sold, others = self.outcomes[201], self.outcomes.keys() - {201, 409, 429}
        self.timeline.check(
            "抢号不超发、不出错",
            sold == PLACES[1] and not others,
            f"{PLACES[1]} 个号，约到 {sold} 人，其余 {CROWD - sold} 人得到明确答复",
        )
