"""Processes as the chart runs them: one role each, each with its own port, metrics and registry."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from gateway import settings
from gateway.trial import processes
from tests import hooks
from tests.ledger import hub as hubs


class Release:
    """What the pods of one release share: database, Redis, secret key, and where their code is.

    ``code``: a folder with another version's packages; None for what is here.
    """

    def __init__(self, folder: Path, url: str, redis: str, code: Path | None = None, **more: Any) -> None:
        self.folder = folder
        self.code = code
        self.config = settings.load(
            data_dir=folder, database_url=url, redis_url=redis, secret_key=hubs.MASTER, log_level="WARNING", **more
        )

    def _environment(self, name: str, port: int, metrics: int) -> dict[str, str]:
        made = self.config.environment() | {"SHUNIU_PORT": str(port), "SHUNIU_METRICS_PORT": str(metrics)}
        made["SHUNIU_METRICS_DIR"] = str(self.folder / f"metrics-{name}-{port}-{metrics}")
        del made["PROMETHEUS_MULTIPROC_DIR"]  # one process, one registry
        if self.code is not None:
            made["PYTHONPATH"] = str(self.code)
        return made

    @contextlib.contextmanager
    def pod(self, role: str, port: int = 0, metrics: int = 0) -> Iterator[None]:
        """One process of ``role`` for the length of a block."""
        log = self.folder / f"{role}.log"
        with processes.started(["gateway.serve", role, "0.2"], self._environment(role, port, metrics), log=log):
            yield

    def migrate(self) -> int:
        """The chart's hook, to its end; its exit code."""
        with processes.started(
            ["gateway.cli", "migrate"], self._environment("migrate", 0, 0), log=self.folder / "migrate.log"
        ) as child:
            return child.wait(60)


async def push(client: httpx.AsyncClient, port: int, name: str, **headers: str) -> int:
    """One signed order at an API pod; the status it answers."""
    body = json.dumps(hubs.order(name)).encode()
    proof = hooks.proof(body, hubs.SECRET)
    url = f"http://127.0.0.1:{port}/hooks/shop"
    return (await client.post(url, content=body, headers={"x-signature": proof, **headers})).status_code
