"""Spans: one per hook call, per event and per attempt, for whoever wants them. Off unless somebody listens.

An event's trace id is its ``trace`` in the ledger, so nothing more is stored: the spans of one event find each other
however many processes and days lie between them. Ids of spans that others refer to follow from what they are.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["server", "internal", "client"]

_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_NOBODY = ("0" * 32, "0" * 16)


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time. ``began``: Unix seconds; ``trace`` 32 and ``id`` 16 hex digits.

    ``links``: (trace, span) of others that belong to it without being above it.
    """

    name: str
    kind: Kind
    trace: str
    id: str
    began: float
    seconds: float
    parent: str | None = None
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    failure: str | None = None


Listener = Callable[[Span], None]
_listener: list[Listener] = []


def listen(listener: Listener | None) -> None:
    """Spans go to ``listener`` from now on; None ends that."""
    _listener[:] = [listener] if listener is not None else []


def on() -> bool:
    """Whether anybody listens: what only a span needs is not made otherwise."""
    return bool(_listener)


def tell(span: Span) -> None:
    """Hands a span over."""
    for one in _listener:
        one(span)


def root(trace: str) -> str:
    """The span of an event itself, which its attempts lie under."""
    return hashlib.sha256(trace.encode()).hexdigest()[:16]


def fresh() -> str:
    """The id of a span that nothing refers to beforehand."""
    return secrets.token_hex(8)


def header(trace: str, span: str) -> str:
    """``traceparent`` as it is told to a system that is called."""
    return f"00-{trace}-{span}-01"


def told(value: str) -> tuple[str, str] | None:
    """The (trace, span) of a ``traceparent`` that came with a call; None when it is none of this form."""
    found = _PARENT.fullmatch(value.strip().lower())
    if found is None or found[1] == _NOBODY[0] or found[2] == _NOBODY[1]:
        return None
    return found[1], found[2]
