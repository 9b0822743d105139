"""`/v1/callbacks/sms/{gateway}/{token}`: where SMS gateways report whether a text reached its phone."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, Response, post
from litestar.params import FromPath, PathParameter

from api.limits import client_address
from api.problems import RouteNotFound, answers
from backend import callbacks
from backend.partners.sms import receipts

Name = Annotated[str, PathParameter(description="短信平台：tencent、aliyun")]
Token = Annotated[str, PathParameter(description="仅双方知晓的地址尾段")]


class SmsController(Controller):
    """Receipts are not signed: the address is the secret."""

    path = "/sms"
    tags = ["合作方回调"]

    @post(
        "/{name:str}/{token:str}",
        summary="接收短信回执",
        operation_id="receiveSmsReceipts",
        description="地址尾段不可猜测，并可限定来源网络；先落库再以该平台的格式应答，重复推送只处理一次。"
        "送达失败的短信改走下一种方式。",
        status_code=200,
        request_max_body_size=receipts.LARGEST,
        responses=answers(callbacks.receive_sms, RouteNotFound),
    )
    async def receive(
        self, request: Request[Any, Any, Any], name: FromPath[Name], token: FromPath[Token]
    ) -> Response[bytes]:
        gateway = callbacks.find_gateway(name, token, client_address(request.scope))
        if gateway is None:
            raise RouteNotFound
        status, body = await callbacks.receive_sms(gateway, await request.body())
        return Response(body, status_code=status, media_type="application/json")
