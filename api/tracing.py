"""OpenTelemetry traces, when `otlp_endpoint` names a collector. Spans carry routes and codes, never values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from litestar.types import HTTPScope
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from backend import logs

_propagator = TraceContextTextMapPropagator()


class Tracing:
    """One provider per process; `close` sends what is still waiting."""

    def __init__(self, endpoint: str) -> None:
        self.provider = TracerProvider(resource=Resource.create({"service.name": "zhangban"}))
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self.tracer = trace.get_tracer("zhangban", tracer_provider=self.provider)

    @contextmanager
    def span(self, scope: HTTPScope) -> Iterator[None]:
        """A span around one request, child of the caller's if it sent `traceparent`."""
        carrier = {
            n.decode("latin-1"): v.decode("latin-1")
            for n, v in scope["headers"]
            if n in {b"traceparent", b"tracestate"}
        }
        method = str(scope["method"])
        with self.tracer.start_as_current_span(
            method, context=_propagator.extract(carrier), kind=SpanKind.SERVER, record_exception=False
        ) as span:
            try:
                yield
            finally:
                route = str(scope.get("path_template") or "-")
                span.update_name(f"{method} {route}")
                span.set_attributes(
                    {
                        "http.request.method": method,
                        "http.route": route,
                        "zhangban.request_id": logs.request_id.get(),
                    }
                )

    def close(self) -> None:
        """Send the spans that wait, then stop."""
        self.provider.shutdown()
