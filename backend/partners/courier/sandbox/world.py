"""Everything the simulated couriers remember: parcels and what happened to them, by their own clock.

Two clocks are kept apart. Journeys go by virtual time; what is *written* on a node is never later than the true clock
of this process, and at least a second after the node before: a receiver of news from the future rightly refuses it.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from backend import clock
from backend.partner_settings.couriers import COURIERS
from backend.partners import simulated
from backend.partners.courier.sandbox.agenda import Agenda
from backend.partners.courier.sandbox.journeys import JOURNEYS, Kind, Person, Plan, way_to, words
from backend.partners.courier.sandbox.places import CODES
from backend.settings import Settings

Partner = Annotated[str, Meta(pattern=f"^({'|'.join(COURIERS)})$")]
"""The name of a declared courier."""
A_SECOND = timedelta(seconds=1)

DEFAULTS = simulated.COURIERS
"""What they call and key us where the settings say nothing."""


@dataclass(frozen=True)
class Event:
    """One thing that happened to a parcel. `at` is what is written on it."""

    id: str
    kind: Kind
    at: datetime
    text: str
    place: Person


@dataclass
class Parcel:
    """A parcel on its way. `company` in 快递100's words; `by` names the partner it was ordered from."""

    waybill: str
    company: str
    sender: Person
    receiver: Person
    number: str = ""
    """The order number, which is ours."""
    contents: str = ""
    by: Partner | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    """The order as it was asked for, to be compared when it comes again."""
    plan: list[tuple[datetime, Kind]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    cancelled: bool = False
    since: datetime = field(default_factory=clock.now)
    """When it was handed in, by the true clock."""
    plans_made: int = 0
    """Counts changes of the plan, so that what was planned before does not happen."""

    @property
    def kinds(self) -> list[str]:
        """What happened so far, in order."""
        return [each.kind for each in self.events]

    @property
    def tails(self) -> set[str]:
        """The last digits of the phones that open it."""
        return {each.phone[-4:] for each in (self.sender, self.receiver) if each.phone}

    def opens_to(self, phone: str) -> bool:
        """Whether a phone, or the end of one, is that of the sender or receiver."""
        return not self.tails or phone[-4:] in self.tails


@dataclass
class Rules:
    """How the couriers behave until a test changes it."""

    auto: bool = True
    """Parcels set out by themselves."""
    journey: str = "signed"
    """The journey of parcels for which none was named."""
    push_before_answer: bool = False
    """顺丰 pushes the first route before it answers the order."""
    unreachable: tuple[str, ...] = ()
    """Words in an address to which 顺丰 does not go."""
    query_seconds: float = 1800.0
    """快递100's least time between two questions about one parcel."""
    written: Literal["json", "xml", "form"] = "json"
    """How 顺丰 writes its pushes: JSON, XML, or XML in a form."""
    lists_ids: bool = False
    """Whether 顺丰 pays attention only to the ids that an XML answer lists."""


@dataclass
class Refusal:
    """The next `times` calls of an operation are refused; with `after` the work is done all the same."""

    partner: Partner
    operation: str
    code: str
    message: str = "系统繁忙"
    times: int = 1
    after: bool = False


Subscriber = Callable[[Parcel, Event], Awaitable[None]]


class CourierWorld:
    """The parcels of all couriers, and the calls of our side."""

    def __init__(self, values: Settings) -> None:
        self.named = {name: getattr(values, name) or DEFAULTS[name] for name in DEFAULTS}
        self.agenda = Agenda()
        self.rules = Rules()
        self.areas = dict(CODES)
        self.parcels: dict[str, Parcel] = {}
        self.refusals: list[Refusal] = []
        self.calls: list[tuple[str, str, str]] = []
        """Partner, operation and code of every call, in order."""
        self.subscribers: list[Subscriber] = []
        self.base = ""
        self._numbers = itertools.count(secrets.randbelow(80_000_000) + 10_000_000)
        self._ids = itertools.count(100_000_000_000_001)

    # -- parcels ---------------------------------------------------------------------------------

    def waybill_for(self, company: str) -> str:
        """A new number as the company writes them."""
        number = next(self._numbers)
        if company in ("ems", "youzhengguonei", "youzhengbk"):
            digits = f"{number:08d}"[-8:]
            rest = 11 - sum(int(a) * b for a, b in zip(digits, (8, 6, 4, 2, 3, 5, 9, 7), strict=True)) % 11
            return f"EA{digits}{ {10: 0, 11: 5}.get(rest, rest) }CN"
        return f"SF{number:013d}" if company == "shunfeng" else f"7{number:012d}"

    async def send(self, parcel: Parcel, journey: str = "") -> Parcel:
        """A parcel enters the world and, where parcels set out by themselves, begins its journey.

        Raises KeyError when there is no such journey.
        """
        self.parcels[parcel.waybill] = parcel
        self.plan(parcel, JOURNEYS[journey or self.rules.journey], begin=self.rules.auto)
        return parcel

    def find(self, waybill: str, company: str = "") -> Parcel | None:
        """The parcel of this number, at this company where one is named."""
        found = self.parcels.get(waybill)
        return found if found is not None and company in ("", found.company) else None

    def of_order(self, number: str, by: Partner) -> Parcel | None:
        """The parcel that was ordered under our number."""
        return next((each for each in self.parcels.values() if each.by == by and each.number == number), None)

    def plan(self, parcel: Parcel, steps: Plan, *, begin: bool = True) -> None:
        """What will happen to it from now on; `begin` false: only when a test moves it."""
        moment = self.agenda.now()
        parcel.plan, parcel.plans_made = [], parcel.plans_made + 1
        for kind, minutes in steps:
            moment += timedelta(minutes=minutes)
            parcel.plan.append((moment, kind))
        if begin:
            self._await_next(parcel)

    def _await_next(self, parcel: Parcel) -> None:
        if parcel.plan:
            plan_number = parcel.plans_made

            async def go_on() -> None:
                if parcel.plans_made == plan_number and parcel.plan:
                    await self._step(parcel)
                    self._await_next(parcel)

            self.agenda.at(parcel.plan[0][0], go_on)

    async def _step(self, parcel: Parcel) -> Event:
        due, kind = parcel.plan.pop(0)
        return await self.happen(parcel, kind, due=due)

    async def happen(
        self, parcel: Parcel, kind: Kind, *, due: datetime | None = None, text: str = "", pushed: bool = True
    ) -> Event:
        """Something happens to a parcel, and is pushed to its subscribers."""
        event = self.event(parcel, kind, due=due, text=text)
        parcel.events.append(event)
        if pushed:
            for subscriber in self.subscribers:
                await subscriber(parcel, event)
        return event

    def event(self, parcel: Parcel, kind: Kind, *, due: datetime | None = None, text: str = "") -> Event:
        """A step as it would be pushed, if it happened now or is not true at all."""
        said, place = words(
            kind, waybill=parcel.waybill, company=parcel.company, sender=parcel.sender, receiver=parcel.receiver
        )
        true, ahead = clock.now(), self.agenda.now() - clock.now()
        earliest = parcel.events[-1].at + A_SECOND if parcel.events else parcel.since
        at = max(min((due or self.agenda.now()) - ahead, true), earliest).replace(microsecond=0)
        return Event(str(next(self._ids)), kind, at, text or said, place)

    async def travel(self, parcel: Parcel, kind: Kind, *, text: str = "") -> list[Event]:
        """Everything up to a step of this kind happens now, one after the other; what would follow it stays planned.

        Raises KeyError when no journey has such a step.
        """
        if kind not in [each for _, each in parcel.plan]:
            self.plan(parcel, way_to(kind, parcel.kinds), begin=False)
        events: list[Event] = []
        parcel.plans_made += 1
        while not events or events[-1].kind != kind:
            planned, step = parcel.plan.pop(0)
            early = max(planned - self.agenda.now(), timedelta(0))
            parcel.plan = [(each - early, name) for each, name in parcel.plan]
            events.append(await self.happen(parcel, step, text=text if step == kind else ""))
        if self.rules.auto:
            self._await_next(parcel)
        return events

    def cancel(self, parcel: Parcel) -> None:
        """It is not fetched any more."""
        parcel.cancelled, parcel.plan, parcel.plans_made = True, [], parcel.plans_made + 1

    # -- calls -----------------------------------------------------------------------------------

    def next_refusal(self, partner: Partner, operation: str) -> Refusal | None:
        """The refusal that hits this call, if one does."""
        for each in self.refusals:
            if each.partner == partner and each.operation in ("*", operation):
                each.times -= 1
                if each.times <= 0:
                    self.refusals.remove(each)
                return replace(each)
        return None

    def area(self, person: Person) -> str:
        """The code of a place, the county's if it is known, else the city's or province's; empty for unknown ones."""
        return next((self.areas[each] for each in reversed(person.places) if each in self.areas), "")


def written(moment: datetime) -> str:
    """Shanghai's time without a zone, as all of them write it."""
    return moment.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def object_in(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object that a text is; None when it is none."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) else None
