"""Traces reach a collector when one is named."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
from litestar import Litestar

from api.app import spans_of
from api.edge import Edge
from backend.settings import using


async def test_a_request_becomes_a_span_with_its_route_and_its_parent(app: Litestar):
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with using(otlp_endpoint=f"http://127.0.0.1:{server.server_port}/v1/traces"):
        spans = spans_of(app)
    parent = "0af7651916cd43dd8448eb211c80319c"

    transport = httpx.ASGITransport(app=Edge(app, spans))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://zhangban.test") as client:
        await client.get("/healthz", headers={"traceparent": f"00-{parent}-b7ad6b7169203331-01"})
    app.on_shutdown.pop()()  # type: ignore[call-arg]
    server.shutdown()

    sent = b"".join(received)
    assert b"GET /healthz" in sent
    assert bytes.fromhex(parent) in sent


async def test_without_a_collector_nothing_is_traced(app: Litestar):
    before = list(app.on_shutdown)
    assert spans_of(app) is None
    assert app.on_shutdown == before
