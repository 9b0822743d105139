"""The door for everybody: nothing personal is given out here."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from api.doors import Door
from api.public.appointments import FreePlacesController
from api.public.calendar import CalendarController
from api.public.case_lookup import CaseLookupController
from api.public.catalogue import CatalogueController
from api.public.hall_board import BoardController
from api.public.lifecycles import LifecycleController
from api.public.pickup_points import PickupPointController
from api.public.problems import ProblemController
from api.public.receipts import ReceiptController
from api.public.regions import RegionController
from api.public.sign_in import SessionController, key_set

handlers: list[ControllerRouterHandler] = [
    CatalogueController,
    ProblemController,
    RegionController,
    SessionController,
    key_set,
    CaseLookupController,
    FreePlacesController,
    LifecycleController,
    BoardController,
    CalendarController,
    ReceiptController,
    PickupPointController,
]


def door() -> Door:
    """The router of this door."""
    return Door(path="/public", route_handlers=handlers)
