"""The test control of the couriers over HTTP, under `/sandbox/couriers`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from backend.partners.courier.sandbox.journeys import Person
from backend.partners.courier.sandbox.platform import AT_HOME, AT_THE_HALL, Couriers, NotThere
from backend.partners.courier.sandbox.pushing import CourierFault, CourierPush
from backend.partners.courier.sandbox.world import Event, Parcel, Partner, written
from backend.partners.push_kit import PushMode

Unset = msgspec.UnsetType
UNSET = msgspec.UNSET


class FaultsIn(CourierFault, frozen=True, kw_only=True):
    """Faults of the next pushes; `times` null means until they are cleared."""

    partner: str = "*"
    times: int | None = 1


class PersonIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A sender or receiver; `places` are province, city and county."""

    name: str
    phone: str
    places: tuple[str, str, str]
    street: str = ""


class ParcelIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A parcel handed in at a counter."""

    company: str = "ems"
    waybill: str = ""
    number: str = ""
    journey: str = ""
    by: Partner | None = None
    sender: PersonIn | None = None
    receiver: PersonIn | None = None


class TravelIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How far it goes now; `only` that step, and `pushed` or not."""

    to: str
    text: str = ""
    only: bool = False
    pushed: bool = True


class PushIn(CourierFault, frozen=True, kw_only=True):
    """The partner that pushes it once more; empty means all that do."""

    partner: str = ""


class ForgeIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A step that never happened, and the partner that pushes it."""

    partner: Partner
    kind: str = "signed"
    knows_secret: bool = False
    fault: CourierFault | None = None


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
    pushes: PushMode | Unset = UNSET
    auto: bool | Unset = UNSET
    journey: str | Unset = UNSET
    push_before_answer: bool | Unset = UNSET
    unreachable: tuple[str, ...] | Unset = UNSET
    query_seconds: float | Unset = UNSET
    written: Literal["json", "xml", "form"] | Unset = UNSET
    lists_ids: bool | Unset = UNSET
    areas: dict[str, str] | Unset = UNSET


def _refused(_: Request[Any, Any, Any], unknown: NotThere) -> Response[dict[str, Any]]:
    return Response({"error": str(unknown)}, status_code=404)


class CourierTestControl(Controller):
    """Every route answers with what it changed."""

    path = "/sandbox/couriers"
    include_in_schema = False
    exception_handlers = {NotThere: _refused}

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
            await couriers.happen(name, data.to, text=data.text, pushed=data.pushed)
        else:
            await couriers.travel(name, data.to, text=data.text)
        return shown(couriers.find(name))

    @put("/parcels/{name:str}/journey")
    async def set_journey(
        self, couriers: NamedDependency[Couriers], name: FromPath[str], data: JSONBody[dict[str, str]]
    ) -> dict[str, Any]:
        return shown(couriers.set_journey(name, data.get("journey", "")))

    @post("/parcels/{name:str}/push")
    async def push(
        self, couriers: NamedDependency[Couriers], name: FromPath[str], data: JSONBody[PushIn]
    ) -> list[dict[str, Any]]:
        return [pushed(each) for each in await couriers.push_now(name, partner=data.partner, fault=data)]

    @post("/parcels/{name:str}/forge")
    async def forge(
        self, couriers: NamedDependency[Couriers], name: FromPath[str], data: JSONBody[ForgeIn]
    ) -> list[dict[str, Any]]:
        made = await couriers.forge(
            name, data.kind, partner=data.partner, knows_secret=data.knows_secret, fault=data.fault
        )
        return [pushed(each) for each in made]

    @put("/push-faults")
    async def inject(self, couriers: NamedDependency[Couriers], data: JSONBody[FaultsIn]) -> dict[str, Any]:
        couriers.pushes.inject(data, partner=data.partner, times=data.times)
        return msgspec.structs.asdict(data)

    @delete("/push-faults", status_code=200)
    async def clear_faults(self, couriers: NamedDependency[Couriers]) -> dict[str, bool]:
        couriers.pushes.clear_faults()
        return {"faults": False}

    @get("/pushes")
    async def pushes(self, couriers: NamedDependency[Couriers]) -> list[dict[str, Any]]:
        return [pushed(each) for each in couriers.pushes.sent]

    @post("/pushes/release")
    async def release(
        self, couriers: NamedDependency[Couriers], data: JSONBody[dict[str, list[str]]]
    ) -> list[dict[str, Any]]:
        return [pushed(each) for each in await couriers.pushes.release_now(*data.get("order", []))]

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
        return {"speed": couriers.world.agenda.speed, "pushes": couriers.pushes.mode, **asdict(couriers.world.rules)}

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
    """A parcel with its events and plan."""
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


def pushed(push: CourierPush) -> dict[str, Any]:
    """A push and its attempts."""
    return {
        "id": push.id,
        "partner": push.partner,
        "waybills": list(push.waybills),
        "url": push.url,
        "events": [_event(each) for each in push.events],
        "held": push.held,
        "arrived": push.arrived,
        "attempts": push.tried(),
    }


def _event(event: Event) -> dict[str, str]:
    return {"kind": event.kind, "at": written(event.at), "text": event.text, "place": event.place.city}


def _person(given: PersonIn | None, otherwise: Person) -> Person:
    return otherwise if given is None else Person(given.name, given.phone, given.places, given.street)
