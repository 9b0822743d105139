"""The declared couriers: every module of this package declares one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from backend.partner_settings.declaration import CourierDeclaration

COURIERS: Mapping[str, CourierDeclaration] = {
    each.name: import_module(f"{__name__}.{each.name}").DECLARATION for each in iter_modules(__path__)
}
"""By name, in the order of their names."""
