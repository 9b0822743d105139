"""What reached whom: the sandbox's log of WeChat and texts, put beside the residents' own inboxes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from api.demo.client import Phone, TestControls
from api.demo.people import ACCOUNT, INBOX, SUBSCRIBE, TEMPLATE_OF, TEXT, Person
from api.demo.processes import DemoFailed
from api.demo.showing import Received, Timeline

_ON_THE_PHONE = {"subscribe": SUBSCRIBE, "template": ACCOUNT}


class Expected(NamedTuple):
    """A message that must arrive: to whom, about which case, over which way. `since` is when its cause was answered."""

    person: Person
    case: str
    message: str
    way: str
    event: str
    since: float


class Arrived(NamedTuple):
    """A message on a phone, by our own id of it."""

    way: str
    template: str
    values: dict[str, str]


class Mail:
    """Expects messages, watches for them, and counts how often each arrived."""

    def __init__(self, controls: TestControls, phones: dict[str, Phone], timeline: Timeline) -> None:
        self._controls, self._phones, self._timeline = controls, phones, timeline
        self.expected: list[Expected] = []
        self.copies: Counter[tuple[str, str]] = Counter()
        """(message id, way) → how often it arrived."""
        self.ids: dict[tuple[str, str, str], str] = {}
        """(person, case, message) → message id."""
        self._open: list[Expected] = []
        self._shown: dict[tuple[str, str], Received] = {}

    def expect(self, expected: Expected) -> None:
        """This one must arrive."""
        self.expected.append(expected)
        self._open.append(expected)

    async def arrive(self, patience: float) -> None:
        """Wait until everything expected so far has arrived, and show each as it comes.

        Raises DemoFailed after so many seconds, naming what is missing.
        """
        until = self._timeline.now() + patience * 1000
        while self._open:
            arrived = await self._look()
            for each in [*self._open]:
                await self._show_if_there(each, arrived)
            if self._open and self._timeline.now() > until:
                missing = "；".join(f"{each.person.name} 的「{each.event}」（{each.way}）" for each in self._open)
                raise DemoFailed(f"{patience:.0f} 秒内没有送达：{missing}")
            if self._open:
                await asyncio.sleep(0.02)

    async def recount(self) -> None:
        """Look once more, so that late duplicates are counted."""
        await self._look()
        for (identity, way), shown in self._shown.items():
            shown.copies = max(1, self.copies[identity, way])

    async def _look(self) -> dict[str, dict[str, Arrived]]:
        """What has arrived, by message id and way; inboxes of people we wait for are read again."""
        arrived: dict[str, dict[str, Arrived]] = {}
        self.copies.clear()
        for identity, message in [*_wechat(await self._controls.sent()), *_texts(await self._controls.texts())]:
            arrived.setdefault(identity, {})[message.way] = message
            self.copies[identity, message.way] += 1
        for name in {each.person.name for each in self._open}:
            items = (await self._phones[name].get("/v1/resident/messages?limit=100")).body["items"]
            for item in items:
                self.ids[name, _number(item["page"]), item["name"]] = item["id"]
        return arrived

    async def _show_if_there(self, each: Expected, arrived: dict[str, dict[str, Arrived]]) -> None:
        identity = self.ids.get((each.person.name, each.case, each.message))
        if identity is None:
            return
        found = arrived.get(_plain(identity), {}).get(each.way)
        if each.way == INBOX:
            found = await self._in_the_inbox(each.person.name, identity)
        if found is None:
            return
        now = self._timeline.now()
        template = found.template if each.way != TEXT else TEMPLATE_OF[each.message]
        shown = Received(
            now, now - each.since, each.person.name, each.case, each.event, each.way, template, found.values
        )
        self._shown[_plain(identity), each.way] = shown
        self._timeline.received(shown)
        self._open.remove(each)

    async def _in_the_inbox(self, name: str, identity: str) -> Arrived | None:
        message = (await self._phones[name].get(f"/v1/resident/messages/{identity}")).body
        if message["state"] != "inbox":
            return None
        return Arrived(INBOX, "", {"title": message["message"]["title"]})


def _plain(identity: str) -> str:
    return identity.replace("-", "")


def _parameter(page: str, name: str) -> str:
    return (parse_qs(urlsplit(page).query).get(name) or [""])[0]


def _number(page: str) -> str:
    return _parameter(page, "number")


def _wechat(sent: Iterable[dict[str, Any]]) -> Iterable[tuple[str, Arrived]]:
    for each in sent:
        details = each["details"]
        page = details.get("page") or details.get("miniprogram", {}).get("pagepath", "")
        yield _plain(_parameter(page, "message")), Arrived(_ON_THE_PHONE[each["channel"]], each["title"], each["data"])


def _texts(sent: Iterable[dict[str, Any]]) -> Iterable[tuple[str, Arrived]]:
    for each in sent:
        values = {str(place): value for place, value in enumerate(each["parameters"])}
        yield _plain(each["reference"]), Arrived(TEXT, each["template"], values)
