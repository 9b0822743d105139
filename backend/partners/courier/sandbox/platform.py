"""What a tester does to the couriers, as plain methods; over HTTP the same is under `/sandbox/couriers`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from backend.partners.courier.sandbox.desk import open_desks
from backend.partners.courier.sandbox.journeys import JOURNEYS, KINDS, Kind, Person
from backend.partners.courier.sandbox.places import COMPANIES
from backend.partners.courier.sandbox.pushing import NO_FAULT, CourierFault, CourierPush, CourierSender
from backend.partners.courier.sandbox.world import CourierWorld, Event, Parcel, Partner, Refusal
from backend.settings import Settings

AT_THE_HALL = Person("政务服务中心", "13800130001", ("吉林省", "长春市", "南关区"), "人民大街1号")
AT_HOME = Person("田秀英", "13800138000", ("吉林省", "长春市", "朝阳区"), "西安大路2号")


class NotThere(Exception):
    """There is no such parcel, push, step or journey, or it makes no sense for it."""


class Couriers:
    """A world, the desks of its couriers, and their pushes."""

    def __init__(self, values: Settings) -> None:
        self.world = CourierWorld(values)
        self.pushes = CourierSender(self.world)
        self.desks = open_desks(self.world, self.pushes)

    def settings(self, base: str) -> dict[str, str]:
        """What to put in force so that our own side talks to these couriers."""
        self.world.base = base
        desks = self.desks.items()
        addresses = {f"{name}_api_base": f"{base}/couriers/{name}{desk.base_path}" for name, desk in desks}
        return {**addresses, **self.world.named}

    def push_to(self, base: str) -> None:
        """Set in the couriers' consoles where pushes go: `base` is our address up to `/courier`."""
        for desk in self.desks.values():
            desk.push_to(base.rstrip("/"))

    # -- parcels ---------------------------------------------------------------------------------

    async def parcel(
        self,
        company: str = "ems",
        *,
        waybill: str = "",
        number: str = "",
        sender: Person = AT_THE_HALL,
        receiver: Person = AT_HOME,
        journey: str = "",
        by: Partner | None = None,
    ) -> Parcel:
        """A parcel handed in at a counter. Raises NotThere for an unknown company or journey."""
        if company not in COMPANIES or (journey and journey not in JOURNEYS):
            raise NotThere(f"no company {company} or no journey {journey}")
        waybill = waybill or self.world.waybill_for(company)
        return await self.world.send(Parcel(waybill, company, sender, receiver, number, by=by), journey)

    def find(self, name: str) -> Parcel:
        """The parcel of this waybill or order number. Raises NotThere."""
        found = self.world.parcels.get(name)
        if found is None:
            found = next((each for each in self.world.parcels.values() if name and each.number == name), None)
        if found is None:
            raise NotThere(f"no parcel {name}")
        return found

    async def travel(self, name: str, to: str, *, text: str = "") -> list[Event]:
        """Everything up to this step happens now, each pushed as it happens; `text` is what is written about the last.

        Raises NotThere.
        """
        parcel = self.find(name)
        try:
            return await self.world.travel(parcel, _kind(to), text=text)
        except KeyError:
            raise NotThere(f"no journey has a step {to}") from None

    async def happen(self, name: str, kind: str, *, text: str = "", pushed: bool = True) -> Event:
        """One step only, out of any order; not pushed, it is in queries and later lists only. Raises NotThere."""
        return await self.world.happen(self.find(name), _kind(kind), text=text, pushed=pushed)

    def set_journey(self, name: str, journey: str) -> Parcel:
        """From now on it goes this way, from the beginning. Raises NotThere."""
        if journey not in JOURNEYS:
            raise NotThere(f"no journey {journey}")
        parcel = self.find(name)
        self.world.plan(parcel, JOURNEYS[journey], begin=self.world.rules.auto)
        return parcel

    # -- pushes ----------------------------------------------------------------------------------

    async def push_now(self, *names: str, partner: str = "", fault: CourierFault | None = None) -> list[CourierPush]:
        """Push parcels to their subscribers once more; several go into one push where the courier has such. Raises
        NotThere."""
        parcels, before = [self.find(each) for each in names], len(self.pushes.sent)
        for name, desk in self.desks.items():
            if partner in ("", name):
                await desk.push_now(parcels, fault, named=bool(partner))
        return self.pushes.sent[before:]

    async def forge(
        self,
        name: str,
        kind: str = "signed",
        *,
        partner: Partner,
        knows_secret: bool = False,
        fault: CourierFault | None = None,
    ) -> list[CourierPush]:
        """A forger pushes a step that never happened. Without the secret the signature is a guess; a push of a courier
        that signs nothing is accepted from every sender that knows the address. Raises NotThere."""
        parcel, before, desk = self.find(name), len(self.pushes.sent), self.desks[partner]
        event = self.world.event(parcel, _kind(kind))
        await desk.forge(
            parcel, event, fault or (NO_FAULT if knows_secret or not desk.signs else CourierFault(empty_salt=True))
        )
        if len(self.pushes.sent) == before:
            raise NotThere(f"{partner} does not push {name}")
        return self.pushes.sent[before:]

    async def replay(self, number: str) -> CourierPush:
        """The very bytes of an old push once more. Raises NotThere."""
        push = next((each for each in self.pushes.sent if each.id == number), None)
        if push is None or not push.url:
            raise NotThere(f"no push {number}")
        await self.pushes.replay(push)
        return push

    # -- behaviour -------------------------------------------------------------------------------

    def refuse(
        self,
        partner: Partner,
        operation: str = "*",
        code: str = "",
        message: str = "系统繁忙",
        *,
        times: int = 1,
        after: bool = False,
    ) -> None:
        """Refuse the next calls; `after`: although the work is done."""
        code = code or self.desks[partner].refusal_code
        self.world.refusals.append(Refusal(partner, operation, code, message, times, after))

    def rule(self, **changes: Any) -> None:
        """Change rules by name; also `speed`, `pushes` (send, swallow, hold) and `areas`. Raises NotThere for a journey
        that does not exist."""
        if changes.get("journey", self.world.rules.journey) not in JOURNEYS:
            raise NotThere(f"no journey {changes['journey']}")
        self.world.agenda.speed = changes.pop("speed", self.world.agenda.speed)
        self.pushes.mode = changes.pop("pushes", self.pushes.mode)
        self.world.areas |= changes.pop("areas", {})
        self.world.rules = replace(self.world.rules, **changes)

    async def advance(self, seconds: float) -> None:
        """Let their time pass; what is due within it has happened and been pushed when this returns."""
        await self.world.agenda.advance(seconds)

    async def settle(self) -> None:
        """Wait until everything that is due by now has happened and been pushed."""
        await self.world.agenda.catch_up()

    async def stop(self) -> None:
        """Nothing happens any more."""
        await self.world.agenda.stop()


def _kind(word: str) -> Kind:
    if word not in KINDS:
        raise NotThere(f"no step {word}")
    return cast(Kind, word)
