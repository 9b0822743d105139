"""The main job: departments push cases and their progress, residents sign in, see them, and are notified."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from api.demo.client import Department, Phone, TestControls
from api.demo.mail import Expected, Mail
from api.demo.people import INBOX, TEMPLATE_OF, Person, Report
from api.demo.processes import DemoFailed
from api.demo.showing import Timeline
from backend import clock

Storms = dict[int, Callable[[], Awaitable[None]]]
"""What goes wrong, by the number of the wave."""


class Story:
    """One playing of it: who takes part, and what has been said so far."""

    def __init__(
        self,
        people: list[Person],
        departments: dict[str, Department],
        phones: dict[str, Phone],
        controls: TestControls,
        timeline: Timeline,
        *,
        patience: float,
    ) -> None:
        self.people, self.departments, self.phones = people, departments, phones
        self.controls, self.timeline, self.patience = controls, timeline, patience
        self.mail = Mail(controls, phones, timeline)
        self.began = clock.now()

    # -- departments -----------------------------------------------------------------------------

    async def push_cases(self) -> None:
        """Every department looks its item up in the public catalogue, reports what was early, and pushes the case."""
        self.timeline.heading("一、部门推送办件")
        for person in self.people:
            answer = await self.phones[person.name].get(f"/v1/public/items?q={quote(person.item)}&limit=1")
            card = answer.body["items"][0]
            person.item_code = card["code"]
            self.timeline.step(
                person.department, f"查目录「{person.item}」", f"{card['name']}  {card['code']}", answer.ms
            )
            for report in person.before:
                if report.note:
                    await self._report(person, report)
            await self._push_case(person)
            for report in person.before:
                if not report.note:
                    await self._report(person, report)

    async def _push_case(self, person: Person) -> None:
        body = {
            "item_code": person.item_code,
            "title": f"{person.item}（{person.name}）",
            "received_at": self._ago(person.before[0] if person.before else person.after[0], minutes=10),
            "applicant": {"name": person.name, "id_number": person.id_number, "phone": person.phone},
        }
        path = f"/v1/agency/cases/{person.number}"
        answer = await self.departments[person.department].send("PUT", path, body)
        person.case = answer.body["number"]
        self.timeline.step(
            person.department, f"推送办件 {person.case}", f"{answer.body['state_name']}（{answer.status}）", answer.ms
        )

    async def _report(self, person: Person, report: Report) -> None:
        """One event, signed; the message that it must lead to is expected."""
        body = {"event_id": report.event_id, "code": report.code, "occurred_at": self._ago(report), **report.more}
        path = f"/v1/agency/cases/{person.number}/events"
        answer = await self.departments[person.department].send("POST", path, body)
        kept = answer.body
        note = f"（{report.note}）" if report.note else ""
        state = kept.get("state_name") or "办件还没到，先收下"
        self.timeline.step(
            person.department, f"{person.name}：{report.code}{note}", state, answer.ms, case=person.number
        )
        if report.message:
            way = person.way(report.message)
            self.mail.expect(Expected(person, person.case, report.message, way, report.code, self.timeline.now()))

    def _ago(self, report: Report, *, minutes: int = 0) -> str:
        moment = self.began - report.ago
        return datetime.fromtimestamp(moment.timestamp() - minutes * 60, clock.SHANGHAI).isoformat(timespec="seconds")

    async def progress(self, *, before: Storms | None = None, after: Storms | None = None) -> None:
        """Wave by wave, each department reports the next event, and every message arrives before the next wave.

        What is to go wrong breaks before the reports of its wave, or after them.
        """
        self.timeline.heading("四、办理推进，状态一变就告知")
        for wave in range(max(len(person.after) for person in self.people)):
            if before and wave in before:
                await before[wave]()
            for person in self.people:
                if wave < len(person.after):
                    await self._report(person, person.after[wave])
            if after and wave in after:
                await after[wave]()
            await self.mail.arrive(self.patience)
            await self._let_the_gateway_rest()
            if wave == 2:
                await self._ask_again()

    async def _let_the_gateway_rest(self) -> None:
        """The SMS gateway takes one text per number in thirty seconds: its clock is moved, not ours."""
        await self.controls.ask("PUT", "/sandbox/sms/rules", {"advance_seconds": 31})

    async def _ask_again(self) -> None:
        for person in self.people:
            if person.yes > 1:
                await self._popups(person, person.yes)

    # -- residents -------------------------------------------------------------------------------

    async def sign_in(self) -> None:
        """Everybody signs in, proves the phone number, finds the case, and answers the popups of its page."""
        self.timeline.heading("二、居民登录小程序，看到自己的办件")
        for person in self.people:
            phone = self.phones[person.name]
            answer = await phone.sign_in(self.controls)
            self.timeline.step(person.name, f"wx.login 登录（{person.habit}）", "已登录", answer.ms)
            answer = await phone.hand_in("phone", self.controls, "PUT", "/v1/resident/phone")
            self.timeline.step(person.name, "授权手机号", answer.body["phone"], answer.ms)
            if person.follows:
                await self.controls.ask("POST", f"/sandbox/personas/{person.name}/follow")
            await self._find_the_case(person)
            await self._popups(person, max(person.yes, 1))

    async def _find_the_case(self, person: Person) -> None:
        """The link follows the phone number by a job, so the list is asked until it is there."""
        phone, until = self.phones[person.name], self.timeline.now() + self.patience * 1000
        while not (answer := await phone.get("/v1/resident/cases")).body["items"]:
            if self.timeline.now() > until:
                raise DemoFailed(f"{person.name} 绑定手机号后没有看到办件")
            await asyncio.sleep(0.02)
        line = answer.body["items"][0]
        self.timeline.step(person.name, "我的办件", f"{line['item_name']}：{line['state_name']}", answer.ms)

    async def _popups(self, person: Person, times: int) -> None:
        """Open the case page and answer its popup, as often as the page asks and the person has patience."""
        phone, said = self.phones[person.name], "accept" if person.yes else "reject"
        given: Counter[str] = Counter()
        answer = None
        for _ in range(times):
            asked = (await phone.get("/v1/resident/subscriptions?page=case")).body
            titles = {each["template_id"]: each["title"] for each in asked["templates"]}
            results = dict.fromkeys(asked["template_ids"], said)
            if not results:
                break
            await self.controls.popup(person.name, results)
            answer = await phone.send("POST", "/v1/resident/subscriptions", {"page": "case", "results": results})
            given.update(titles[each] for each in results if person.yes)
        person.consents.update(given)
        if answer:
            told = "、".join(f"{title}×{count}" for title, count in given.items()) or "全部拒绝"
            self.timeline.step(person.name, "订阅弹窗", told, answer.ms)

    async def look_around(self) -> None:
        """What else residents do: the timeline, its ETag, a look without signing in, sessions, a wrong token."""
        self.timeline.heading("五、居民查看进度")
        person = self.people[1]
        phone, path = self.phones[person.name], f"/v1/resident/cases/{person.case}"
        answer = await phone.get(path)
        for line in answer.body["timeline"]:
            at = datetime.fromisoformat(line["occurred_at"]).astimezone(clock.SHANGHAI)
            self.timeline.plain(f"{'':12}· {at:%H:%M}  {line['name']}（{line['code']}）")
        self.timeline.step(
            person.name, "打开办件详情", f"{answer.body['state_name']}；{answer.body['due']['note']}", answer.ms
        )
        again = await phone.get(path, expect=304, etag=answer.headers["etag"])
        self.timeline.step(person.name, "再次打开（If-None-Match）", "304 没有变化", again.ms)
        await self._without_signing_in(self.people[2])
        await self._sessions(self.people[0])

    async def _without_signing_in(self, person: Person) -> None:
        stranger = self.phones["路人"]
        body = {"number": person.case, "id_last_four": person.id_number[-4:]}
        answer = await stranger.send("POST", "/v1/public/case-lookups", body)
        self.timeline.step("路人", "不登录查询：编号 + 证件后四位", answer.body["state_name"], answer.ms)
        refused = await stranger.send("POST", "/v1/public/case-lookups", {**body, "id_last_four": "0000"}, expect=404)
        self.timeline.step("路人", "后四位不对", f"404 {refused.body['title']}", refused.ms)

    async def _sessions(self, person: Person) -> None:
        phone = self.phones[person.name]
        answer = await phone.get("/v1/resident/sessions")
        devices = "、".join(each["device_name"] for each in answer.body["items"])
        self.timeline.step(person.name, "我的登录设备", devices, answer.ms)
        other = self.phones[self.people[1].name]
        refused = await other.get(f"/v1/resident/cases/{person.case}", expect=404)
        self.timeline.step(other.name, f"打开{person.name}的办件", f"404 {refused.body['title']}", refused.ms)
        token = phone.tokens["access_token"]
        phone.tokens["access_token"] = token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB")
        refused = await phone.get("/v1/resident/me", expect=401)
        phone.tokens["access_token"] = token
        self.timeline.step(person.name, "伪造的令牌", f"401 {refused.body['title']}", refused.ms)

    # -- in the end ------------------------------------------------------------------------------

    async def check(self, bound: int) -> None:
        """Check what the story itself knows: states, messages, copies, timelines."""
        await self.mail.recount()
        await self._check_states()
        expected, copies = self.mail.expected, self.mail.copies
        outside = [each for each in expected if each.way != INBOX]
        # Also twice: once over the expected way, and once more over another because the first answer was lost.
        doubles = sum(copies.values()) - len({identity for identity, _ in copies})
        ways = Counter(each.way for each in expected)
        told = "，".join(f"{name} {ways[way]}" for way, name in _WAYS.items())
        self.timeline.check("每次变化都按预期的方式告知", len(self.timeline.record.messages) == len(expected), told)
        self.timeline.check(
            "重复送达不超过上限", doubles <= bound, f"应送 {len(outside)} 条到站外，多送 {doubles} 条，上限 {bound} 条"
        )
        await self._check_silence()

    async def _check_states(self) -> None:
        wrong: list[str] = []
        for person in self.people:
            body = (await self.phones[person.name].get(f"/v1/resident/cases/{person.case}")).body
            reported = {report.event_id for report in (*person.before, *person.after)}
            final = "rejected" if person.after[-1].code == "不予许可" else "closed"
            if body["state"] != final or len(body["timeline"]) != len(reported):
                wrong.append(f"{person.name} {body['state']} {len(body['timeline'])}/{len(reported)}")
        self.timeline.check(
            "办件状态与时间线完整", not wrong, "；".join(wrong) or f"{len(self.people)} 件，迟到、重复、未知代码都在"
        )

    async def _check_silence(self) -> None:
        """No message came without a cause: what repeats or changes no state makes none."""
        extra: list[str] = []
        for person in self.people:
            items = (await self.phones[person.name].get("/v1/resident/messages?limit=100")).body["items"]
            named = Counter(each["name"] for each in items if each["name"] in TEMPLATE_OF)
            wanted = Counter(each.message for each in self.mail.expected if each.person is person)
            extra += [f"{person.name} {name}" for name in (named - wanted)]
        self.timeline.check(
            "没有多余的消息", not extra, "；".join(extra) or "重复推送、未知代码、迟到事件都没有再打扰居民"
        )


_WAYS: dict[str, Any] = {
    "mini_program": "订阅消息",
    "official_account": "公众号",
    "sms": "短信",
    "inbox": "站内信",
}
