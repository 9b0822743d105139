"""`/v1/callbacks/wechat-pay`: WeChat Pay's notices of payments and refunds."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from api.callbacks.answering import LARGEST, fail, ingest_push, ingest_v2_push
from api.problems import answers
from backend import payments
from backend.partners import Partners
from backend.partners.wechat_pay.v2_notice import ACCEPTED, is_v2


class WeChatPayController(Controller):
    """WeChat Pay signs the raw body with its time and a nonce; it repeats a push for a day unless the answer is 2xx."""

    path = "/wechat-pay"
    tags = ["合作方回调"]
    exception_handlers = {Exception: fail}

    @post(
        summary="接收微信支付的支付与退款通知",
        operation_id="receiveWeChatPayNotice",
        description=(
            "验签、解密、与订单比对后在一个事务中入账，提交后应答 204；重复通知只处理一次。"
            "签名探测、不相符和未知订单的通知回答 4xx，由微信支付重发。"
            "商户平台退款的 XML 通知只作记录，以查询结果为准。"
        ),
        status_code=200,
        media_type="text/xml",
        request_max_body_size=LARGEST,
        responses=answers(payments.ingest_notice) | {204: ResponseSpec(None, description="JSON 通知已入账")},
    )
    async def receive(self, request: Request[Any, Any, Any], partners: NamedDependency[Partners]) -> Response[bytes]:
        channel = partners.channels.get("wechat_pay")
        if is_v2(await request.body()):
            await ingest_v2_push(request, channel)
            return Response(ACCEPTED, media_type="text/xml")
        await ingest_push(request, channel)
        return Response(b"", status_code=204)
