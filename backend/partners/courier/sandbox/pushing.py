"""Pushes of all couriers: written once, sent until the answer is right, and everything that can be wrong with them."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal

import aiohttp
from msgspec import Meta, Struct

from backend import clock
from backend.partners.courier.sandbox.world import CourierWorld, Event, Partner, written

WAITS = 5.0
"""Real seconds that they wait for an answer."""
Way = Literal["send", "swallow", "hold"]
Post = Callable[[str, str, bytes], Awaitable[tuple[int, bytes]]]
FORM, JSON, XML = "application/x-www-form-urlencoded; charset=utf-8", "application/json; charset=utf-8", "text/xml"


class Lie(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is wrong with a push on purpose; nothing unless said."""

    copies: Annotated[int, Meta(ge=1, le=100)] = 1
    """How often it is sent although it was answered rightly."""
    bad_signature: bool = False
    unsigned: bool = False
    empty_salt: bool = False
    """Signed as by somebody who does not know the secret."""
    tampered: bool = False
    """Altered after it was signed."""
    wrong_token: bool = False
    """Sent to an address of the same form that is not ours."""
    truncated: bool = False
    """Half of the body only."""
    deaf: bool = False
    """The answer is lost on its way back: it is sent again."""
    unknown_codes: bool = False
    """Codes that nobody has ever seen."""
    doubled: bool = False
    """Every node twice."""
    reversed: bool = False
    """The nodes in the other order."""
    without: tuple[str, ...] = ()
    """Kinds of steps that it keeps to itself; a later full list tells them late."""
    future_hours: float = 0.0
    """The nodes are said to happen so much later."""

    def nodes(self, events: list[Event]) -> list[Event]:
        """The nodes that are told, as they are told."""
        told = [each for each in events if each.kind not in self.without]
        told = [each for one in told for each in [one] * (1 + self.doubled)]
        return told[::-1] if self.reversed else told

    def code(self, code: str) -> str:
        """The code that is told."""
        return "9099" if self.unknown_codes else code

    def time(self, event: Event) -> str:
        """The time that is told."""
        return written(event.at + timedelta(hours=self.future_hours))


HONEST = Lie()


@dataclass
class Attempt:
    """One attempt: the HTTP status or the kind of failure, and what was answered."""

    at: str
    status: str
    answer: str


@dataclass
class Push:
    """One push and what became of it."""

    id: str
    partner: Partner
    waybills: tuple[str, ...]
    url: str
    content_type: str
    body: bytes
    events: list[Event]
    lie: Lie
    attempts: list[Attempt] = field(default_factory=list)
    arrived: bool = False
    """Whether the last answer was right."""
    held: bool = False
    failures: int = 0


@dataclass(frozen=True)
class Draft:
    """A push that is to be written. `events` are those that it is about."""

    partner: Partner
    waybills: tuple[str, ...]
    url: str
    events: list[Event]
    write: Callable[[Lie], tuple[str, bytes]]
    """Content type and body."""
    judge: Callable[[int, bytes], set[str] | bool]
    """Whether an answer takes it; a set holds the ids of events that it refuses."""
    gaps: tuple[float, ...]
    """Virtual seconds between the attempts."""
    again: Callable[[list[Event]], Awaitable[None]] | None = None
    """Pushes refused events again, where the partner can be told which."""


class PushDesk:
    """Sends the pushes of a world; `sent` keeps all of them, the held and the swallowed too."""

    def __init__(self, world: CourierWorld) -> None:
        self._world = world
        self.sent: list[Push] = []
        self.way: Way = "send"
        self.post: Post = _post
        """How a push is delivered: address, content type, body → HTTP status and answer."""
        self._lies: list[tuple[str, Lie, list[int]]] = []
        self._drafts: dict[str, Draft] = {}
        self._ids = itertools.count(1)

    def lie(self, lie: Lie, *, partner: str = "*", times: int | None = 1) -> None:
        """The next pushes of a partner (or of any) lie so; None means until `tell_the_truth`."""
        self._lies.append((partner, lie, [] if times is None else [times]))

    def tell_the_truth(self) -> None:
        """No push lies any more."""
        self._lies.clear()

    async def tell(self, draft: Draft, *, lie: Lie | None = None, way: Way | None = None) -> Push:
        """Write a push and send it, hold it or swallow it. A push without an address is only kept."""
        lie = self._take_lie(draft.partner) if lie is None else lie
        content_type, body = draft.write(lie)
        body = body[: len(body) // 2] if lie.truncated else body
        url = draft.url[:-3] + "xxx" if lie.wrong_token and draft.url else draft.url
        push = Push(str(next(self._ids)), draft.partner, draft.waybills, url, content_type, body, draft.events, lie)
        self.sent.append(push)
        self._drafts[push.id] = draft
        push.held = (way or self.way) == "hold"
        if push.url and (way or self.way) == "send":
            await self._begin(push)
        return push

    async def release(self, *ids: str) -> list[Push]:
        """Send what is held: in the order of these ids, or all of it as it came."""
        held = {each.id: each for each in self.sent if each.held}
        chosen = [held[each] for each in ids if each in held] if ids else list(held.values())
        for push in chosen:
            push.held = False
            await self._begin(push)
        return chosen

    async def replay(self, push: Push) -> Attempt:
        """The very same bytes once more, now; nobody repeats it when it fails."""
        await self._attempt(push)
        return push.attempts[-1]

    def pushed(self, waybill: str, partner: str | None = None) -> list[Push]:
        """The pushes about a parcel, in order."""
        return [each for each in self.sent if waybill in each.waybills and partner in (None, each.partner)]

    async def _begin(self, push: Push) -> None:
        for _ in range(push.lie.copies):
            await self._deliver(push)

    async def _deliver(self, push: Push) -> None:
        draft = self._drafts[push.id]
        status, answer = await self._attempt(push)
        verdict = False if answer is None or push.lie.deaf else draft.judge(status, answer)
        push.arrived = verdict is not False
        if isinstance(verdict, set):
            refused = [each for each in push.events if each.id in verdict]
            if refused and (again := draft.again) is not None:
                self._world.agenda.later(draft.gaps[0], lambda: again(refused))
        elif not verdict and push.failures < len(draft.gaps):
            gap = draft.gaps[push.failures]
            push.failures += 1
            if push.lie.deaf:
                push.lie = HONEST
            self._world.agenda.later(gap, lambda: self._deliver(push))

    async def _attempt(self, push: Push) -> tuple[int, bytes | None]:
        body: bytes | None = None
        status = 0
        try:
            status, body = await self.post(push.url, push.content_type, push.body)
            word = str(status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            word = type(error).__name__
        shown = (body or b"").decode("utf-8", "replace")[:500]
        push.attempts.append(Attempt(clock.now().isoformat(), word, shown))
        return status, body

    def _take_lie(self, partner: str) -> Lie:
        for entry in self._lies:
            whose, lie, left = entry
            if whose in ("*", partner):
                if left:
                    left[0] -= 1
                    if left[0] <= 0:
                        self._lies.remove(entry)
                return lie
        return HONEST


async def _post(url: str, content_type: str, body: bytes) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(total=WAITS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, data=body, headers={"Content-Type": content_type}, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.read()
