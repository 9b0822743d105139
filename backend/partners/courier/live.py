"""The couriers that the settings switch on."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from backend.partner_settings.couriers import COURIERS
from backend.partner_settings.declaration import CourierDeclaration
from backend.partners.base import Wire
from backend.partners.courier.port import Ordering, Tracking
from backend.settings import Settings


def live_class(declared: CourierDeclaration) -> Any:
    """The class that speaks the courier's protocol."""
    module, _, name = declared.live.partition(":")
    return getattr(import_module(f"backend.partners.courier.{module}"), name)


def live_couriers(wire: Wire, values: Settings) -> tuple[dict[str, Ordering], dict[str, Tracking]]:
    """The couriers that take orders and the sources of tracking data, by name.

    Raises SettingsError when a key or a table of one that is switched on cannot be used, PartnerInsecure.
    """
    live: dict[str, Any] = {
        name: live_class(each)(wire, values)
        for name, each in COURIERS.items()
        if each.is_on(values) and getattr(values, each.address)
    }
    return {name: each for name, each in live.items() if COURIERS[name].company}, live
