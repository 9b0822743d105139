"""`/v1/callbacks/courier/{name}`: the couriers' and trackers' pushes about shipments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, PathParameter

from api.limits import client_address
from api.problems import RouteNotFound, answers
from backend.deliveries import callbacks
from backend.partner_settings.couriers import COURIERS
from backend.partners import Partners
from backend.partners.courier.port import CourierPushInvalid, CourierPushSignatureInvalid, Tracking

_REFUSALS = answers(CourierPushSignatureInvalid, CourierPushInvalid, RouteNotFound)

Name = Annotated[
    str, PathParameter(description=f"推送方：{'、'.join(name for name, each in COURIERS.items() if each.pushes)}")
]
Token = Annotated[str, PathParameter(description="仅双方知晓的地址尾段，用于不签名的推送方")]


def _headers(request: Request[Any, Any, Any]) -> Mapping[str, str]:
    """Names in lower case; of a header that came twice both, so that its verification sees both."""
    found: dict[str, str] = {}
    for name, value in request.scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


async def _receive(request: Request[Any, Any, Any], tracker: Tracking | None) -> Response[bytes]:
    if tracker is None:
        raise RouteNotFound
    answer = await callbacks.ingest_push(tracker, _headers(request), await request.body())
    return Response(answer.body, status_code=answer.status, media_type=answer.content_type)


class CourierController(Controller):
    """Each courier gets the answer in its own form; it repeats a push that is not accepted."""

    path = "/courier"
    tags = ["合作方回调"]

    @post(
        "/{name:str}",
        summary="接收快递轨迹推送（签名的推送方）",
        operation_id="receiveCourierPush",
        description="按推送方的规则对原文验签，先落库再以其格式应答；重复推送只处理一次，状态不回退。",
        status_code=200,
        request_max_body_size=callbacks.LARGEST,
        responses=_REFUSALS,
    )
    async def receive_signed(
        self, request: Request[Any, Any, Any], name: FromPath[Name], partners: NamedDependency[Partners]
    ) -> Response[bytes]:
        return await _receive(request, callbacks.find_tracker(name, partners.trackers))

    @post(
        "/{name:str}/{token:str}",
        summary="接收快递轨迹推送（不签名的推送方）",
        operation_id="receiveUnsignedCourierPush",
        description="地址尾段不可猜测，并可限定来源网络；其中的签收、退回和丢失须经查询确认后才采信。",
        status_code=200,
        request_max_body_size=callbacks.LARGEST,
        responses=_REFUSALS,
    )
    async def receive_unsigned(
        self,
        request: Request[Any, Any, Any],
        name: FromPath[Name],
        token: FromPath[Token],
        partners: NamedDependency[Partners],
    ) -> Response[bytes]:
        address = client_address(request.scope)
        return await _receive(request, callbacks.find_tracker(name, partners.trackers, token=token, address=address))
