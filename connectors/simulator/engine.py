"""The engine every simulator stands on: state in memory, faults, a journal of effects, signed pushes.

A connector's simulator is ``connectors/<id>/simulator.py`` with ``class Simulator(engine.Simulator)``;
presence is registration. Its vendor routes live under ``/<id>``, its controls under ``/_sim/<id>``:

====================  ==========================================================================
``GET  state``        the simulator's own snapshot of its state
``GET  effects``      the journal: ``?kind= &key= &after=``, with totals and repeated keys
``GET  pushes``       what was pushed, each try with its status
``*    faults``       GET shows, POST changes the given switches, DELETE turns all off
``*    configure``    GET shows the settings' names, POST changes them (credentials, push target)
``POST connection``   config and secrets of a connection that fits; ``{"hook": url}`` sets the push target
``POST clock``        ``{"advance": seconds}`` moves this simulator's clock (expiring tokens)
``POST reset``        state, journal, pushes and faults as at the start; settings stay
====================  ==========================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.resources
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router

from connectors.simulator import control, faults, journal, server, world
from connectors.simulator import push as pushing

Goods = TypeVar("Goods")


class Simulator:
    """Base of every simulator. Subclasses keep all state in what ``seed`` builds."""

    id: str = ""
    SETTINGS: ClassVar[dict[str, Any]] = {}
    """Every setting this simulator knows, with its default. ``configure`` refuses others."""
    PUSH_RETRIES: ClassVar[Sequence[float]] = (10, 30)
    """The vendor's own delays after a push that was not acknowledged, seconds."""
    PUSH_TIMEOUT: ClassVar[float] = 5.0

    def __init__(
        self,
        *,
        people: world.World | None = None,
        journal_file: Path | None = None,
        time_scale: float = 1.0,
        seed: int = 1,
    ) -> None:
        self.world = people or world.shared()
        self.dice = random.Random(seed)
        self.faults = faults.Faults()
        self.recent: deque[float] = deque()
        self.ahead = 0.0
        self.settings: dict[str, Any] = dict(self.SETTINGS)
        self.journal = journal.Journal(self.id, self.now, journal_file)
        self._tasks: set[asyncio.Task[None]] = set()
        self.pusher = pushing.Pusher(lambda: self.faults, self.dice, self.spawn, self.acknowledged)
        self.pusher.time_scale = time_scale
        self.seed()

    # What a subclass gives.

    def seed(self) -> None:
        """Build the starting state; called at the start and by every reset."""

    def granted(self) -> dict[str, Any]:
        """What works for one connection only, made anew for each that asks: as if another shop had agreed.

        Codes that work once, and tokens that a renewal replaces. What was given to others goes on.
        """
        return {}

    def routes(self) -> list[BaseRoute]:
        """The vendor's API, mounted at ``/<id>`` (paths begin with ``/``)."""
        return []

    def controls(self) -> list[BaseRoute]:
        """More controls, mounted at ``/_sim/<id>``: what people or other systems do over there."""
        return []

    def snapshot(self) -> Any:
        """The state as JSON-ready data."""
        return {}

    def configure(self, settings: dict[str, Any]) -> None:
        """Take over settings. Raises ValueError naming the settings that do not exist here."""
        unknown = sorted(set(settings) - set(self.SETTINGS) - {"time_scale"})
        if unknown:
            known = ", ".join(sorted([*self.SETTINGS, "time_scale"]))
            raise ValueError(f"no setting {', '.join(unknown)} here; there are: {known}")
        rest = dict(settings)
        if "time_scale" in rest:
            self.pusher.time_scale = float(rest.pop("time_scale"))
        self.settings.update(rest)

    async def start(self) -> None:
        """Begin background work (use ``self.spawn``); runs inside the server's loop."""

    async def stop(self) -> None:
        """End background work of the subclass; spawned tasks are cancelled by the engine."""

    def throttled(self, request: Request) -> Response:
        """ "Too many calls" in the vendor's own words."""
        return PlainTextResponse("Too Many Requests", 429, {"Retry-After": "1"})

    def banned(self, request: Request) -> Response:
        """The answer during a ban."""
        return HTMLResponse("<html><body><h1>403 Forbidden</h1></body></html>", 403)

    def broken(self, request: Request) -> Response:
        """The answer of a broken server."""
        return PlainTextResponse("Internal Server Error", 500)

    def acknowledged(self, response: httpx.Response) -> bool:
        """Whether the hub's answer to a push counts as received for this vendor."""
        return 200 <= response.status_code < 300

    # What a subclass uses.

    def now(self) -> float:
        """Unix time of this simulator's clock."""
        return time.time() + self.ahead

    def person(self, wanted: Any = None) -> world.Person:
        """A customer by place in the world, or by name, nick, phone or any id; anybody when nothing is asked.

        Raises LookupError.
        """
        people = self.world.customers
        if wanted is None:
            return self.dice.choice(people)
        if isinstance(wanted, int):
            return people[wanted]
        known = [one for one in people if wanted in (one.name, one.nick, one.phone, *one.ids.values())]
        if not known:
            raise LookupError(f"no customer {wanted}")
        return known[0]

    def basket(
        self, goods: Sequence[Goods], code: Callable[[Goods], str], wanted: Iterable[Any] | None
    ) -> list[tuple[Goods, int]]:
        """What somebody buys, with how many: one of each ``wanted`` code, or a few things at random.

        Raises LookupError.
        """
        if wanted:
            by_code = {code(one): one for one in goods}
            return [(by_code[str(each)], 1) for each in wanted]
        chosen = self.dice.sample(goods, self.dice.choice([1, 1, 2, 3]))
        return [(one, self.dice.choice([1, 1, 1, 2])) for one in chosen]

    def commit(self, kind: str, key: str, data: Any = None) -> journal.Effect:
        """Say that a change of state is final: journal it, and let a due ``drop_reply`` cut this call."""
        effect = self.journal.append(kind, key, data)
        faults.arm(self, kind)
        return effect

    def push(
        self,
        url: str,
        content: bytes = b"",
        *,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        method: str = "POST",
        compose: pushing.Compose | None = None,
        label: str = "",
        retries: Sequence[float] | None = None,
        timeout: float | None = None,
    ) -> list[pushing.Push]:
        """Send a message in the background; ``compose(try number)`` instead of content when tries differ.

        Does nothing when ``url`` is empty (no push target configured).
        """
        if not url:
            return []
        fixed = pushing.Post(url, content, headers or {}, params or {}, method)
        return self.pusher.push(
            url,
            compose or (lambda _number: fixed),
            label=label,
            retries=self.PUSH_RETRIES if retries is None else retries,
            timeout=timeout or self.PUSH_TIMEOUT,
        )

    @property
    def pushes(self) -> list[pushing.Push]:
        return self.pusher.pushes

    async def pause(self, seconds: float) -> None:
        """Sleep in vendor time: ``time_scale`` compresses it."""
        await asyncio.sleep(seconds * self.pusher.time_scale)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` in the background until it ends, or until reset or stop cancels it."""
        task = asyncio.get_running_loop().create_task(work, name=f"simulator-{self.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self, within: float = 10) -> None:
        """Wait until no push is waiting (for tests). Raises TimeoutError after ``within`` seconds."""
        async with asyncio.timeout(within):
            await self.pusher.idle.wait()

    # What the engine does.

    async def reset(self) -> None:
        """State, journal, pushes, faults and clock as at the start; settings stay."""
        await self.stop()
        await self.quiet()
        self.journal.clear()
        self.pusher.clear()
        self.faults = faults.Faults()
        self.recent.clear()
        self.ahead = 0.0
        self.seed()
        await self.start()

    async def quiet(self) -> None:
        """Cancel every spawned task and wait for its end."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def mounts(self) -> list[BaseRoute]:
        vendor = faults.Middleware(Router(self.routes()), self)
        return [
            Mount(f"/_sim/{self.id}", routes=[*self.controls(), *control.routes(self)]),
            Mount(f"/{self.id}", app=vendor),
        ]


def discover() -> list[str]:
    """Ids of every connector folder that has a simulator, sorted."""
    root = importlib.resources.files("connectors")
    return sorted(
        folder.name
        for folder in root.iterdir()
        if folder.is_dir() and folder.name != "simulator" and folder.joinpath("simulator.py").is_file()
    )


def create(ids: Iterable[str] = (), **options: Any) -> dict[str, Simulator]:
    """Simulators by id (all when ``ids`` is empty), sharing one world. Raises LookupError for an unknown id."""
    found = discover()
    wanted = list(ids) or found
    missing = [key for key in wanted if key not in found]
    if missing:
        raise LookupError(f"no simulator for {', '.join(missing)}; there are: {', '.join(found)}")
    made: dict[str, Simulator] = {}
    for key in wanted:
        kind = cast("type[Simulator]", importlib.import_module(f"connectors.{key}.simulator").Simulator)
        made[key] = kind(**options)
    return made


def application(simulators: dict[str, Simulator]) -> Starlette:
    """One ASGI application for all of them.

    ``GET /_sim`` lists them, ``/_sim/world`` their customers, ``/_sim/goods`` what they sell.
    """

    async def index(_request: Request) -> Response:
        return JSONResponse(
            {
                key: {"effects": len(one.journal.effects), "pushes": pushing.counts(one.pushes)}
                for key, one in simulators.items()
            }
        )

    async def people(_request: Request) -> Response:
        """Everybody there is, with the id each system knows them by."""
        first = next(iter(simulators.values()), None)
        told = first.world.customers if first else []
        return JSONResponse([{"name": one.name, "phone": one.phone, "ids": one.ids} for one in told])

    async def goods(_request: Request) -> Response:
        """What every system sells, by the codes that all of them know."""
        first = next(iter(simulators.values()), None)
        return JSONResponse([{"code": one.code, "title": one.title} for one in (first.world.skus if first else [])])

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        for one in simulators.values():
            await one.start()
        try:
            yield
        finally:
            for one in simulators.values():
                await one.stop()
                await one.quiet()
                await one.pusher.aclose()

    mounts = [mount for one in simulators.values() for mount in one.mounts()]
    shared = [Route("/_sim", index), Route("/_sim/world", people), Route("/_sim/goods", goods)]
    return Starlette(routes=[*shared, *mounts], lifespan=lifespan)


class Url(str):
    """The base URL of running simulators, which also carries them: ``url.simulators["crm"]``."""

    __slots__ = ("simulators",)
    simulators: dict[str, Simulator]


@contextlib.asynccontextmanager
async def serve(
    ids: Iterable[str] = (), port: int = 0, *, simulators: dict[str, Simulator] | None = None, **options: Any
) -> AsyncIterator[Url]:
    """Run simulators on a real server in this loop; gives the base URL (``http://127.0.0.1:port``).

    ``simulators`` takes ready-made ones instead of ``ids``. A blocking client must call from a thread
    (``asyncio.to_thread``), because the server shares the caller's loop.
    """
    chosen = create(ids, **options) if simulators is None else simulators
    async with server.running(application(chosen), port=port) as base:
        url = Url(base)
        url.simulators = chosen
        yield url
