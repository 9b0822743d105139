"""The addresses of api.mch.weixin.qq.com and what stands behind each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec
from litestar import HttpMethod, Request, Response, route
from litestar.di import NamedDependency
from litestar.params import FromPath

from backend.partners.base import join_headers
from backend.partners.sandbox_keys import GOOD_FROM, GOOD_UNTIL
from backend.partners.wechat_pay.sandbox import orders, refunds
from backend.partners.wechat_pay.sandbox.errors import Refusal, wrong
from backend.partners.wechat_pay.sandbox.keyring import public_key_id
from backend.partners.wechat_pay.sandbox.platform import PayPlatform
from backend.partners.wechat_pay.sandbox.signing import check_request, random_text, seal, signed_headers
from backend.partners.wechat_pay.sandbox.world import PayWorld, beijing


@dataclass(frozen=True)
class Received:
    """One verified call, read."""

    pay: PayPlatform
    parts: dict[str, str]
    """What the address names."""
    query: dict[str, str]
    content: dict[str, Any]
    origin: str
    serial: str
    """Which key of ours the call names in Wechatpay-Serial."""

    @property
    def world(self) -> PayWorld:
        """The platform's state."""
        return self.pay.world

    @property
    def partner(self) -> bool:
        """Whether the address is one of the partner mode."""
        return bool(self.parts.get("partner"))


@dataclass(frozen=True)
class Call:
    """An operation: its method, address and answer. None answers 204, bytes are an unsigned file."""

    name: str
    method: str
    path: str
    answer: Callable[[Received], dict[str, Any] | bytes | None]


def _refund(ask: Received) -> dict[str, Any]:
    return ask.pay.refund(ask.content)


def _abnormal(ask: Received) -> dict[str, Any]:
    refund = refunds.apply_abnormal(ask.world, ask.parts["refund_id"], ask.content, ask.serial)
    ask.pay.begin(refund)
    return refunds.shown(refund)


def _certificates(ask: Received) -> dict[str, Any]:
    return {
        "data": [
            {
                "serial_no": each.serial,
                "effective_time": beijing(GOOD_FROM),
                "expire_time": beijing(GOOD_UNTIL),
                "encrypt_certificate": seal(ask.world.api_v3_key, each.pem, "certificate"),
            }
            for each in ask.world.keys.listed
        ]
    }


_ORDERS = r"/v3/pay/(?P<partner>partner/)?transactions"
_REFUNDS = r"/v3/refund/domestic/refunds"
CALLS = (
    Call("place", "POST", _ORDERS + "/jsapi", lambda a: orders.place(a.world, a.content, partner=a.partner)),
    Call(
        "query",
        "GET",
        _ORDERS + "/out-trade-no/(?P<number>[^/]+)",
        lambda a: orders.query(a.world, a.query, partner=a.partner, number=a.parts["number"]),
    ),
    Call(
        "query",
        "GET",
        _ORDERS + "/id/(?P<transaction_id>[^/]+)",
        lambda a: orders.query(a.world, a.query, partner=a.partner, transaction_id=a.parts["transaction_id"]),
    ),
    Call(
        "close",
        "POST",
        _ORDERS + "/out-trade-no/(?P<number>[^/]+)/close",
        lambda a: orders.close(a.world, a.content, partner=a.partner, number=a.parts["number"]),
    ),
    Call("refund", "POST", _REFUNDS, _refund),
    Call(
        "query_refund",
        "GET",
        _REFUNDS + "/(?P<number>[^/]+)",
        lambda a: refunds.query(a.world, a.parts["number"], a.query.get("sub_mchid")),
    ),
    Call("abnormal_refund", "POST", _REFUNDS + "/(?P<refund_id>[^/]+)/apply-abnormal-refund", _abnormal),
    Call("bill", "GET", "/v3/bill/tradebill", lambda a: a.pay.bills.ask(a.world, a.query, a.origin)),
    Call("download", "GET", "/v3/billdownload/file", lambda a: a.pay.bills.fetch(a.world, a.query.get("token", ""))),
    Call("certificates", "GET", "/v3/certificates", _certificates),
)


@route("/v3/{rest:path}", http_method=list(HttpMethod), status_code=200, include_in_schema=False)
async def wechat_pay(
    request: Request[Any, Any, Any], rest: FromPath[str], pay: NamedDependency[PayPlatform]
) -> Response[bytes]:
    """Answer as WeChat Pay does."""
    body = await request.body()
    name, status, answer = "unknown", 200, None
    try:
        name, answer = _answered(pay, request, body)
        status = 204 if answer is None else 200
    except Refusal as refusal:
        name, status, answer = _operation(request) or name, refusal.status, refusal.body()
    pay.world.calls.append((name, status))
    return _signed(pay, answer, status, request.headers.get("wechatpay-serial", ""))


def _signed(pay: PayPlatform, answer: dict[str, Any] | bytes | None, status: int, serial: str) -> Response[bytes]:
    if isinstance(answer, bytes):
        return Response(answer, media_type="application/octet-stream")
    body = b"" if answer is None else msgspec.json.encode(answer)
    response = Response(body, status_code=status, media_type="application/json; charset=utf-8")
    response.headers["Request-ID"] = random_text(32)
    signed = signed_headers(pay.world.keys.for_answer(serial), body, pay.next_answer())
    response.headers.update(join_headers(signed))
    return response


def _target(request: Request[Any, Any, Any]) -> tuple[str, str]:
    raw = request.scope.get("raw_path") or request.url.path.encode()
    path, query = raw.partition(b"?")[0].decode("latin-1"), request.scope["query_string"].decode("latin-1")
    return path, f"{path}?{query}" if query else path


def _found(request: Request[Any, Any, Any]) -> tuple[Call, dict[str, str]] | None:
    path, _ = _target(request)
    for each in CALLS:
        if each.method == request.method and (fits := re.fullmatch(each.path, path)):
            return each, {key: unquote(value or "") for key, value in fits.groupdict().items()}
    return None


def _operation(request: Request[Any, Any, Any]) -> str:
    found = _found(request)
    return found[0].name if found else ""


def _answered(pay: PayPlatform, request: Request[Any, Any, Any], body: bytes) -> tuple[str, Any]:
    headers = request.headers
    if not headers.get("user-agent") or not headers.get("accept"):
        raise Refusal(400, "PARAM_ERROR", "Http头缺少Accept或User-Agent")
    _, target = _target(request)
    check_request(pay.world, headers.get("authorization", ""), method=request.method, target=target, body=body)
    if (found := _found(request)) is None:
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "请求的资源不存在")
    call, parts = found
    serial = headers.get("wechatpay-serial", "")
    if serial.startswith("PUB_KEY_ID_") and serial != public_key_id():
        raise Refusal(400, "PARAM_ERROR", "Wechatpay-Serial有误，公钥ID不存在")
    fault = pay.world.take_fault(call.name)
    if fault is not None and not fault.after:
        raise Refusal(fault.status, fault.code, "由沙箱注入")
    content = _json(headers.get("content-type", ""), body) if request.method == "POST" else {}
    origin = f"{request.url.scheme}://{headers.get('host', '')}"
    answer = call.answer(Received(pay, parts, dict(request.query_params.items()), content, origin, serial))
    if fault is not None:
        raise Refusal(fault.status, fault.code, "由沙箱注入，请求已受理")
    return call.name, answer


def _json(content_type: str, body: bytes) -> dict[str, Any]:
    if not content_type.startswith("application/json"):
        raise wrong("", "Content-Type应为application/json")
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise wrong("", "请求体不是有效的JSON对象")
    return content
