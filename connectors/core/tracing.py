"""The W3C trace context that goes out with calls, where tracing is on."""

from __future__ import annotations

from contextvars import ContextVar

PARENT: ContextVar[str] = ContextVar("traceparent", default="")
"""``traceparent`` of the attempt under way; empty: nothing is told to the system that is called."""
HEADER = "traceparent"
