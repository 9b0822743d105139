"""`/v1/callbacks/wechat`: where WeChat checks our address and pushes events of both accounts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from litestar import Controller, MediaType, Request, get, post
from litestar.di import NamedDependency

from api.problems import answers
from backend.callbacks import PushReplayed, receiving
from backend.partners import Partners
from backend.partners.wechat.body_reader import LARGEST
from backend.partners.wechat.errors import PushForged, PushMalformed, PushStale

_REFUSALS = answers(PushForged, PushMalformed, PushStale, PushReplayed)


class WeChatController(Controller):
    """WeChat signs `timestamp` and `nonce` in the query, and the encrypted body with them."""

    path = "/wechat"
    tags = ["合作方回调"]

    @get(
        summary="微信校验回调地址",
        operation_id="checkWeChatAddress",
        description="查询参数 signature、timestamp、nonce、echostr；签名正确时原样返回 echostr。",
        media_type=MediaType.TEXT,
        responses=_REFUSALS,
        sync_to_thread=False,
    )
    def check(self, request: Request[Any, Any, Any], partners: NamedDependency[Partners]) -> str:
        return receiving.check_address(_query(request), wechat=partners.wechat)

    @post(
        summary="接收微信推送的消息与事件",
        operation_id="receiveWeChatPush",
        description="明文、兼容、安全三种模式，JSON 或 XML；验签后先落库再应答 success，重复推送只处理一次。",
        media_type=MediaType.TEXT,
        status_code=200,
        request_max_body_size=LARGEST,
        responses=_REFUSALS,
    )
    async def receive(self, request: Request[Any, Any, Any], partners: NamedDependency[Partners]) -> str:
        await receiving.receive_wechat(_query(request), await request.body(), wechat=partners.wechat)
        return "success"


def _query(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The query, each name once: of two signatures one reader takes the first and another the last."""
    pairs = list(request.query_params.multi_items())
    if any(times > 1 for times in Counter(name for name, _ in pairs).values()):
        trouble = PushMalformed("a parameter twice")
        receiving.refused(trouble)
        raise trouble
    return dict(pairs)
