"""The door for other authorities' systems: its guard stands here, once."""

from __future__ import annotations

from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from api.agency.cases import CaseController, report_many
from api.agency.fees import CaseFeeController
from api.agency.me import AgencyController
from api.auth import agencies_only, provide_agency
from api.doors import Door

handlers: list[ControllerRouterHandler] = [AgencyController, CaseController, CaseFeeController, report_many]


def door() -> Door:
    """The router of this door."""
    return Door(
        path="/agency",
        guards=[agencies_only],
        dependencies={"agency": Provide(provide_agency, sync_to_thread=False)},
        route_handlers=handlers,
    )
