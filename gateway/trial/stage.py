"""The stage of a trial: real hub processes and real simulators on loopback, and their control panels.

The simulators are reached as any vendor would be, over HTTP; the hub never imports them.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import json
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway import hub, hub_file, migrate, settings
from gateway.recipes import installing, making, recipe
from gateway.trial import processes, story
from retry_queue.ledger import cursors, session, tallies
from retry_queue.ledger import secrets as sealing

SOON_S = 10.0
"""Within how long a source is read again for a trial to wait for it, in seconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a polled source stands: how often its reading has begun, whether one goes on, what failed since."""

    begun: int
    goes_on: bool
    failures: int

    def anew(self, before: Reading | None) -> bool:
        """Whether it was read whole by a reading that began after ``before``."""
        return self.begun - self.goes_on > (before.begun if before else 0) and not self.failures


class Stage:
    """A running hub with its simulators. ``panel`` is the simulators' control address."""

    def __init__(self, config: settings.Settings, hub_port: int, sim_port: int, journal: Path) -> None:
        self.config = config
        self.hub_url = f"http://127.0.0.1:{hub_port}"
        self.sim_url = f"http://127.0.0.1:{sim_port}"
        self.journal = journal
        self.story = story.shipped()
        self.credentials: Mapping[str, str] = self.story.credentials
        self.introductions: Sequence[story.Call] = self.story.introduce
        self.ledger = session.open_ledger(config.database_url, owner="stage", pool=2)
        self.sealer = sealing.Sealer(config.secret_key.get_secret_value())
        self._client = httpx.AsyncClient(timeout=20.0)
        self._serve: Callable[[], contextlib.AbstractContextManager[Any]] | None = None
        self._hub = contextlib.ExitStack()
        self._pid = 0

    async def start(self, serve: Callable[[], contextlib.AbstractContextManager[Any]] | None = None) -> None:
        """Starts the hub's processes, at first with ``serve``, later again the same way."""
        self._serve = serve or self._serve
        if self._serve is None:
            raise ValueError("nothing to start")
        child = self._hub.enter_context(self._serve())
        self._pid = getattr(child, "pid", 0)
        await processes.reachable(self.config.port, child=child)

    def stop(self) -> None:
        """Ends the hub's processes in good order; the simulators go on."""
        self._hub.close()

    def pids(self) -> list[int]:
        """The hub's processes as they were started: the supervisor, whose descendants are the rest."""
        return [self._pid] if self._pid else []

    async def panel(self, path: str, body: Any = None) -> Any:
        """Asks (GET) or tells (POST, with a body) the simulators' control panel."""
        url = f"{self.sim_url}/_sim/{path}"
        answer = await (self._client.get(url) if body is None else self._client.post(url, json=body))
        answer.raise_for_status()
        return answer.json()

    async def tell(self, call: story.Call, values: Mapping[str, Any] | None = None) -> Any:
        """Makes one call of the story, with its marks filled."""
        return await self.panel(*call.filled({"hub": self.hub_url, **self.credentials, **(values or {})}))

    async def balance(self) -> tallies.Balance:
        """The ledger's balance right now."""
        async with self.ledger.read() as connection:
            return await tallies.balance(connection)

    async def readings(self) -> dict[tuple[str, str], Reading]:
        """Every polled source that is read now or soon, or could not be read; by connection and source."""
        async with self.ledger.read() as connection:
            rows = await cursors.all_rows(connection)
        now = await self.ledger.now()
        return {
            (row.connection_key, row.source): Reading(row.fence, row.owner is not None, row.failures)
            for row in rows
            if not (row.connection_key.startswith("~") or row.source.startswith("stream:"))
            and (row.owner or row.failures or row.next_at - now < SOON_S)
        }

    async def undelivered(self) -> list[str]:
        """Why deliveries did not arrive: route, state, reason, how many, and one of the explanations."""
        async with self.ledger.read() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT route_key, state, reason, count(*) AS n, max(detail) AS said FROM deliveries"
                " WHERE state NOT IN ('delivered', 'superseded') GROUP BY route_key, state, reason"
            )
            return [f"{row.route_key}: {row.n} {row.state} {row.reason or ''} {row.said or ''}" for row in rows]

    async def install(self, id: str, chosen: making.Casting) -> None:
        """Installs a recipe as an admin does; raises installing.Refused or hub_file.Broken."""
        await installing.install(self.ledger, self.sealer, recipe.all_recipes()[id], chosen, actor="demo")

    async def apply(self, text: str) -> None:
        """Applies a hub.yaml text with the demo's credentials."""
        known = {"SIM": self.sim_url, "SIM_WS": self.sim_url.replace("http", "ws"), **self.credentials}
        draft = hub_file.read(text, "hub.yaml", variables=known)
        await hub.apply(self.ledger, self.sealer, draft, actor="demo")

    async def introduce(self) -> None:
        """Tells the simulators where the hub listens, as an admin does in a vendor's console."""
        for call in self.introductions:
            await self.tell(call)

    async def meet(self) -> list[dict[str, Any]]:
        """First import: customers of every system become known and linked, before there is a route.

        Returns the people as ``{name, phone, <identity kind>: id}``.
        """
        await self.apply(shipped_hub_yaml(routes=False))
        known = [{**one, **one["ids"]} for one in (await self.panel("world"))[: self.story.people]]
        for one in known:
            for call in self.story.meet.each:
                await self.tell(call, one)
        for one in known[: self.story.edited]:
            for call in self.story.meet.touched:
                await self.tell(call, one)
        wanted = {key: getattr(self.story, size) for key, size in self.story.meet.known.items()}

        async def taken() -> bool:
            async with self.ledger.read() as connection:
                rows = await connection.exec_driver_sql(
                    "SELECT connection_key, count(*) AS n FROM records WHERE entity = 'customer'"
                    " AND canonical IS NOT NULL GROUP BY connection_key"
                )
                found = {str(row.connection_key): int(row.n) for row in rows}
            return all(found.get(key, 0) >= size for key, size in wanted.items())

        async def planned() -> bool:
            return (await self.balance()).in_flight == 0

        await until(taken, 120.0, "first import of customers")
        await until(planned, 60.0, "first import of customers")
        return known

    def effects(self) -> list[dict[str, Any]]:
        """Every effect that happened at the simulators, in order."""
        if not self.journal.exists():
            return []
        return [json.loads(line) for line in self.journal.read_text(encoding="utf-8").splitlines() if line]

    async def close(self) -> None:
        self.stop()
        await self._client.aclose()
        await self.ledger.close()


def shipped_hub_yaml(*, routes: bool = True) -> str:
    """The demo's hub.yaml; without routes, for the first import of customers."""
    text = (importlib.resources.files("gateway.trial") / "hub.yaml").read_text(encoding="utf-8")
    return text if routes else text[: text.index("\nroutes:")] + "\n"


def _prepared(folder: Path) -> Path:
    """An empty folder for a stage; returns where the simulators note their effects."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder / "effects.jsonl"
    journal.unlink(missing_ok=True)
    return journal


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    *,
    database_url: str = "",
    redis_url: str = "",
    workers: int = 1,
    hub_port: int = 0,
    sim_port: int = 0,
    pace: float = 0.1,
    time_scale: float = 0.02,
    introduced: bool = True,
) -> AsyncIterator[Stage]:
    """Starts simulators and hub in ``folder`` and ends both. Ports 0 mean free ones.

    ``introduced``: the vendors' consoles know the demo's hub already; another story introduces itself.
    """
    journal = _prepared(folder)
    sim_port = sim_port or processes.free_port()
    config = settings.load(
        data_dir=folder / "data",
        database_url=database_url or None,
        redis_url=redis_url or None,
        secret_key=secrets.token_urlsafe(48),
        egress_allow="127.0.0.0/8",  # the simulators
        sandbox_url=f"http://127.0.0.1:{sim_port}",
        port=hub_port or processes.free_port(),
        workers=workers,
        log_level="WARNING",
    )
    simulators = ["connectors.simulator", "--port", str(sim_port), "--journal", str(journal)]
    simulators += ["--time-scale", str(time_scale)]
    serve = ["gateway.serve", "all", str(pace)]
    environment = config.environment() | ({} if redis_url else {"SHUNIU_REDIS_URL": ""})
    del environment["PROMETHEUS_MULTIPROC_DIR"]  # the supervisor makes the folder and tells its children
    await migrate.upgrade(config.database_url)
    with processes.started(simulators, log=folder / "simulators.log"):
        stage = Stage(config, config.port, sim_port, journal)
        try:
            await stage.start(lambda: processes.started(serve, environment, log=folder / "hub.log"))
            await processes.reachable(sim_port)
            if introduced:
                await stage.introduce()
            yield stage
        finally:
            await stage.close()


async def until(check: Any, seconds: float, what: str) -> None:
    """Waits until ``await check()`` is true; raises TimeoutError naming ``what``."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not await check():
        if loop.time() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        await asyncio.sleep(0.2)
