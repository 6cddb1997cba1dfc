"""OpenTelemetry: spans of ``retry_queue.tracing`` to a collector by OTLP over HTTP. Off without ``OTLP_ENDPOINT``.

The packages are imported only then: a hub without tracing carries none of their memory. Sampling is decided by the
trace id, so all processes keep or drop the same traces.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gateway import __version__, settings
from retry_queue import tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_SECOND = 1_000_000_000
_WHOLE = 16**8


@contextmanager
def exported(config: settings.Settings, role: str) -> Iterator[None]:
    """Sends spans to the collector while the block runs, what is left at its end too.

    Raises settings.Unusable when the packages are not there.
    """
    if not config.otlp_endpoint:
        yield
        return
    try:
        exporter = _Exporter(config, role)
    except ImportError as error:
        raise settings.Unusable(
            f"设置了 SHUNIU_OTLP_ENDPOINT，但缺少软件包（{error.name}）；请安装 shuniu[otel]",
            f"SHUNIU_OTLP_ENDPOINT is set, but a package is missing ({error.name}): install shuniu[otel]",
        ) from None
    tracing.listen(exporter.take)
    try:
        yield
    finally:
        tracing.listen(None)
        exporter.close()


class _Exporter:
    """Turns spans into OpenTelemetry's and hands them to its batching exporter, which has a thread of its own."""

    def __init__(self, config: settings.Settings, role: str) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk import resources
        from opentelemetry.sdk import trace as sdk
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.util import instrumentation

        self._api, self._sdk = trace, sdk
        self._kept = int(config.trace_ratio * _WHOLE)
        told = {"service.name": "shuniu", "service.version": __version__, "shuniu.role": config.instance or role}
        self._resource = resources.Resource(told)
        self._scope = instrumentation.InstrumentationScope("shuniu", __version__)
        self._out = BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{config.otlp_endpoint}/v1/traces", timeout=10))

    def take(self, span: tracing.Span) -> None:
        """One span; dropped when its trace is not sampled."""
        if int(span.trace[:8], 16) < self._kept:
            self._out.on_end(self._made(span))

    def close(self) -> None:
        """Sends what waits, for a few seconds at most."""
        self._out.force_flush(5000)
        self._out.shutdown()  # type: ignore[no-untyped-call]

    def _context(self, trace_id: str, span_id: str) -> Any:
        flags = self._api.TraceFlags(self._api.TraceFlags.SAMPLED)
        return self._api.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=flags)

    def _made(self, span: tracing.Span) -> ReadableSpan:
        kinds = {
            "server": self._api.SpanKind.SERVER,
            "internal": self._api.SpanKind.INTERNAL,
            "client": self._api.SpanKind.CLIENT,
        }
        status = self._api.Status(self._api.StatusCode.UNSET)
        if span.failure is not None:
            status = self._api.Status(self._api.StatusCode.ERROR, span.failure)
        return self._sdk.ReadableSpan(
            name=span.name,
            context=self._context(span.trace, span.id),
            parent=self._context(span.trace, span.parent) if span.parent else None,
            resource=self._resource,
            attributes=dict(span.attributes),
            links=[self._api.Link(self._context(*one)) for one in span.links],
            kind=kinds[span.kind],
            status=status,
            start_time=int(span.began * _SECOND),
            end_time=int((span.began + max(span.seconds, 0.0)) * _SECOND),
            instrumentation_scope=self._scope,
        )
