"""The door for everybody: nothing personal is given out here."""

from __future__ import annotations

from litestar import Router
from litestar.types import ControllerRouterHandler

from api.public.problems import ProblemController

handlers: list[ControllerRouterHandler] = [ProblemController]

door = Router(path="/public", route_handlers=handlers)
