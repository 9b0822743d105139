"""The door for residents: its guard stands here, once."""

from __future__ import annotations

from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from api.auth import provide_resident, residents_only
from api.doors import Door
from api.resident.addresses import AddressController
from api.resident.appointments import AppointmentController
from api.resident.case_deliveries import CaseDeliveryController
from api.resident.case_fees import CaseFeeController
from api.resident.cases import CaseController
from api.resident.check_in import CheckInController
from api.resident.delegations import DelegationController, InvitationController
from api.resident.deliveries import DeliveryController
from api.resident.me import MeController
from api.resident.messages import MessageController
from api.resident.payment_page import PaymentPageController
from api.resident.payments import FeeController, PaymentController
from api.resident.phone import PhoneController
from api.resident.receipts import ReceiptController
from api.resident.sessions import SessionsController, sign_out
from api.resident.strikes import StrikeController
from api.resident.subscriptions import SubscriptionController
from api.resident.waiting import DrawEntryController, WaitingController

handlers: list[ControllerRouterHandler] = [
    MeController,
    PhoneController,
    SessionsController,
    sign_out,
    DelegationController,
    InvitationController,
    MessageController,
    SubscriptionController,
    CaseController,
    CaseFeeController,
    FeeController,
    PaymentController,
    AppointmentController,
    CheckInController,
    WaitingController,
    DrawEntryController,
    StrikeController,
    ReceiptController,
    PaymentPageController,
    AddressController,
    CaseDeliveryController,
    DeliveryController,
]


def door() -> Door:
    """The router of this door."""
    return Door(
        path="/resident",
        guards=[residents_only],
        dependencies={"resident": Provide(provide_resident, sync_to_thread=False)},
        route_handlers=handlers,
    )
