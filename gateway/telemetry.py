"""What the hub says about itself: JSON logs without secrets, and one /metrics for all its processes.

Logs go to stderr, one JSON object a line, with ``event_id`` and ``delivery_id`` when they are bound through
``structlog.contextvars``. Every value passes :func:`redact` on its way out, from our code and from every
library's logger alike. Metrics of several processes meet in ``settings.metrics_dir``; the environment
variable that turns this on must be set before ``prometheus_client`` is first imported, which the supervisor
does for its children.
"""

from __future__ import annotations

import logging
import logging.config
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import orjson
import structlog
from prometheus_client import REGISTRY, CollectorRegistry, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway import settings

HIDDEN = "***"

_SECRET_NAME = re.compile(
    r"(?:^|[_.\-])(?:(?:secret|passw(?:or)?d|passwd|pwd|token|cookie|authorization|credential|session|ticket)s?"
    r"|(?:app|api|access|private|aes|encoding_?aes|signing)_?key|sign|signature|appsecret|corpsecret)(?:$|[_.\-])",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# In text, a name with its value: a query string, JSON, a Python repr, a header line.
_PAIR = re.compile(
    r"(?P<name>(?:[A-Za-z0-9_\-]*(?:secret|passwd|password|pwd|token|session|authorization|cookie|app_?key|api_?key"
    r"|access_?key|private_?key|aes_?key)|\b(?:sign|signature|msg_signature|ticket)|(?<=[?&])code)"
    r"[\"']?\s*(?:=|:)\s*[\"']?)(?P<scheme>(?:Bearer|Basic)\s+)?(?P<value>[^\s\"'&,;}\])]{4,})",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/=._\-]{8,}")
_PHONE = re.compile(r"(?<![0-9A-Za-z.])((?:\+?86[\- ]?)?1[3-9]\d)\d{4}(\d{4})(?![0-9A-Za-z])")

_known: set[str] = set()
_known_pattern: re.Pattern[str] | None = None


def conceal(*values: str) -> None:
    """Remember literal secrets (of connections, the master key): they never appear in a log line.

    Values shorter than six characters are left out, since they would blot out ordinary words.
    """
    global _known_pattern
    _known.update(value for value in values if len(value) >= 6)
    if _known:
        _known_pattern = re.compile("|".join(re.escape(value) for value in sorted(_known, key=len, reverse=True)))


def redact(value: Any, name: str = "") -> Any:
    """The same value without secrets and with phone numbers masked (138****8000); containers too."""
    if name and isinstance(value, (str, bytes)) and value and _SECRET_NAME.search(_CAMEL.sub("_", name)):
        return HIDDEN
    if isinstance(value, str):
        return _redact_text(value)
    if isinstance(value, bytes):
        return _redact_text(value.decode("utf-8", "replace"))
    if isinstance(value, dict):
        return {redact(key): redact(inner, key if isinstance(key, str) else "") for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact(inner, name) for inner in value]
    if value is None or isinstance(value, (bool, int, float)):
        return _redact_text(str(value)) if type(value) is int and value > 10_000_000_000 else value
    return _redact_text(str(value))


def _redact_text(text: str) -> str:
    if _known_pattern is not None:
        text = _known_pattern.sub(HIDDEN, text)
    if len(text) < 8:
        return text
    if "=" in text or ":" in text:
        text = _PAIR.sub(rf"\g<name>{HIDDEN}", text)
        text = _USERINFO.sub(f"{HIDDEN}:{HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return _PHONE.sub(r"\1****\2", text)


def _redaction(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: redact(value, key) for key, value in event.items()}


def _json(event: MutableMapping[str, Any], **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure(level: str = "INFO", style: str = "json") -> None:
    """Set up logging of this process, ours and every library's; call once, before the first log line.

    ``style`` is ``json`` or ``console`` (for people). uvicorn's access log is off: the hub counts requests
    in metrics, and paths may carry tokens.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,
        _redaction,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if style == "console"
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "shuniu": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
                    "foreign_pre_chain": [structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *shared],
                }
            },
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "shuniu", "stream": "ext://sys.stderr"}
            },
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {
                "uvicorn": {"handlers": [], "propagate": True, "level": level},
                "uvicorn.access": {"handlers": [], "propagate": False},
                "uvicorn.error": {"handlers": [], "propagate": True},
                # At INFO these write request addresses, tokens in the query included.
                **{name: {"level": "WARNING"} for name in ("httpx", "httpcore", "aiohttp.access", "arq", "websockets")},
            },
        }
    )


# --- metrics ------------------------------------------------------------------------------------


class Snapshot(Collector):
    """Gauges that come from the ledger: refreshed by a task from time to time, only read at a scrape.

    A scrape thus never waits for the database, and ``shuniu_snapshot_age_seconds`` tells how old the
    numbers are.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._families: list[Metric] = []
        self._at: float | None = None
        self._clock = clock

    def replace(self, families: Iterable[Metric]) -> None:
        """Put a whole new set in place of the old one."""
        self._families = list(families)
        self._at = self._clock()

    def collect(self) -> Iterator[Metric]:
        """Called by the exposition."""
        yield from self._families
        if self._at is not None:
            age = max(0.0, self._clock() - self._at)
            yield gauge("shuniu_snapshot_age_seconds", "Age of the gauges read from the ledger.", {(): age})


def gauge(
    name: str, text: str, samples: dict[tuple[str, ...], float], labels: tuple[str, ...] = ()
) -> GaugeMetricFamily:
    """One gauge family for a :class:`Snapshot`: ``samples`` maps label values to numbers."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in samples.items():
        family.add_metric(values, number)
    return family


class _Build(Collector):
    def __init__(self, version: str) -> None:
        self._version = version

    def collect(self) -> Iterator[Metric]:
        values = (self._version, platform.python_version())
        yield gauge("shuniu_build_info", "Version of the hub; always 1.", {values: 1.0}, ("version", "python"))


def exposition(
    metrics_dir: Path | None, accept: str = "", collectors: Iterable[Collector] = (), version: str = ""
) -> tuple[bytes, str]:
    """The body and content type of /metrics: all processes of ``metrics_dir`` together, plus ``collectors``.

    Without ``metrics_dir`` (a process on its own, tests) the metrics of this process. Reads files: call it
    in a thread. ``accept`` is the request's Accept header.
    """
    registry = CollectorRegistry(auto_describe=False)
    if metrics_dir is not None:
        multiprocess.MultiProcessCollector(registry, path=str(metrics_dir))  # type: ignore[no-untyped-call]
    else:
        registry.register(_Forward(REGISTRY))
    if version:
        registry.register(_Build(version))
    for collector in collectors:
        registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Forward(Collector):
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()


def wipe(metrics_dir: Path) -> None:
    """Forget the metrics of the previous run; only its own ``*.db`` files are removed."""
    settings.private_dir(metrics_dir)
    for file in metrics_dir.glob("*.db"):
        file.unlink(missing_ok=True)


def mark_dead(metrics_dir: Path, pid: int) -> None:
    """Drop the live gauges of a process that has ended; its counters stay, since they happened."""
    multiprocess.mark_process_dead(pid, str(metrics_dir))  # type: ignore[no-untyped-call]
