"""Couriers and trackers in memory: they answer as configured, and record the requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from litestar import Litestar

from backend.partners import Partners, equip
from backend.partners.courier.port import (
    CourierPush,
    CourierWaybillNotFound,
    OrderedParcel,
    ParcelOrder,
    PartnerUnreachable,
    PushAnswer,
    Track,
    TrackingRequest,
)
from tests.factories.deliveries import a_waybill


class ACourier:
    """The port `Ordering`. `failures` are raised one after the other before anything succeeds."""

    def __init__(self, name: str = "ems", company: str = "ems") -> None:
        self.name, self.company = name, company
        self.waybills: dict[str, str] = {}
        self.orders: list[ParcelOrder] = []
        self.cancelled: list[str] = []
        self.failures: list[Exception] = []
        self.labels: str | None = None
        """What the answer to an order says of the label."""
        self.lost_answers = 0
        """So many orders are taken, and the answer does not arrive."""
        self.meanwhile: list[Any] = []
        """Awaited during a call, one per call."""

    async def order(self, parcel: ParcelOrder) -> OrderedParcel:
        await self._pass()
        self.orders.append(parcel)
        waybill = self.waybills.setdefault(parcel.number, a_waybill())
        if self.lost_answers:
            self.lost_answers -= 1
            raise PartnerUnreachable(self.name, maybe_done=True)
        return OrderedParcel(waybill, self.labels)

    async def cancel(self, number: str, waybill: str) -> None:
        await self._pass()
        assert self.waybills[number] == waybill
        self.cancelled.append(number)

    async def label(self, number: str, waybill: str) -> str | None:
        await self._pass()
        return f"label of {waybill}"

    async def _pass(self) -> None:
        if self.meanwhile:
            await self.meanwhile.pop(0)()
        if self.failures:
            raise self.failures.pop(0)


class ATracker:
    """The port `Tracking`, asked from memory."""

    def __init__(self, name: str = "kuaidi100", *, signs: bool = True, pushes: bool = True) -> None:
        self.name, self.signs, self.pushes = name, signs, pushes
        self.query_seconds = 1800.0
        self.subscribed: list[TrackingRequest] = []
        self.asked: list[TrackingRequest] = []
        self.tracks: dict[str, Track] = {}
        self.failures: list[Exception] = []

    async def subscribe(self, parcel: TrackingRequest) -> None:
        self.subscribed.append(parcel)
        if self.failures:
            raise self.failures.pop(0)

    async def query(self, parcel: TrackingRequest) -> Track:
        self.asked.append(parcel)
        if self.failures:
            raise self.failures.pop(0)
        if parcel.waybill not in self.tracks:
            raise CourierWaybillNotFound(self.name)
        return self.tracks[parcel.waybill]

    def open_push(self, headers: Mapping[str, str], body: bytes) -> CourierPush:
        raise AssertionError("nobody pushes here")

    def answer(self, push: CourierPush | None, *, accepted: bool, refused: Sequence[str] = ()) -> PushAnswer:
        raise AssertionError("nobody pushes here")


@contextmanager
def served_by(
    *couriers: ACourier,
    trackers: Sequence[ATracker] = (),
    channels: Mapping[str, Any] | None = None,
    app: Litestar | None = None,
) -> Iterator[None]:
    """Jobs speak to these, and so does the application."""
    bundle = Partners(
        wechat=None,  # type: ignore[arg-type]
        sms=None,
        wire=None,  # type: ignore[arg-type]
        channels=channels or {},
        couriers={each.name: each for each in couriers},
        trackers={each.name: each for each in trackers or [ATracker()]},
    )
    if app is not None:
        app.state["partners"] = bundle
    equip(bundle)
    try:
        yield
    finally:
        equip(None)
