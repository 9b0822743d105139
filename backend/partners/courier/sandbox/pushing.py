"""Pushes of all couriers: written once, sent until the answer is right, and the faults that they can have."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from msgspec.structs import replace

from backend.partners.courier.sandbox.world import CourierWorld, Event, Partner, written
from backend.partners.own_time import OwnTime
from backend.partners.push_kit import Push, PushFault, PushMode, PushRequest, PushSender

FORM, JSON, XML = "application/x-www-form-urlencoded; charset=utf-8", "application/json; charset=utf-8", "text/xml"


class CourierFault(PushFault, frozen=True):
    """What is wrong with a push on purpose: nothing by default."""

    bad_signature: bool = False
    unsigned: bool = False
    empty_salt: bool = False
    """Signed without knowledge of the secret."""
    tampered: bool = False
    """Altered after it was signed."""
    wrong_token: bool = False
    """Sent to an address of the same form that is not ours."""
    truncated: bool = False
    """Half of the body only."""
    deaf: bool = False
    """The answer is lost on its way back: it is sent again."""
    unknown_codes: bool = False
    """Codes that no document lists."""
    doubled: bool = False
    """Every node twice."""
    reversed: bool = False
    """The nodes in the other order."""
    without: tuple[str, ...] = ()
    """Kinds of steps that it leaves out; a later full list has them."""
    future_hours: float = 0.0
    """The times of the nodes are so much later."""

    def nodes(self, events: list[Event]) -> list[Event]:
        """The nodes as they are pushed."""
        nodes = [each for each in events if each.kind not in self.without]
        nodes = [each for one in nodes for each in [one] * (1 + self.doubled)]
        return nodes[::-1] if self.reversed else nodes

    def code(self, code: str) -> str:
        """The code as it is pushed."""
        return "9099" if self.unknown_codes else code

    def time(self, event: Event) -> str:
        """The time as it is pushed."""
        return written(event.at + timedelta(hours=self.future_hours))


NO_FAULT = CourierFault()


@dataclass(kw_only=True)
class CourierPush(Push):
    """One push; `about` is its first waybill."""

    partner: Partner
    waybills: tuple[str, ...]
    request: PushRequest
    events: list[Event]
    fault: CourierFault = NO_FAULT
    failures: int = 0
    refused: set[str] = field(default_factory=set)
    """Ids of the events that the last answer refused."""


@dataclass(frozen=True)
class Draft:
    """A push that is to be written. `events` are those that it is about."""

    partner: Partner
    waybills: tuple[str, ...]
    url: str
    events: list[Event]
    write: Callable[[CourierFault], tuple[str, bytes]]
    """Content type and body."""
    judge: Callable[[int, bytes], set[str] | bool]
    """Whether an answer accepts it; a set holds the ids of events that it refuses."""
    gaps: tuple[float, ...]
    """Virtual seconds between the attempts."""
    again: Callable[[list[Event]], Awaitable[None]] | None = None
    """Pushes refused events again, where the answer can name them."""


class CourierSender(PushSender[CourierPush]):
    """Sends the pushes of a world by its agenda: the first attempt at once, the others when their time comes."""

    def __init__(self, world: CourierWorld) -> None:
        super().__init__(OwnTime())  # the agenda sends, nothing runs in the background
        self._world = world
        self.mode: PushMode = "send"
        self._faults: list[tuple[str, CourierFault, list[int]]] = []
        self._drafts: dict[str, Draft] = {}
        self._ids = itertools.count(1)

    def inject(self, fault: CourierFault, *, partner: str = "*", times: int | None = 1) -> None:
        """Give the next pushes of a partner (or of any) this fault; None means until `clear_faults`."""
        self._faults.append((partner, fault, [] if times is None else [times]))

    def clear_faults(self) -> None:
        """Send pushes without faults from now on."""
        self._faults.clear()

    async def push(self, draft: Draft, *, fault: CourierFault | None = None) -> CourierPush:
        """Write a push and send it, hold it or swallow it. A push without an address is only recorded."""
        fault = self._next_fault(draft.partner) if fault is None else fault
        content_type, body = draft.write(fault)
        body = body[: len(body) // 2] if fault.truncated else body
        push = CourierPush(
            id=str(next(self._ids)),
            about=draft.waybills[0] if draft.waybills else "",
            url=draft.url[:-3] + "xxx" if fault.wrong_token and draft.url else draft.url,
            partner=draft.partner,
            waybills=draft.waybills,
            request=PushRequest([("Content-Type", content_type)], body),
            events=draft.events,
            fault=fault,
        )
        self._drafts[push.id] = draft
        self.dispatch(push, "hold" if self.mode == "hold" else "swallow")
        if push.url and self.mode == "send":
            await self._begin(push)
        return push

    async def release_now(self, *ids: str) -> list[CourierPush]:
        """Send what is held, as `held` orders it, and wait for the first answers."""
        chosen = self.held(*ids)
        for push in chosen:
            push.held = False
            await self._begin(push)
        return chosen

    def pushed(self, waybill: str, partner: str | None = None) -> list[CourierPush]:
        """The pushes about a parcel, in order."""
        return [each for each in self.sent if waybill in each.waybills and partner in (None, each.partner)]

    def requests(self, push: CourierPush, *, first: bool) -> Iterator[PushRequest]:
        """The very same bytes every time."""
        yield push.request

    def accepts(self, push: CourierPush, status: int, body: bytes) -> bool:
        """As the partner judges the answer; one that refuses single events accepts the push."""
        verdict = self._drafts[push.id].judge(status, body)
        push.refused = verdict if isinstance(verdict, set) else set()
        return verdict is not False and not push.fault.deaf

    def describe(self, push: CourierPush, status: int, body: bytes) -> str:
        """Status and text."""
        return f"{status} {body.decode('utf-8', 'replace')[:500]}"

    async def _begin(self, push: CourierPush) -> None:
        await asyncio.sleep(push.fault.late)
        for _ in range(push.fault.copies):
            await self._send_by_agenda(push)

    async def _send_by_agenda(self, push: CourierPush) -> None:
        draft = self._drafts[push.id]
        attempt = await self.attempt(push, push.request)
        if attempt.accepted:
            refused = [each for each in push.events if each.id in push.refused]
            if refused and (again := draft.again) is not None:
                self._world.agenda.later(draft.gaps[0], lambda: again(refused))
        elif push.failures < len(draft.gaps):
            gap = draft.gaps[push.failures]
            push.failures += 1
            push.fault = replace(push.fault, deaf=False)
            self._world.agenda.later(gap, lambda: self._send_by_agenda(push))

    def _next_fault(self, partner: str) -> CourierFault:
        for entry in self._faults:
            whose, fault, left = entry
            if whose in ("*", partner):
                if left:
                    left[0] -= 1
                    if left[0] <= 0:
                        self._faults.remove(entry)
                return fault
        return NO_FAULT
