"""The door for staff: its guard stands here, once."""

from __future__ import annotations

from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from api.auth import provide_staff, staff_only
from api.doors import Door
from api.staff.appointments import CONTROLLERS
from api.staff.calendar import CalendarController
from api.staff.catalogue import ItemController
from api.staff.deliveries import DeliveryController
from api.staff.delivery_problems import DeliveryProblemController
from api.staff.dispatching import DispatchController
from api.staff.fees import FeeController
from api.staff.kiosk import KioskController
from api.staff.messages import StaffMessageController
from api.staff.payments import StaffPaymentController
from api.staff.pickup_points import PickupPointController
from api.staff.queue import QueueController
from api.staff.reconciliation import ReconciliationController
from api.staff.refunds import RefundController
from api.staff.sign_in import StaffSignInController, me, sign_out

handlers: list[ControllerRouterHandler] = [
    ItemController,
    CalendarController,
    *CONTROLLERS,
    FeeController,
    KioskController,
    QueueController,
    StaffMessageController,
    StaffPaymentController,
    RefundController,
    ReconciliationController,
    DeliveryController,
    DispatchController,
    DeliveryProblemController,
    PickupPointController,
    me,
    sign_out,
]


def door() -> Door:
    """The router of this door: everything is inside but the address at which one signs in."""
    inside = Door(
        path="/",
        guards=[staff_only],
        dependencies={"staff": Provide(provide_staff, sync_to_thread=False)},
        route_handlers=handlers,
    )
    return Door(path="/staff", route_handlers=[StaffSignInController, inside])
