"""The door for partners who call us back: each route verifies the partner's own signature over the raw bytes."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from api.callbacks.alipay import AlipayController
from api.callbacks.answering import served_first
from api.callbacks.courier import CourierController
from api.callbacks.sms import SmsController
from api.callbacks.wechat import WeChatController
from api.callbacks.wechat_pay import WeChatPayController
from api.doors import Door

handlers: list[ControllerRouterHandler] = [
    WeChatController,
    WeChatPayController,
    AlipayController,
    CourierController,
    SmsController,
]


def door() -> Door:
    """The router of this door."""
    return Door(path="/callbacks", route_handlers=handlers, middleware=[served_first])
