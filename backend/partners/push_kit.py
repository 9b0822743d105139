"""What the push senders of all simulated platforms share: posting, attempts on record, repeats by a schedule until the
answer is right, copies, and pushes that are held or never sent.

A platform subclasses `PushSender`: `requests` writes and signs a push for one attempt, `accepts` judges the answer.
Faults of its own are fields that it adds to `PushFault`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Generic, Literal, TypeVar

import aiohttp
from msgspec import Meta, Struct

from backend import clock
from backend.partners.own_time import OwnTime

WAITS = 5.0
"""Real seconds that a platform waits for an answer."""
Headers = list[tuple[str, str]]
Post = Callable[[str, Headers, bytes], Awaitable[tuple[int, bytes]]]
"""Address, headers and body → HTTP status and body of the answer."""
PushMode = Literal["send", "swallow", "hold"]
"""What becomes of a new push: sent at once, only recorded, or kept until it is released."""


class PushFault(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is wrong with a push on purpose: nothing by default."""

    late: float = 0.0
    """Real seconds before the first attempt."""
    copies: Annotated[int, Meta(ge=1, le=100)] = 1
    """How often it is sent although it was accepted."""


class PushRequest(Struct, frozen=True):
    """One attempt as it goes over the wire."""

    headers: Headers
    body: bytes
    query: str = ""
    """Put behind the address of the push."""


@dataclass
class Attempt:
    """One attempt; `answer` is the status (with the text, where it matters) or the class of the failure."""

    at: str
    request: PushRequest
    answer: str
    accepted: bool


@dataclass(kw_only=True)
class Push:
    """One push and its attempts; `about` is the number or name of what it is about."""

    id: str
    about: str
    url: str
    fault: PushFault = field(default_factory=PushFault)
    attempts: list[Attempt] = field(default_factory=list)
    held: bool = False

    @property
    def arrived(self) -> bool:
        """Whether any attempt was accepted."""
        return any(each.accepted for each in self.attempts)

    def tried(self) -> list[dict[str, str]]:
        """The attempts as test controls show them."""
        return [{"at": each.at, "answer": each.answer} for each in self.attempts]


P = TypeVar("P", bound=Push)


class PushSender(ABC, Generic[P]):
    """Sends the pushes of a platform in the background; `sent` keeps all of them, the held and swallowed ones too."""

    schedule: Sequence[float] = ()
    """Seconds between the attempts, as `pause` counts them."""
    apart: float | None = 0.3
    """Real seconds between the starts of copies sent side by side; None sends them one after the other."""

    def __init__(self, time: OwnTime) -> None:
        self._time = time
        self.sent: list[P] = []
        self.post: Post = post

    @abstractmethod
    def requests(self, push: P, *, first: bool) -> Iterable[PushRequest]:
        """What one attempt sends, written and signed at this moment; the answer to the last request counts. `first`:
        no attempt of this copy came before."""

    def accepts(self, push: P, status: int, body: bytes) -> bool:
        """Whether an answer ends the repeats."""
        return status == 200

    def describe(self, push: P, status: int, body: bytes) -> str:
        """An answer in a word for the record."""
        return str(status)

    def gaps(self, push: P) -> Sequence[float]:
        """Seconds between the attempts of a push."""
        return self.schedule

    async def pause(self, seconds: float) -> None:
        """Wait between two attempts."""
        await asyncio.sleep(seconds)

    def dispatch(self, push: P, mode: PushMode = "send") -> P:
        """Record a push, and send it, hold it or swallow it. One without an address is only recorded."""
        self.sent.append(push)
        push.held = mode == "hold"
        if mode == "send" and push.url:
            self.send(push)
        return push

    def send(self, push: P) -> None:
        """Begin (or begin again) to deliver a push, in the background."""
        push.held = False
        self._time.in_background(self._deliver(push))

    def held(self, *names: str) -> list[P]:
        """What is held: in the order of these ids or numbers, or all of it in the order it was recorded."""
        held = [each for each in self.sent if each.held]
        return [one for name in names for one in held if name in (one.id, one.about)] if names else held

    def release(self, *names: str) -> list[P]:
        """Send what is held, as `held` orders it."""
        chosen = self.held(*names)
        for push in chosen:
            self.send(push)
        return chosen

    async def replay(self, push: P, *, fresh: bool = False) -> str:
        """Deliver it once more, now: the very bytes of its first attempt, or signed anew. Returns the answer."""
        again = [push.attempts[0].request] if push.attempts and not fresh else self.requests(push, first=False)
        for request in again:
            attempt = await self.attempt(push, request)
        return attempt.answer

    def pushes_about(self, name: str) -> list[P]:
        """Every push about a number, oldest first."""
        return [each for each in self.sent if each.about == name]

    async def _deliver(self, push: P) -> None:
        fault = push.fault
        await asyncio.sleep(fault.late)
        if self.apart is None:
            for _ in range(fault.copies):
                await self._repeat(push)
        else:
            await asyncio.gather(*(self._repeat(push, number * self.apart) for number in range(fault.copies)))

    async def _repeat(self, push: P, after: float = 0.0) -> None:
        await asyncio.sleep(after)
        for number, gap in enumerate((0.0, *self.gaps(push))):
            if number:
                await self.pause(gap)
            for request in self.requests(push, first=number == 0):
                attempt = await self.attempt(push, request)
            if attempt.accepted:
                return

    async def attempt(self, push: P, request: PushRequest) -> Attempt:
        """Deliver one request and record the answer."""
        try:
            url = f"{push.url}?{request.query}" if request.query else push.url
            status, body = await self.post(url, request.headers, request.body)
            answer, accepted = self.describe(push, status, body), self.accepts(push, status, body)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            answer, accepted = type(error).__name__, False
        attempt = Attempt(clock.now().isoformat(), request, answer, accepted)
        push.attempts.append(attempt)
        return attempt


async def post(url: str, headers: Headers, body: bytes) -> tuple[int, bytes]:
    """Deliver a body over HTTP as a platform does: no redirect is followed."""
    timeout = aiohttp.ClientTimeout(total=WAITS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.read()
