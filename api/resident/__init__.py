"""The door for residents: its guard stands here, once."""

from __future__ import annotations

from litestar import Router
from litestar.types import ControllerRouterHandler

handlers: list[ControllerRouterHandler] = []

door = Router(path="/resident", route_handlers=handlers)
