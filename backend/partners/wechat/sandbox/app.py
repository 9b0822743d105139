"""The addresses of api.weixin.qq.com and what stands behind each."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import HttpMethod, Request, Response, route
from litestar.di import NamedDependency

from backend.partners.wechat.port import Account
from backend.partners.wechat.sandbox import accounts, codes, messages, parcels
from backend.partners.wechat.sandbox.errors import Errcode
from backend.partners.wechat.sandbox.pushing import EventSender
from backend.partners.wechat.sandbox.world import App, World

Answer = dict[str, Any] | bytes


@dataclass(frozen=True)
class Ask:
    """One request, read: `app` is the account whose token it carries, if the call needs one."""

    world: World
    pusher: EventSender
    app: App
    query: dict[str, str]
    content: dict[str, Any]


@dataclass(frozen=True)
class Call:
    """An address: its method, whose token it needs (None: none), and its answer."""

    method: str
    account: Account | None
    answer: Callable[[Ask], Answer | Awaitable[Answer]]


CALLS: dict[str, Call] = {
    "/cgi-bin/stable_token": Call("POST", None, lambda a: accounts.stable_token(a.world, a.content)),
    "/sns/jscode2session": Call("GET", None, lambda a: accounts.code_to_session(a.world, a.query)),
    "/wxa/checksession": Call("GET", "mini_program", lambda a: accounts.check_session(a.world, a.query)),
    "/wxa/resetusersessionkey": Call("GET", "mini_program", lambda a: accounts.reset_session(a.world, a.query)),
    "/wxa/business/getuserphonenumber": Call(
        "POST", "mini_program", lambda a: accounts.phone_number(a.world, a.app, a.content)
    ),
    "/cgi-bin/user/info": Call("GET", "official_account", lambda a: accounts.user_info(a.world, a.query)),
    "/cgi-bin/message/subscribe/send": Call(
        "POST", "mini_program", lambda a: messages.send_subscribe(a.world, a.pusher, a.app, a.content)
    ),
    "/cgi-bin/message/template/send": Call(
        "POST", "official_account", lambda a: messages.send_template(a.world, a.pusher, a.app, a.content)
    ),
    "/wxaapi/newtmpl/gettemplate": Call("GET", "mini_program", lambda a: messages.template_list(a.app)),
    "/wxa/getwxacodeunlimit": Call("POST", "mini_program", lambda a: codes.code_unlimited(a.world, a.content)),
    "/cgi-bin/express/delivery/open_msg/trace_waybill": Call(
        "POST", "mini_program", lambda a: parcels.trace_waybill(a.world, a.content)
    ),
    "/cgi-bin/express/delivery/open_msg/query_trace": Call(
        "POST", "mini_program", lambda a: parcels.query_trace(a.world, a.content)
    ),
    "/wxa/msg_sec_check": Call("POST", "mini_program", lambda a: codes.text_check(a.world, a.content)),
}


@route(sorted(CALLS), http_method=[HttpMethod.GET, HttpMethod.POST], status_code=200, include_in_schema=False)
async def wechat(
    request: Request[Any, Any, Any], world: NamedDependency[World], pusher: NamedDependency[EventSender]
) -> Response[Any]:
    """Answer as WeChat does."""
    try:
        answer = await _answered(world, pusher, request)
    except Errcode as refusal:
        answer = refusal.body()
    if isinstance(answer, bytes):
        return Response(answer, media_type="image/png")
    return Response(msgspec.json.encode(answer), media_type="application/json; encoding=utf-8")


async def _answered(world: World, pusher: EventSender, request: Request[Any, Any, Any]) -> Answer:
    entry = CALLS[request.url.path]
    if request.method != entry.method:
        raise Errcode(43002 if entry.method == "POST" else 43001, f"require {entry.method} method")
    query = dict(request.query_params.items())
    app = world.mini_program
    if entry.account is not None:
        app = world.app_with_token(query.get("access_token", ""), entry.account)
    content = _json(await request.body()) if entry.method == "POST" else {}
    answer = entry.answer(Ask(world, pusher, app, query, content))
    return await answer if inspect.isawaitable(answer) else answer


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise Errcode(47001, "data format error")
    return content
