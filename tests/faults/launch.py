"""``python -m tests.faults.launch JSON ROLE``: starts hub processes as ``gateway.serve`` does, with injected faults.

What may be asked for, all of it from outside and none of it in the product:

    backoff   pauses of the supervisor after a death, in seconds (a hundred kills would take an hour otherwise)
    schedule  factor over the retry schedule: hours of a dead vendor in seconds
    patience  seconds that the head and the body of a request may take to come
    clock     instance name -> seconds by which that process's own clock is wrong
    store     {"rate", "flag", "seed"}: that share of all statements and commits of the ledger fails while the file
              ``flag`` is there: an error before, a timeout before, or a timeout after the deed was done
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import listening, serve, supervisor
from retry_queue.ledger import session, sql
from retry_queue.sync import backoff
from webhooks import router

_given: dict[str, Any] = {}


class Faulty(supervisor.Supervisor):
    """The supervisor, whose children are started by this module as well, and as soon as they have died."""

    def __init__(
        self, config: Any, roles: Sequence[supervisor.Role], *, on_exit: supervisor.OnExit | None = None, **more: Any
    ) -> None:
        ours = [sys.executable, "-P", "-m", "tests.faults.launch", json.dumps(_given)]
        roles = [dataclasses.replace(one, argv=[*ours, *list(one.argv)[4:]]) for one in roles]
        super().__init__(config, roles, on_exit=on_exit, backoff=_given.get("backoff", supervisor.BACKOFF), **more)


class Store:
    """Throws the dice for every statement and every commit of the ledger; commits are far fewer."""

    def __init__(self, rate: float, flag: str, seed: int, commits: float) -> None:
        self._rate, self._commits, self._flag = rate, commits, flag
        self._random = random.Random(seed * 1_000_003 + os.getpid())
        self._run = sql.Statement.run
        self._write = session.Ledger.write

    def _struck(self, rate: float) -> bool:
        return self._random.random() < rate and Path(self._flag).exists()

    def _fail(self, words: str) -> None:
        with Path(f"{self._flag}.{os.getpid()}").open("a") as noted:
            noted.write(f"{words}\n")
        if "error" in words:
            raise OperationalError("injected", {}, sqlite3.OperationalError(words))
        raise TimeoutError(words)

    def install(self) -> None:
        """Puts itself in front of every statement and every transaction of this process."""
        store = self

        async def run(this: sql.Statement, connection: AsyncConnection, rows: Any = (), *scalars: Any) -> Sequence[Any]:
            if store._struck(store._rate):
                store._fail(store._random.choice(("error", "timeout")))
            found = await store._run(this, connection, rows, *scalars)
            if store._struck(store._rate):
                store._fail("timeout after the statement")
            return found

        @contextlib.asynccontextmanager
        async def write(this: session.Ledger, **how: bool) -> AsyncIterator[AsyncConnection]:
            with session._told():
                async with store._write(this, **how) as connection:
                    yield connection
                    if store._struck(store._commits):
                        store._fail("error at the commit")
                if store._struck(store._commits):
                    store._fail("timeout after the commit")

        sql.Statement.run = run  # type: ignore[method-assign,assignment]
        session.Ledger.write = write  # type: ignore[assignment, method-assign]


def _inject(given: dict[str, Any]) -> None:
    _given.update(given)
    supervisor.Supervisor = Faulty  # type: ignore[misc]
    if "schedule" in given:
        backoff.SCHEDULE = tuple(max(one * given["schedule"], 0.05) for one in backoff.SCHEDULE)
        backoff.after.__kwdefaults__ = {"at_least": 0.0, "schedule": backoff.SCHEDULE}
    if "patience" in given:
        listening.HEAD_SECONDS = router.BODY_SECONDS = given["patience"]
    if "store" in given:
        Store(**given["store"]).install()
    wrong = float(given.get("clock", {}).get(os.environ.get("SHUNIU_INSTANCE", ""), 0.0))
    if wrong:
        real = time.time
        time.time = lambda: real() + wrong


if __name__ == "__main__":
    _inject(json.loads(sys.argv.pop(1)))
    raise SystemExit(serve.main())
