"""顺丰 RoutePushService, simulated: new routes only, at most ten at once, until they are taken. Nothing is signed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote_plus, urlencode
from xml.sax.saxutils import quoteattr

import msgspec

from backend.partners.courier.sandbox.desk import CourierDesk
from backend.partners.courier.sandbox.pushing import FORM, JSON, XML, CourierFault, CourierSender, Draft
from backend.partners.courier.sandbox.world import CourierWorld, Event, Parcel, object_in

CODES: dict[str, str] = {
    "collected": "50",
    "departed": "30",
    "transit": "31",
    "arrived": "31",
    "out": "44",
    "failed": "70",
    "station": "130",
    "delayed": "33",
    "refused": "70",
    "returning": "631",
    "returned": "99",
    "lost": "648",
    "signed": "80",
    "proxy": "80",
    "station_signed": "80",
    "receipt": "8000",
}
"""opCode per kind of step; what is not here is no route."""
REASONS = {"failed": ("3", "收件人电话无人接听"), "refused": ("2", "收件人拒收")}
MOST = 10
"""Routes of one push."""
GAPS = (300.0, 600.0, 1200.0, 2400.0, *(3600.0,) * 70)
"""Seconds between attempts: until taken, for three days."""
_HEAD = re.compile(rb"<Head>\s*OK\s*</Head>")
_ERRORS = re.compile(rb"id_error\s*=\s*[\"']([^\"']*)[\"']")
_IDS = re.compile(rb"\bid\s*=\s*[\"']([^\"']*)[\"']")


class SfPushes:
    """Pushes of the parcels that were ordered from 顺丰."""

    def __init__(self, desk: CourierDesk, world: CourierWorld, pushes: CourierSender) -> None:
        self._desk, self._world, self._pushes = desk, world, pushes
        world.subscribers.append(self.push_event)

    async def push_event(self, parcel: Parcel, event: Event) -> None:
        """Push the new route."""
        if parcel.by == "sf" and event.kind in CODES:
            await self._send(parcel, [event], None)

    async def push_now(self, parcel: Parcel, fault: CourierFault | None) -> None:
        """All routes of a parcel once more, which 顺丰 does at the request of its staff only."""
        events = [each for each in parcel.events if each.kind in CODES]
        for start in range(0, len(events), MOST):
            await self._send(parcel, events[start : start + MOST], fault)

    async def push_all(self, parcels: Sequence[Parcel], fault: CourierFault | None) -> None:
        """The last route of several parcels in one push."""
        pairs = [(each, each.events[-1]) for each in parcels if each.events and each.events[-1].kind in CODES][:MOST]
        await self._send_pairs(pairs, fault)

    async def forge(self, parcel: Parcel, event: Event, fault: CourierFault) -> None:
        """A route that never happened."""
        await self._send(parcel, [event], fault)

    async def _send(self, parcel: Parcel, events: list[Event], fault: CourierFault | None) -> None:
        await self._send_pairs([(parcel, each) for each in events], fault)

    async def _send_pairs(self, pairs: list[tuple[Parcel, Event]], fault: CourierFault | None) -> None:
        by_id = {event.id: parcel for parcel, event in pairs}
        events, form = [event for _, event in pairs], self._world.rules.written

        def write(fault: CourierFault) -> tuple[str, bytes]:
            routes = [_route(by_id[each.id], each, fault) for each in fault.nodes(events)]
            return _written(routes, form)

        async def again(refused: list[Event]) -> None:
            await self._send_pairs([(by_id[each.id], each) for each in refused], None)

        def judge(status: int, answer: bytes) -> set[str] | bool:
            return _verdict(status, answer, form, {each.id for each in events}, lists=self._world.rules.lists_ids)

        waybills = tuple(dict.fromkeys(each.waybill for each, _ in pairs))
        await self._pushes.push(
            Draft("sf", waybills, self._desk.address, events, write, judge, GAPS, again), fault=fault
        )


def _route(parcel: Parcel, event: Event, fault: CourierFault) -> dict[str, str]:
    reason, why = REASONS.get(event.kind, ("", ""))
    return {
        "mailno": parcel.waybill,
        "acceptAddress": event.place.city,
        "reasonName": why,
        "orderid": parcel.number,
        "acceptTime": fault.time(event),
        "remark": event.text,
        "opCode": fault.code(CODES[event.kind]),
        "id": event.id,
        "reasonCode": reason,
    }


def _written(routes: list[dict[str, str]], form: str) -> tuple[str, bytes]:
    if form == "json":
        return JSON, msgspec.json.encode({"Body": {"WaybillRoute": routes}})
    inner = "".join(
        "<WaybillRoute " + " ".join(f"{name}={quoteattr(value)}" for name, value in route.items()) + "/>"
        for route in routes
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    xml = f'{head}<Request service="RoutePushService" lang="zh-CN"><Body>{inner}</Body></Request>'
    return (XML, xml.encode()) if form == "xml" else (FORM, urlencode({"content": quote_plus(xml)}).encode())


def _verdict(status: int, answer: bytes, form: str, ids: set[str], *, lists: bool) -> set[str] | bool:
    if status != 200:
        return False
    if form == "json":
        return (object_in(answer) or {}).get("return_code") == "0000"
    if not _HEAD.search(answer):
        return False
    errors = _ERRORS.search(answer)
    if lists:
        listed = _IDS.search(answer)
        return ids - _split(listed[1] if listed else b"")
    return ids & _split(errors[1]) if errors else True


def _split(listed: bytes) -> set[str]:
    return {each.strip() for each in listed.decode("utf-8", "replace").split(",") if each.strip()}
