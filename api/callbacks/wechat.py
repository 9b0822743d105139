"""`/v1/callbacks/wechat`: where WeChat checks our address and pushes events of both accounts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from litestar import Controller, MediaType, Request, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery

from api.problems import answers
from backend import callbacks
from backend.partners import Partners
from backend.partners.wechat.body_reader import LARGEST
from backend.partners.wechat.errors import WechatPushInvalid


def _signed_query(
    request: Request[Any, Any, Any],
    signature: FromQuery[str | None] = None,
    timestamp: FromQuery[str | None] = None,
    nonce: FromQuery[str | None] = None,
    echostr: FromQuery[str | None] = None,
    encrypt_type: FromQuery[str | None] = None,
    msg_signature: FromQuery[str | None] = None,
) -> dict[str, str]:
    """What WeChat signed, each name once: of two signatures one reader takes the first and another the last."""
    if any(times > 1 for times in Counter(name for name, _ in request.query_params.multi_items()).values()):
        error = WechatPushInvalid("a parameter twice")
        callbacks.log_wechat_refusal(error)
        raise error
    given = {
        "signature": signature,
        "timestamp": timestamp,
        "nonce": nonce,
        "echostr": echostr,
        "encrypt_type": encrypt_type,
        "msg_signature": msg_signature,
    }
    return {name: value for name, value in given.items() if value is not None}


class WeChatController(Controller):
    """WeChat signs `timestamp` and `nonce` in the query, and the encrypted body with them."""

    path = "/wechat"
    tags = ["合作方回调"]
    dependencies = {"signed": Provide(_signed_query, sync_to_thread=False)}

    @get(
        summary="微信校验回调地址",
        operation_id="checkWeChatAddress",
        description="签名正确时原样返回 echostr。",
        media_type=MediaType.TEXT,
        responses=answers(callbacks.answer_address_check),
        sync_to_thread=False,
    )
    def check(self, signed: NamedDependency[dict[str, str]], partners: NamedDependency[Partners]) -> str:
        return callbacks.answer_address_check(signed, wechat=partners.wechat)

    @post(
        summary="接收微信推送的消息与事件",
        operation_id="receiveWeChatPush",
        description="明文、兼容、安全三种模式，JSON 或 XML；验签后先落库再应答 success，重复推送只处理一次。",
        media_type=MediaType.TEXT,
        status_code=200,
        request_max_body_size=LARGEST,
        responses=answers(callbacks.receive_wechat),
    )
    async def receive(
        self,
        request: Request[Any, Any, Any],
        signed: NamedDependency[dict[str, str]],
        partners: NamedDependency[Partners],
    ) -> str:
        await callbacks.receive_wechat(signed, await request.body(), wechat=partners.wechat)
        return "success"
