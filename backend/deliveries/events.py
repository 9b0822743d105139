"""What happens to deliveries, as the ledger keeps it: ids, states and codes; no names, no streets, no words."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from backend.events import Event


class AddressSaved(Event, frozen=True, kw_only=True, tag="address.saved"):
    """A resident added or changed an address."""

    about: ClassVar[str] = "address_id"
    address_id: UUID
    resident_id: UUID


class AddressRemoved(Event, frozen=True, kw_only=True, tag="address.removed"):
    """A resident removed an address."""

    about: ClassVar[str] = "address_id"
    address_id: UUID
    resident_id: UUID


class DeliveryChosen(Event, frozen=True, kw_only=True, tag="delivery.chosen"):
    """A resident said how the thing shall reach them, or how they send something in."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    resident_id: UUID
    subject_kind: str
    subject_id: UUID
    method: str
    direction: str
    postage: str


class DeliveryChanged(Event, frozen=True, kw_only=True, tag="delivery.changed"):
    """Another address or another way, before it was picked up."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    resident_id: UUID
    method: str


class DeliveryMoved(Event, frozen=True, kw_only=True, tag="delivery.moved"):
    """The state changed: one fact per change that the resident sees."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    resident_id: UUID
    from_state: str
    to_state: str
    at: datetime
    cause: str


class DeliveryConfirmed(Event, frozen=True, kw_only=True, tag="delivery.confirmed"):
    """The resident said that it came."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    resident_id: UUID


class ShipmentOrdered(Event, frozen=True, kw_only=True, tag="shipment.ordered"):
    """A courier took the order, or a waybill was entered by hand."""

    about: ClassVar[str] = "shipment_id"
    shipment_id: UUID
    delivery_id: UUID
    courier: str
    attempt: int


class ShipmentOrderFailed(Event, frozen=True, kw_only=True, tag="shipment.order-failed"):
    """The courier does not take it: the office has to look at the address or choose another."""

    about: ClassVar[str] = "shipment_id"
    shipment_id: UUID
    delivery_id: UUID
    courier: str
    trouble: str


class CourierPushed(Event, frozen=True, kw_only=True, tag="courier.pushed"):
    """A partner pushed something about parcels; it is stored, the work is done by whoever listens."""

    about: ClassVar[str] = "message_id"
    message_id: UUID
    partner: str
    parcels: int


class ShipmentNoded(Event, frozen=True, kw_only=True, tag="shipment.noted"):
    """Nodes entered the timeline and the state stayed as it was."""

    about: ClassVar[str] = "shipment_id"
    shipment_id: UUID
    delivery_id: UUID
    nodes: int


class ProblemFound(Event, frozen=True, kw_only=True, tag="delivery-problem.found"):
    """Something is wrong; the office is alarmed, the resident is told that it is being looked into."""

    about: ClassVar[str] = "problem_id"
    problem_id: UUID
    delivery_id: UUID
    resident_id: UUID
    kind: str


class ProblemAnswered(Event, frozen=True, kw_only=True, tag="delivery-problem.answered"):
    """The office has answered; the words stand with the problem."""

    about: ClassVar[str] = "problem_id"
    problem_id: UUID
    delivery_id: UUID
    resident_id: UUID
    answered_by: UUID | None


class HandedOver(Event, frozen=True, kw_only=True, tag="delivery.handed-over"):
    """Somebody took it at the counter and signed for it."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    resident_id: UUID
    relation: str
    staff_id: UUID


class HandOverDenied(Event, frozen=True, kw_only=True, tag="delivery.hand-over-denied"):
    """Somebody at the counter could not show that it is theirs."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    staff_id: UUID


class PickupDue(Event, frozen=True, kw_only=True, tag="delivery.pickup-due"):
    """It still lies at the counter, and is kept there for so many days more."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    resident_id: UUID
    days_left: int


class KeptLonger(Event, frozen=True, kw_only=True, tag="delivery.kept-longer"):
    """The counter keeps it until another day."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    resident_id: UUID
    kept_until: date


class ReceiverShown(Event, frozen=True, kw_only=True, tag="delivery.receiver-shown"):
    """Somebody of the office has read to whom and where a parcel goes, or has taken its label."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    staff_id: UUID


class ProblemTaken(Event, frozen=True, kw_only=True, tag="delivery-problem.taken"):
    """Somebody of the office looks after a problem."""

    about: ClassVar[str] = "problem_id"
    problem_id: UUID
    delivery_id: UUID
    staff_id: UUID


class PickupPointKept(Event, frozen=True, kw_only=True, tag="pickup-point.kept"):
    """A counter was opened, changed or closed."""

    about: ClassVar[str] = "pickup_point_id"
    pickup_point_id: UUID
    department_id: UUID
    closed: bool
