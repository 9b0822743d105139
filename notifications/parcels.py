"""What residents hear of their deliveries, and of what is kept silent, why."""

from __future__ import annotations

from collections.abc import Mapping

from backend.deliveries import events
from backend.events import Event
from notifications.telling import Silence, Tell

_SEEN = Silence("the resident did it and sees the result at once")
_OFFICE = Silence("concerns the office, which looks into it; the page of the delivery shows where it stands")
_SHOWN = Silence("the page of the delivery shows it with its time; the courier rings the resident itself")

RULES: Mapping[type[Event], Tell | Silence] = {
    events.AddressSaved: _SEEN,
    events.AddressRemoved: _SEEN,
    events.DeliveryChosen: _SEEN,
    events.DeliveryChanged: _SEEN,
    events.DeliveryConfirmed: _SEEN,
    events.DeliveryMoved: _SHOWN,
    events.ShipmentOrdered: Silence("the step of the delivery that came of it is a fact of its own"),
    events.ShipmentOrderFailed: _OFFICE,
    events.ShipmentNoded: Silence("the state stayed as it was; the timeline shows it"),
    events.CourierPushed: Silence("heard by backend/deliveries/hearing.py: it tells us something, not the resident"),
    events.ProblemFound: _OFFICE,
    events.ProblemAnswered: _SHOWN,
    events.HandedOver: Silence("whoever took it stood at the counter and signed"),
}
