"""The addresses of the couriers and what stands behind each."""

from __future__ import annotations

import inspect
from typing import Any
from urllib.parse import parse_qsl

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from backend.partners.courier.sandbox.desk import Answer, Fields
from backend.partners.courier.sandbox.labels import label
from backend.partners.courier.sandbox.platform import Couriers

FORM = "application/x-www-form-urlencoded"


class CourierAddresses(Controller):
    """Answers as the couriers do."""

    path = "/couriers"
    include_in_schema = False

    @post("/{name:str}/{path:path}", status_code=200)
    async def call(
        self,
        request: Request[Any, Any, Any],
        name: FromPath[str],
        path: FromPath[str],
        couriers: NamedDependency[Couriers],
    ) -> Answer:
        desk = couriers.desks.get(name)
        work = desk.calls().get(path) if desk is not None else None
        if desk is None or work is None:
            raise NotFoundException
        fields = await _form(request)
        operation = desk.operation(path, fields)
        refusal = couriers.world.next_refusal(name, operation)
        answer: Answer = {}
        if refusal is None or refusal.after:
            done = work(fields)
            answer = await done if inspect.isawaitable(done) else done
        if refusal is not None:
            answer = desk.refused(refusal.code, refusal.message)
        couriers.world.calls.append((name, operation, desk.code(answer)))
        return answer

    @get("/labels/{name:str}")
    async def print_label(
        self, request: Request[Any, Any, Any], name: FromPath[str], couriers: NamedDependency[Couriers]
    ) -> Response[bytes]:
        parcel = couriers.world.parcels.get(name.removesuffix(".pdf"))
        if parcel is None:
            return Response(b"", status_code=404, media_type="text/plain")
        if parcel.by is not None and not couriers.desks[parcel.by].may_print(parcel, request.headers):
            return Response(b"", status_code=401, media_type="text/plain")
        return Response(label(parcel), media_type="application/pdf")


async def _form(request: Request[Any, Any, Any]) -> Fields:
    """The fields, each once; empty for a body that is no form in UTF-8, which no courier reads."""
    kind, _, charset = request.headers.get("content-type", "").lower().partition(";")
    if kind.strip() != FORM or charset.strip() not in ("", "charset=utf-8"):
        return {}
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return {}
    return dict(pairs) if len(dict(pairs)) == len(pairs) else {}
