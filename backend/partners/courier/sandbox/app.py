"""The addresses of the four couriers and what stands behind each."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
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


class CourierAddresses(Controller):
    """Answers as the couriers do."""

    path = "/couriers"
    include_in_schema = False

    @post("/kuaidi100/poll", status_code=200)
    async def subscribe(self, request: Request[Any, Any, Any], couriers: NamedDependency[Couriers]) -> Said:
        return await _heard(couriers, request, "kuaidi100", couriers.kuaidi100.subscribe, named="subscribe")

    @post("/kuaidi100/poll/query.do", status_code=200)
    async def query(self, request: Request[Any, Any, Any], couriers: NamedDependency[Couriers]) -> Said:
        return await _heard(couriers, request, "kuaidi100", couriers.kuaidi100.query, named="query")

    @post("/sf/std/service", status_code=200)
    async def sf(self, request: Request[Any, Any, Any], couriers: NamedDependency[Couriers]) -> Said:
        return await _heard(couriers, request, "sf", couriers.sf.call)

    @post("/ems/amp/api/open", status_code=200)
    async def ems(self, request: Request[Any, Any, Any], couriers: NamedDependency[Couriers]) -> Said:
        return await _heard(couriers, request, "ems", couriers.ems.call)

    @post("/kdniao/api/dist", status_code=200)
    async def kdniao(self, request: Request[Any, Any, Any], couriers: NamedDependency[Couriers]) -> Said:
        return await _heard(couriers, request, "kdniao", couriers.kdniao.call)

    @get("/labels/{name:str}")
    async def printed(
        self, request: Request[Any, Any, Any], name: FromPath[str], couriers: NamedDependency[Couriers]
    ) -> Response[bytes]:
        parcel = couriers.world.parcels.get(name.removesuffix(".pdf"))
        if parcel is None:
            return Response(b"", status_code=404, media_type="text/plain")
        if parcel.by == "sf" and request.headers.get("X-Auth-token") != label_token(parcel.waybill):
            return Response(b"", status_code=401, media_type="text/plain")
        return Response(label(parcel), media_type="application/pdf")


async def _heard(
    couriers: Couriers,
    request: Request[Any, Any, Any],
    partner: Partner,
    work: Callable[[Fields], Said | Awaitable[Said]],
    *,
    named: str = "",
) -> Said:
    fields = await _form(request)
    operation = named or OPERATIONS.get(_asked(fields), "unknown")
    refusal = couriers.world.take_refusal(partner, operation)
    answer: Said = {}
    if refusal is None or refusal.after:
        done = work(fields)
        answer = await done if inspect.isawaitable(done) else done
    answer = answer if refusal is None else couriers.refused(refusal)
    couriers.world.calls.append((partner, operation, _code(answer)))
    return answer


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
