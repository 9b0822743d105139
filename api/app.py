"""The application: doors, problems, limits on what is read, and what opens and closes with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler

from api import agency, callbacks, docs, health, openapi, problems, public, resident, staff
from api.doors import Door
from api.edge import Edge, Span
from api.fast_path import FastPath
from api.partners import provide_partners
from api.requests import StrictRequest
from api.wiring import wire
from backend import cache, cases, database, identity
from backend.partners import partners_from
from backend.settings import settings

FAST_PATHS = {"/v1/resident/cases/{number}": cases.get_own_case_json}
"""Reads that are answered before the router; each has an ordinary handler too."""


@asynccontextmanager
async def _open(app: Litestar) -> AsyncIterator[None]:
    await database.connect()
    await cache.connect()
    app.state["partners"] = partners = partners_from(settings())
    partners.wire.session()  # loads the HTTP client now and not while the first resident signs in
    try:
        async with identity.watch_sessions():
            yield
    finally:
        await partners.close()
        await cache.close()
        await database.close()


def build() -> Litestar:
    """The Litestar application, without the edge."""
    wire()
    doors = Door(
        path="/v1",
        route_handlers=[each.door() for each in (public, resident, staff, agency, callbacks)],
    )
    handlers: list[ControllerRouterHandler] = [doors, health.healthz, health.readyz, health.metrics]
    handlers.append(public.sign_in.well_known_key_set)
    if settings().docs:
        handlers += [docs.openapi_json, docs.page, docs.files]
    config = OpenAPIConfig(
        title=openapi.TITLE,
        version=openapi.VERSION,
        description=openapi.DESCRIPTION,
        path=docs.HIDDEN,
        render_plugins=[docs.NoPage()],
        use_handler_docstrings=False,
    )
    return Litestar(
        route_handlers=handlers,
        lifespan=[_open],
        request_class=StrictRequest,
        dependencies={"partners": Provide(provide_partners, sync_to_thread=False)},
        exception_handlers={Exception: problems.answer},
        openapi_config=config,
        request_max_body_size=settings().body_limit,
        debug=False,
        logging_config=None,
    )


def front(app: Litestar) -> FastPath:
    """The application behind the fast path of its most frequent reads."""
    return FastPath(app, FAST_PATHS)


def application() -> Edge:
    """What `serve` runs."""
    app = build()
    return Edge(front(app), spans_of(app))


def spans_of(app: Litestar) -> Span | None:
    """What opens a span around each request; None when the settings name no collector."""
    if not (endpoint := settings().otlp_endpoint):
        return None
    from api.tracing import Tracing  # only a service with a collector loads OpenTelemetry

    traces = Tracing(endpoint)
    app.on_shutdown.append(traces.close)
    return traces.span
