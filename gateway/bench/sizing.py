"""How many processes, cores and disks a rate of events wants: plain arithmetic over figures that were measured.

Nothing here was run at these rates. What is measured is in ``MEASURED``, each with how; everything else follows from
it by multiplication, and assumes that cost per event stays what it was, which ``shuniu growth`` is about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from retry_queue.ledger import partitions

DAY = 86400


@dataclass(frozen=True, slots=True)
class Measured:
    """One event is one push of 1.9 KB with one delivery."""

    ingress_per_s: float
    """Acknowledged by one API process, saturated (``shuniu bench``: ``ingress.per_s``)."""
    worker_per_s: float
    """Planned and delivered by one worker process, saturated (``shuniu bench``: ``end_to_end.per_s``)."""
    postgres_us: float
    """CPU of PostgreSQL per event, the whole way, in a history of 10 M events (``shuniu growth``)."""
    going_bytes: float
    """What an event leaves in partitioned tables, indexes included, without its bodies (``shuniu growth``)."""
    staying_bytes: float
    """What it leaves in the others, whose rows stay for good: inbox, deliveries, half a record."""
    body_bytes: float = 3800.0
    """The bench's order as it came and as it was mapped, uncompressed."""
    api_mib: float = 70.0
    worker_mib: float = 75.0


@dataclass(frozen=True, slots=True)
class Rules:
    """How full things may be, and how big one machine is."""

    load: float = 0.6
    """Of what was measured at saturation: the rest is for bursts and for one machine that is away."""
    server_cores: int = 32
    """Of the largest PostgreSQL server that is thought of."""
    pool: int = 10
    """Connections that a process keeps."""
    keep_days: int = 30
    """Retention of bodies."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a rate wants. ``ledgers``: PostgreSQL primaries, each with its hub and its share of the connections."""

    per_s: int
    api: int
    workers: int
    postgres_cores: int
    ledgers: int
    connections: int
    mb_per_s: float
    tib_per_day: float
    tib_kept: float
    tib_staying_a_year: float
    partitions_per_day: float


MEASURED = Measured(ingress_per_s=2926.0, worker_per_s=880.0, postgres_us=332.0, going_bytes=447.0, staying_bytes=594.0)
"""Four shared cores, 2026-11-22; the bench's figures are those of the README."""


def size(per_s: int, measured: Measured = MEASURED, rules: Rules = Rules()) -> Size:
    """What ``per_s`` events a second want, all day; pure."""
    api = math.ceil(per_s / (measured.ingress_per_s * rules.load))
    workers = math.ceil(per_s / (measured.worker_per_s * rules.load))
    cores = math.ceil(per_s * measured.postgres_us / 1e6 / rules.load)
    ledgers = math.ceil(cores / rules.server_cores)
    going = per_s * (measured.going_bytes + measured.body_bytes)
    staying = per_s * measured.staying_bytes
    return Size(
        per_s=per_s,
        api=api,
        workers=workers,
        postgres_cores=cores,
        ledgers=ledgers,
        connections=(api + workers) * rules.pool,
        mb_per_s=(going + staying) / 1e6,
        tib_per_day=(going + staying) * DAY / 2**40,
        tib_kept=going * DAY * rules.keep_days / 2**40,
        tib_staying_a_year=staying * DAY * 365 / 2**40,
        partitions_per_day=per_s * DAY / ledgers / partitions.LARGEST,
    )


def rows(rates: tuple[int, ...] = (100, 1_000, 10_000, 100_000)) -> list[str]:
    """The table of docs/scaling.md, a line per rate."""
    heads = (
        "events/s", "API processes", "worker processes", "PostgreSQL cores", "ledgers", "connections", "written MB/s",
        "TiB a day", "TiB kept", "TiB a year that stays", "partitions a day and ledger",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", f"|{' ---: |' * len(heads)}"]
    for one in map(size, rates):
        cells = (
            f"{one.per_s:,}", f"{one.api:,}", f"{one.workers:,}", f"{one.postgres_cores:,}", f"{one.ledgers:,}",
            f"{one.connections:,}", f"{one.mb_per_s:,.1f}", f"{one.tib_per_day:,.2f}", f"{one.tib_kept:,.1f}",
            f"{one.tib_staying_a_year:,.1f}",
            f"{one.partitions_per_day:,.1f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines
