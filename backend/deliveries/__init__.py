"""Deliveries: how what was decided reaches the resident, by post or at a counter, and where it is on the way.

Every activity is a module, and reads with it as a sentence: `choosing.choose(…)`, `dispatching.send(…)`.
The domain of a subject uses `subject_deliveries`. Importing the package registers its jobs.
"""

from __future__ import annotations

from backend.deliveries import (
    acting,
    addresses,
    anomalies,
    batching,
    callbacks,
    cancelling,
    choosing,
    dispatching,
    erasing,
    handing_over,
    naming,
    numbering,
    ordering,
    pickup_points,
    polling,
    postage,
    problems,
    receiving,
    resident_views,
    returning,
    staff_views,
    subject_deliveries,
    tracing,
    tracking,
    transitions,
)
from backend.deliveries.addresses import AddressDetail, AddressForm
from backend.deliveries.batching import BatchDetail
from backend.deliveries.choosing import DeliveryChoice, DeliveryOffer
from backend.deliveries.handing_over import IdentityProof
from backend.deliveries.naming import METHOD_NAMES, POSTAGE_NAMES
from backend.deliveries.pickup_points import PickupPointDetail, PickupPointForm
from backend.deliveries.postage import PostageCharge
from backend.deliveries.problems import StaffProblemDetail
from backend.deliveries.resident_views import DeliveryDetail, DeliverySummary, Receiver
from backend.deliveries.staff_views import BatchSummary, Desk, StaffDeliveryDetail, StaffDeliverySummary
from backend.deliveries.transitions import DeliveryRow

__all__ = [
    "METHOD_NAMES",
    "POSTAGE_NAMES",
    "AddressDetail",
    "AddressForm",
    "BatchDetail",
    "BatchSummary",
    "DeliveryChoice",
    "DeliveryDetail",
    "DeliveryOffer",
    "DeliveryRow",
    "DeliverySummary",
    "Desk",
    "IdentityProof",
    "PickupPointDetail",
    "PickupPointForm",
    "PostageCharge",
    "Receiver",
    "StaffDeliveryDetail",
    "StaffDeliverySummary",
    "StaffProblemDetail",
    "acting",
    "addresses",
    "anomalies",
    "batching",
    "callbacks",
    "cancelling",
    "choosing",
    "dispatching",
    "erasing",
    "handing_over",
    "naming",
    "numbering",
    "ordering",
    "pickup_points",
    "polling",
    "postage",
    "problems",
    "receiving",
    "resident_views",
    "returning",
    "staff_views",
    "subject_deliveries",
    "tracing",
    "tracking",
    "transitions",
]
