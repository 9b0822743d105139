"""`/v1/callbacks/sms/{gateway}/{token}`: where SMS gateways report whether a text reached its phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Controller, Request, Response, post
from litestar.openapi.spec import Example, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, PathParameter

from api.limits import client_address
from api.problems import RouteNotFound, answers
from backend import callbacks
from backend.partners.sms import receipts

Name = Annotated[str, PathParameter(description="短信平台：tencent、aliyun")]
Token = Annotated[str, PathParameter(description="仅双方知晓的地址尾段")]
_EXAMPLES = {
    "tencent": {
        "user_receive_time": "2026-11-22 15:04:05",
        "nationcode": "86",
        "mobile": "13800000001",
        "report_status": "SUCCESS",
        "errmsg": "DELIVRD",
        "description": "用户短信送达成功",
        "sid": "f825bba61f98dcca",
    },
    "aliyun": {
        "phone_number": "13800000001",
        "send_time": "2026-11-22 15:04:01",
        "report_time": "2026-11-22 15:04:05",
        "success": True,
        "err_code": "DELIVERED",
        "err_msg": "用户接收成功",
        "sms_size": "1",
        "biz_id": "900619746936498440",
        "out_id": "0194a1b2c3d47e5f8a6b7c8d9e0f1a2b",
    },
}


@dataclass
class _PushOperation(Operation):
    """Describes the body, which the handler reads as bytes: each gateway has fields of its own."""

    def __post_init__(self) -> None:
        entry = Schema(type=OpenAPIType.OBJECT, additional_properties=True)
        self.request_body = RequestBody(
            description="回执数组，最多 1000 条、512 KiB",
            content={
                "application/json": OpenAPIMediaType(
                    schema=Schema(type=OpenAPIType.ARRAY, items=entry),
                    examples={name: Example(value=[value]) for name, value in _EXAMPLES.items()},
                )
            },
        )


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
        operation_class=_PushOperation,
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
