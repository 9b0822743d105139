"""The door for partners who call us back: each route verifies the partner's own signature over the raw bytes."""

from __future__ import annotations

from litestar import Router
from litestar.types import ControllerRouterHandler

from api.callbacks.alipay import AlipayController
from api.callbacks.answering import served_first
from api.callbacks.courier import CourierController
from api.callbacks.sms import SmsController
from api.callbacks.wechat import WeChatController
from api.callbacks.wechat_pay import WeChatPayController

handlers: list[ControllerRouterHandler] = [
    WeChatController,
    WeChatPayController,
    AlipayController,
    CourierController,
    SmsController,
]

door = Router(path="/callbacks", route_handlers=handlers, middleware=[served_first])
