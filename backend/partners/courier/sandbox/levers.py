"""What a tester can do to the couriers over HTTP, under `/sandbox/couriers`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from backend.partners.courier.sandbox.journeys import Person
from backend.partners.courier.sandbox.platform import AT_HOME, AT_THE_HALL, Couriers, Unknown
from backend.partners.courier.sandbox.pushing import Lie, Push, Way
from backend.partners.courier.sandbox.world import Event, Parcel, Partner, written

Unset = msgspec.UnsetType
UNSET = msgspec.UNSET


class LiesIn(Lie, frozen=True, kw_only=True):
    """Lies of the next pushes; `times` null means until they are taken back."""

    partner: str = "*"
    times: int | None = 1


class PersonIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A sender or receiver; `places` are province, city and county."""

    name: str
    phone: str
    places: tuple[str, str, str]
    street: str = ""


class ParcelIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A parcel that somebody handed in at a counter."""

    company: str = "ems"
    waybill: str = ""
    number: str = ""
    journey: str = ""
    by: Partner | None = None
    sender: PersonIn | None = None
    receiver: PersonIn | None = None


class TravelIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How far it goes now; `only` that step, and `told` or not."""

    to: str
    text: str = ""
    only: bool = False
    told: bool = True


class PushIn(Lie, frozen=True, kw_only=True):
    """Which partner tells of it once more; empty means all who do."""

    partner: str = ""


class ForgeIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A step that never happened, and who tells of it."""

    partner: Partner
    kind: str = "signed"
    knows_secret: bool = False
    lie: Lie | None = None


class RefusalIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Calls to refuse; `operation` is one of the names in `/sandbox/couriers/calls`, or `*`."""

    partner: Partner
    operation: str = "*"
    code: str = ""
    message: str = "系统繁忙"
    times: int = 1
    after: bool = False


class RulesIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How the couriers behave; what is left out stays. `areas` are codes of places by name."""

    speed: Annotated[float, Meta(gt=0, le=1_000_000)] | Unset = UNSET
    pushes: Way | Unset = UNSET
    auto: bool | Unset = UNSET
    journey: str | Unset = UNSET
    push_before_answer: bool | Unset = UNSET
    unreachable: tuple[str, ...] | Unset = UNSET
    query_seconds: float | Unset = UNSET
    written: Literal["json", "xml", "form"] | Unset = UNSET
    lists_ids: bool | Unset = UNSET
    areas: dict[str, str] | Unset = UNSET


def _refused(_: Request[Any, Any, Any], unknown: Unknown) -> Response[dict[str, Any]]:
    return Response({"error": str(unknown)}, status_code=404)


class CourierLevers(Controller):
    """Every lever answers with what it changed."""

    path = "/sandbox/couriers"
    include_in_schema = False
    exception_handlers = {Unknown: _refused}

    @post("/parcels")
    async def make(self, couriers: NamedDependency[Couriers], data: JSONBody[ParcelIn]) -> dict[str, Any]:
        parcel = await couriers.parcel(
            data.company,
            waybill=data.waybill,
            number=data.number,
            sender=_person(data.sender, AT_THE_HALL),
            receiver=_person(data.receiver, AT_HOME),
            journey=data.journey,
            by=data.by,
        )
        return shown(parcel)

    @get("/parcels")
    async def parcels(self, couriers: NamedDependency[Couriers]) -> list[dict[str, Any]]:
        return [shown(each) for each in couriers.world.parcels.values()]

    @get("/parcels/{name:str}")
    async def parcel(self, couriers: NamedDependency[Couriers], name: FromPath[str]) -> dict[str, Any]:
        return shown(couriers.find(name))

    @post("/parcels/{name:str}/travel")
    async def travel(
        self, couriers: NamedDependency[Couriers], name: FromPath[str], data: JSONBody[TravelIn]
    ) -> dict[str, Any]:
        if data.only:
            await couriers.happen(name, data.to, text=data.text, told=data.told)
        else:
            await couriers.travel(name, data.to, text=data.text)
        return shown(couriers.find(name))

    @put("/parcels/{name:str}/journey")
    async def take(
        self, couriers: NamedDependency[Couriers], name: FromPath[str], data: JSONBody[dict[str, str]]
    ) -> dict[str, Any]:
        return shown(couriers.take(name, data.get("journey", "")))

    @post("/parcels/{name:str}/push")
    async def push(
        self, couriers: NamedDependency[Couriers], name: FromPath[str], data: JSONBody[PushIn]
    ) -> list[dict[str, Any]]:
        return [pushed(each) for each in await couriers.push_now(name, partner=data.partner, lie=data)]

    @post("/parcels/{name:str}/forge")
    async def forge(
        self, couriers: NamedDependency[Couriers], name: FromPath[str], data: JSONBody[ForgeIn]
    ) -> list[dict[str, Any]]:
        made = await couriers.forge(name, data.kind, partner=data.partner, knows_secret=data.knows_secret, lie=data.lie)
        return [pushed(each) for each in made]

    @put("/lies")
    async def lies(self, couriers: NamedDependency[Couriers], data: JSONBody[LiesIn]) -> dict[str, Any]:
        couriers.pushes.lie(data, partner=data.partner, times=data.times)
        return msgspec.structs.asdict(data)

    @delete("/lies", status_code=200)
    async def truth(self, couriers: NamedDependency[Couriers]) -> dict[str, bool]:
        couriers.pushes.tell_the_truth()
        return {"lies": False}

    @get("/pushes")
    async def pushes(self, couriers: NamedDependency[Couriers]) -> list[dict[str, Any]]:
        return [pushed(each) for each in couriers.pushes.sent]

    @post("/pushes/release")
    async def release(
        self, couriers: NamedDependency[Couriers], data: JSONBody[dict[str, list[str]]]
    ) -> list[dict[str, Any]]:
        return [pushed(each) for each in await couriers.pushes.release(*data.get("order", []))]

    @post("/pushes/{number:str}/replay")
    async def replay(self, couriers: NamedDependency[Couriers], number: FromPath[str]) -> dict[str, Any]:
        return pushed(await couriers.replay(number))

    @put("/push")
    async def push_to(self, couriers: NamedDependency[Couriers], data: JSONBody[dict[str, str]]) -> dict[str, str]:
        couriers.push_to(data["base"])
        return {name: desk.address for name, desk in couriers.desks.items() if desk.address}

    @post("/refusals")
    async def refuse(self, couriers: NamedDependency[Couriers], data: JSONBody[RefusalIn]) -> dict[str, int]:
        couriers.refuse(data.partner, data.operation, data.code, data.message, times=data.times, after=data.after)
        return {"refusals": len(couriers.world.refusals)}

    @put("/rules")
    async def rules(self, couriers: NamedDependency[Couriers], data: JSONBody[RulesIn]) -> dict[str, Any]:
        couriers.rule(**{name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET})
        return {"speed": couriers.world.agenda.speed, "pushes": couriers.pushes.way, **asdict(couriers.world.rules)}

    @get("/subscriptions")
    async def subscriptions(self, couriers: NamedDependency[Couriers]) -> list[dict[str, Any]]:
        return [each for desk in couriers.desks.values() for each in desk.list_subscriptions()]

    @get("/calls")
    async def calls(self, couriers: NamedDependency[Couriers]) -> list[dict[str, str]]:
        return [{"partner": who, "operation": what, "code": code} for who, what, code in couriers.world.calls]

    @post("/time")
    async def time(self, couriers: NamedDependency[Couriers], data: JSONBody[dict[str, float]]) -> dict[str, str]:
        await couriers.advance(data.get("seconds", 0.0))
        return {"now": written(couriers.world.agenda.now())}

    @post("/settle")
    async def settle(self, couriers: NamedDependency[Couriers]) -> dict[str, int]:
        await couriers.settle()
        sent = couriers.pushes.sent
        return {"pushes": len(sent), "arrived": sum(each.arrived for each in sent)}


def shown(parcel: Parcel) -> dict[str, Any]:
    """A parcel as a lever shows it."""
    return {
        "waybill": parcel.waybill,
        "company": parcel.company,
        "number": parcel.number,
        "by": parcel.by,
        "receiver": parcel.receiver.name,
        "cancelled": parcel.cancelled,
        "events": [_event(each) for each in parcel.events],
        "plan": [{"at": written(at), "kind": kind} for at, kind in parcel.plan],
    }


def pushed(push: Push) -> dict[str, Any]:
    """A push as a lever shows it."""
    return {
        "id": push.id,
        "partner": push.partner,
        "waybills": list(push.waybills),
        "url": push.url,
        "events": [_event(each) for each in push.events],
        "held": push.held,
        "arrived": push.arrived,
        "attempts": [asdict(each) for each in push.attempts],
    }


def _event(event: Event) -> dict[str, str]:
    return {"kind": event.kind, "at": written(event.at), "text": event.text, "place": event.place.city}


def _person(given: PersonIn | None, otherwise: Person) -> Person:
    return otherwise if given is None else Person(given.name, given.phone, given.places, given.street)
