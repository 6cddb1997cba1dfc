"""Who does the work of a command that takes a while: a running hub when there is one, else this process."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from connectors.core import client
from gateway import problems
from gateway.commands import shell
from retry_queue import append, backfill, credentials, pacer, reconcile
from retry_queue.ledger import workers
from retry_queue.sync import site as sites

LOOK = 0.2
ALIVE = 10.0
"""Seconds since its last heartbeat within which a process counts as there."""


@dataclass(slots=True)
class Hands:
    """Who does the work: this process when no other is there, else nobody here."""

    hub: shell.Opened
    site: sites.Site
    own: tuple[client.Client, append.Appender] | None
    comparing: reconcile.Reconciler | None = None
    history: backfill.Backfiller | None = None

    def compare(self, number: int) -> None:
        """Takes one comparison on."""
        if self.own is not None:
            calls, appender = self.own
            ledger, sealer = self.hub.ledger, self.hub.sealer
            self.comparing = reconcile.Reconciler(ledger, lambda: self.site, calls, sealer, appender, number)

    def read(self, number: int) -> None:
        """Takes one backfill on."""
        if self.own is not None:
            calls, appender = self.own
            self.history = backfill.Backfiller(self.hub.ledger, lambda: self.site, calls, appender, number)

    async def step(self) -> None:
        if self.comparing is not None:
            await self.comparing.step()
        if self.history is not None:
            await self.history.step()
        await asyncio.sleep(LOOK)


@asynccontextmanager
async def opened(hub: shell.Opened) -> AsyncIterator[Hands]:
    site = await sites.load(hub.ledger, hub.sealer)
    async with hub.ledger.read() as db:
        there = await workers.alive(db, ALIVE) - {"api"}
    if there:
        yield Hands(hub, site, None)
        return
    paced = pacer.SharedPacer(hub.ledger, None)  # no other process is there; bans it left are kept
    calls = client.Client(credentials.LedgerTokens(hub.ledger, hub.sealer), paced)
    appender = append.Appender(hub.ledger, lambda: None)
    made = Hands(hub, site, (calls, appender))
    with _plainly():
        try:
            yield made
        finally:
            if made.comparing is not None:
                await made.comparing.close()
            if made.history is not None:
                await made.history.close()
            await appender.close()
            await calls.aclose()


@contextmanager
def _plainly() -> Iterator[None]:
    """The log goes to stderr, and only what went wrong: stdout is for the result."""
    before = structlog.get_config()
    least = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=least, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)


def bar(title: str) -> Progress:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[said]}"))
    made = Progress(*columns, console=shell.err, disable=not shell.err.is_terminal, transient=True)
    made.add_task(title, total=1.0, said="")
    return made


def moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        example = "2026-01-31 / 2026-01-31T08:00:00+08:00"
        raise shell.fail(f"{option} 应为 {example}", f"{option} is a time such as {example}") from None
    return found if found.tzinfo else found.astimezone()


def refused(error: problems.Problem) -> typer.Exit:
    for fault in error.faults:
        shell.say(fault.zh, fault.en)
    if not error.faults:
        shell.say(error.zh or "", error.en or "")
    return typer.Exit(2)


def iso(seconds: float) -> str:
    """Unix seconds as people and programs read them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
