"""The door for partners who call us back: each route verifies the partner's own signature over the raw bytes."""

from __future__ import annotations

from litestar import Router
from litestar.types import ControllerRouterHandler

from api.callbacks.wechat import WeChatController

handlers: list[ControllerRouterHandler] = [WeChatController]

door = Router(path="/callbacks", route_handlers=handlers)
