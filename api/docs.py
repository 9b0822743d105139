"""The documentation page: Swagger UI from a package, because a government network may reach no CDN."""

from __future__ import annotations

from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.static_files import create_static_files_router

from api.openapi import describe

FOLDER = Path(__file__).parent / "static" / "docs"
"""The page, its style and the script that starts it."""
SWAGGER_UI = Path(str(resources("litestar_offline_docs"))) / "static"
"""The scripts of the package that carries Swagger UI."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HIDDEN = "/openapi"
"""Litestar insists on a router of its own for its description; it is not where anyone is sent."""


@get(
    "/openapi.json",
    tags=["运行"],
    summary="本接口的 OpenAPI 3.1 描述",
    operation_id="openapi",
    sync_to_thread=False,
)
def openapi_json(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The completed description."""
    return Response(
        describe(request.app), media_type="application/json", headers={"Cache-Control": "public, max-age=60"}
    )


@get("/docs", include_in_schema=False, sync_to_thread=False)
def page() -> Response[bytes]:
    """The page itself; it loads its scripts and styles from /docs/files."""
    return Response(
        (FOLDER / "index.html").read_bytes(),
        media_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": _POLICY, "X-Frame-Options": "DENY", "Cache-Control": "no-cache"},
    )


files = create_static_files_router(path="/docs/files", directories=[FOLDER, SWAGGER_UI], include_in_schema=False)


class NoPage(OpenAPIRenderPlugin):
    """Keeps Litestar from adding pages that load scripts from a CDN."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The same description, where Litestar's own tools look for it."""
        return describe(request.app)
