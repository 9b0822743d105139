"""Our side of the simulated couriers without the service behind it: live adapters call, and read what is pushed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from backend.errors import DomainError
from backend.partners import Partners
from backend.partners.courier.port import CourierPush, Node, Track, TrackingRequest
from backend.partners.courier.sandbox.platform import Couriers
from backend.partners.courier.sandbox.world import Parcel as Carried
from backend.partners.sandbox import Sandbox
from backend.settings import settings

HALF_AN_HOUR, DAY = 1800.0, 86_400.0


@dataclass
class Ear:
    """Reads every push with the adapter of its address and answers as that adapter does; `answers` go before."""

    sandbox: Sandbox
    partners: Partners
    pushes: list[CourierPush] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    raw: list[tuple[str, bytes]] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def couriers(self) -> Couriers:
        return self.sandbox.couriers

    @property
    def tracks(self) -> list[Track]:
        """The pushed nodes, in the order in which they came."""
        return [track for push in self.pushes for track in push.tracks]

    @property
    def statuses(self) -> list[list[str]]:
        """Per track the statuses of its nodes, as they came."""
        return [[each.status for each in track.nodes] for track in self.tracks]

    @property
    def nodes(self) -> list[Node]:
        return [node for track in self.tracks for node in track.nodes]

    async def post(self, url: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
        self.raw.append((url, body))
        if self.answers:
            return self.answers.pop(0)
        name, _, token = url.partition("/v1/callbacks/courier/")[2].partition("/")
        tracker = self.partners.trackers[name]
        if not tracker.signs and token != settings().courier_push_token:
            self.refused.append("no-such-address")
            return 404, b"{}"
        try:
            push = tracker.open_push({name.lower(): value for name, value in headers}, body)
        except DomainError as trouble:
            self.refused.append(trouble.code)
            return 400, b"{}"
        self.pushes.append(push)
        return 200, tracker.answer(push, accepted=True).body

    async def subscribe(self, tracker: str, parcel: Carried, company: str = "") -> None:
        """Subscribe to a parcel there, and receive what it pushes at once."""
        await self.partners.trackers[tracker].subscribe(asked(parcel, company=company or parcel.company))
        await self.couriers.settle()


def asked(parcel: Carried, **changes: Any) -> TrackingRequest:
    """A parcel as our side asks about it."""
    given = {"waybill": parcel.waybill, "company": parcel.company, "phone_tail": parcel.receiver.phone[-4:]}
    return TrackingRequest(**{**given, **changes})
