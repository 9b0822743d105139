"""The addresses of the four couriers and what stands behind each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from backend.partners.courier.sandbox.labels import label
from backend.partners.courier.sandbox.platform import Couriers
from backend.partners.courier.sandbox.sf import label_token
from backend.partners.courier.sandbox.world import Partner

OPERATIONS = {
    "EXP_RECE_CREATE_ORDER": "order",
    "EXP_RECE_SEARCH_ORDER_RESP": "find",
    "EXP_RECE_UPDATE_ORDER": "cancel",
    "COM_RECE_CLOUD_PRINT_WAYBILLS": "label",
    "EXP_RECE_SEARCH_ROUTES": "query",
    "020003": "order",
    "020006": "cancel",
    "010004": "label",
    "040001": "query",
    "1008": "subscribe",
    "8008": "subscribe",
    "1002": "query",
    "8001": "query",
    "8002": "query",
}
"""What a call is named in `calls` and in refusals."""
FORM = "application/x-www-form-urlencoded"
Fields = dict[str, str]
Said = dict[str, Any]


def courier_handlers(couriers: Couriers) -> list[HTTPRouteHandler]:
    """The route handlers that answer as the couriers do."""

    async def heard(
        request: Request[Any, Any, Any], partner: Partner, named: str, work: Callable[[Fields], Awaitable[Said]]
    ) -> Said:
        fields = await _form(request)
        operation = named or OPERATIONS.get(_asked(fields), "unknown")
        refusal = couriers.world.take_refusal(partner, operation)
        answer = await work(fields) if refusal is None or refusal.after else {}
        answer = answer if refusal is None else couriers.refused(refusal)
        couriers.world.calls.append((partner, operation, _code(answer)))
        return answer

    async def subscribed(fields: Fields) -> Said:
        return couriers.kuaidi100.subscribe(fields)

    async def queried(fields: Fields) -> Said:
        return couriers.kuaidi100.query(fields)

    async def birds(fields: Fields) -> Said:
        return couriers.kdniao.call(fields)

    @post("/couriers/kuaidi100/poll", status_code=200, include_in_schema=False)
    async def poll(request: Request[Any, Any, Any]) -> Said:
        return await heard(request, "kuaidi100", "subscribe", subscribed)

    @post("/couriers/kuaidi100/poll/query.do", status_code=200, include_in_schema=False)
    async def query(request: Request[Any, Any, Any]) -> Said:
        return await heard(request, "kuaidi100", "query", queried)

    @post("/couriers/sf/std/service", status_code=200, include_in_schema=False)
    async def sf(request: Request[Any, Any, Any]) -> Said:
        return await heard(request, "sf", "", couriers.sf.call)

    @post("/couriers/ems/amp/api/open", status_code=200, include_in_schema=False)
    async def ems(request: Request[Any, Any, Any]) -> Said:
        return await heard(request, "ems", "", couriers.ems.call)

    @post("/couriers/kdniao/api/dist", status_code=200, include_in_schema=False)
    async def kdniao(request: Request[Any, Any, Any]) -> Said:
        return await heard(request, "kdniao", "", birds)

    @get("/couriers/labels/{name:str}", include_in_schema=False)
    async def printed(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        parcel = couriers.world.parcels.get(name.removesuffix(".pdf"))
        if parcel is None:
            return Response(b"", status_code=404, media_type="text/plain")
        if parcel.by == "sf" and request.headers.get("X-Auth-token") != label_token(parcel.waybill):
            return Response(b"", status_code=401, media_type="text/plain")
        return Response(label(parcel), media_type="application/pdf")

    return [poll, query, sf, ems, kdniao, printed]


async def _form(request: Request[Any, Any, Any]) -> Fields:
    """The fields, each once; nothing when it is no form in UTF-8, which none of them reads."""
    kind, _, charset = request.headers.get("content-type", "").lower().partition(";")
    if kind.strip() != FORM or charset.strip() not in ("", "charset=utf-8"):
        return {}
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return {}
    return dict(pairs) if len(dict(pairs)) == len(pairs) else {}


def _asked(fields: Fields) -> str:
    return fields.get("serviceCode") or fields.get("apiCode") or fields.get("RequestType") or ""


def _code(answer: Said) -> str:
    for name in ("returnCode", "retCode", "apiResultCode", "status"):
        if isinstance(answer.get(name), str):
            return str(answer[name])
    return "ok" if answer.get("Success") else "refused"
