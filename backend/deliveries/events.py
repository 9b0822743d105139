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
    """A resident chose how a document reaches them, or how they send documents in."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    resident_id: UUID
    subject_kind: str
    subject_id: UUID
    method: str
    direction: str
    postage: str


class DeliveryChanged(Event, frozen=True, kw_only=True, tag="delivery.changed"):
    """The address or the method changed, before the parcel was collected."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    resident_id: UUID
    method: str


class DeliveryStateChanged(Event, frozen=True, kw_only=True, tag="delivery.state-changed"):
    """The state changed: one event per change that the resident sees."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    resident_id: UUID
    from_state: str
    to_state: str
    at: datetime
    cause: str


class DeliveryConfirmed(Event, frozen=True, kw_only=True, tag="delivery.confirmed"):
    """The resident confirmed the receipt."""

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
    """The courier refused the order: the office has to check the address or choose another courier."""

    about: ClassVar[str] = "shipment_id"
    shipment_id: UUID
    delivery_id: UUID
    courier: str
    error: str


class CourierPushed(Event, frozen=True, kw_only=True, tag="courier.pushed"):
    """A partner pushed tracks; the push is stored, a subscriber applies it."""

    about: ClassVar[str] = "message_id"
    message_id: UUID
    partner: str
    tracks: int


class ShipmentNodesStored(Event, frozen=True, kw_only=True, tag="shipment.nodes-stored"):
    """New nodes entered the timeline, and the state stayed the same."""

    about: ClassVar[str] = "shipment_id"
    shipment_id: UUID
    delivery_id: UUID
    nodes: int


class ProblemOpened(Event, frozen=True, kw_only=True, tag="delivery-problem.opened"):
    """A problem was opened; the office and the resident are notified."""

    about: ClassVar[str] = "problem_id"
    problem_id: UUID
    delivery_id: UUID
    resident_id: UUID
    kind: str


class ProblemAnswered(Event, frozen=True, kw_only=True, tag="delivery-problem.answered"):
    """The office answered a problem; the text is stored with the problem."""

    about: ClassVar[str] = "problem_id"
    problem_id: UUID
    delivery_id: UUID
    resident_id: UUID
    answered_by: UUID | None


class HandedOver(Event, frozen=True, kw_only=True, tag="delivery.handed-over"):
    """A delivery was handed over at the counter, against a signature."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    resident_id: UUID
    relation: str
    staff_id: UUID


class HandOverDenied(Event, frozen=True, kw_only=True, tag="delivery.hand-over-denied"):
    """A person at the counter could not prove that the delivery is theirs."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    staff_id: UUID


class PickupDue(Event, frozen=True, kw_only=True, tag="delivery.pickup-due"):
    """A delivery still lies at the counter, and is kept for so many more days."""

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


class ReceiverRevealed(Event, frozen=True, kw_only=True, tag="delivery.receiver-revealed"):
    """A staff member revealed the receiver of a delivery, or read its label."""

    about: ClassVar[str] = "delivery_id"
    delivery_id: UUID
    staff_id: UUID


class ProblemAssigned(Event, frozen=True, kw_only=True, tag="delivery-problem.assigned"):
    """A staff member is assigned to a problem."""

    about: ClassVar[str] = "problem_id"
    problem_id: UUID
    delivery_id: UUID
    staff_id: UUID


class PickupPointChanged(Event, frozen=True, kw_only=True, tag="pickup-point.changed"):
    """A counter was opened, changed or closed."""

    about: ClassVar[str] = "pickup_point_id"
    pickup_point_id: UUID
    department_id: UUID
    closed: bool
