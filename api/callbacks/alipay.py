"""`/v1/callbacks/alipay`: Alipay's notices of payments and refunds."""

from __future__ import annotations

from typing import Any

from litestar import Controller, MediaType, Request, post
from litestar.di import NamedDependency

from api.callbacks.answering import LARGEST, ingest_push
from api.problems import answers
from backend import payments
from backend.partners import Partners


class AlipayController(Controller):
    """Alipay signs the sorted fields; it repeats a push for 25 hours unless the answer is exactly `success`."""

    path = "/alipay"
    tags = ["合作方回调"]

    @post(
        summary="接收支付宝的支付与退款通知",
        operation_id="receiveAlipayNotice",
        description="验签、与订单比对后在一个事务中入账，提交后应答 success；其他应答由支付宝重发。",
        media_type=MediaType.TEXT,
        status_code=200,
        request_max_body_size=LARGEST,
        responses=answers(payments.ingest_notice),
    )
    async def receive(self, request: Request[Any, Any, Any], partners: NamedDependency[Partners]) -> str:
        await ingest_push(request, partners.channels.get("alipay"))
        return "success"
