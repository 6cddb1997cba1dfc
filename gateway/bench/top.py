"""Ceiling F as the bench runs it: its processes, and its tables made anew; it is held still while others run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import asyncpg

from gateway.bench import ceiling, target
from gateway.trial import processes

PATH = "/hook"
_MODULE = "gateway.bench.ceiling"


class Top:
    """The minimal pipeline on a database of its own."""

    def __init__(self, database: str, sink: int) -> None:
        self._database = database.replace("postgresql+asyncpg", "postgresql")
        self._deliver_to = f"http://{target.HOST}:{sink}/orders"
        self.port = processes.free_port()

    async def fresh(self) -> None:
        """Empty tables."""
        connection = await asyncpg.connect(self._database)
        try:
            await connection.execute(ceiling.SCHEMA)
        finally:
            await connection.close()

    @contextmanager
    def ingest(self) -> Iterator[int]:
        with processes.started([_MODULE, "ingest", self._database, str(self.port)]) as child:
            yield child.pid

    @contextmanager
    def workers(self, count: int = 1) -> Iterator[list[int]]:
        with ExitStack() as stack:
            command = [_MODULE, "worker", self._database, self._deliver_to]
            children = [stack.enter_context(processes.started(command)) for _ in range(count)]
            yield [one.pid for one in children]
            for one in children:
                one.kill()  # it has no end of its own


@contextmanager
def held(pids: Iterable[int]) -> Iterator[None]:
    """Stops processes for the length of a block: one that looks for work all the time is in the others' way."""
    stopped = list(pids)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
