"""Trying a connector against its own simulator, as ``connectors/<id>/rehearsal.yaml`` says. Nothing here knows any.

Placeholders in that file: ``${url}`` (the simulators' address), ``${setting.x}`` (the simulator's settings),
``${world...}`` (the invented people and goods), ``${saved.x}`` (kept by a step before). Config and secrets that are
called like a setting of the simulator need not be written. ``${dollar}`` writes a plain ``$``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field

from connectors.core import client, declaration, jsontext, model, paths, plan, scope, template
from connectors.simulator import engine, world
from tests.conformance import rules_declared, ruling


class _Piece(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Piece):
    """One call of the simulator's controls (``do: POST /orders``) or of an operation as this file rehearses it
    (``call: order.create``). ``save`` keeps parts of the answer, or of the outcome (``id``, ``data``)."""

    do: str | None = None
    call: str | None = None
    body: Any = None
    save: dict[str, str] = Field(default_factory=dict)


class Settings(_Piece):
    """A connection that fits the simulator; ``settings`` changes the simulator to fit it. A secret that is empty here
    is not entered, whatever the simulator's setting of that name says."""

    config: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)


class Call(_Piece):
    """What an operation is called with: ``input`` as it is, or ``record`` through the operation's mapping.

    Without both it is ``samples/call.<operation>.request.json``, else nothing. ``through`` names the flow that makes
    the call, for steps that cannot be called alone.
    """

    connection: str | None = None
    through: str | None = None
    hours: float | None = 12
    """How far back a list is read; null asks without a window."""
    ahead: float = 1
    """How many hours from now the window ends: some systems allow minutes only."""
    before: list[Step] = Field(default_factory=list)
    input: dict[str, Any] | None = None
    record: dict[str, Any] | None = None
    context: dict[str, Any] = Field(default_factory=dict)


class Signed(_Piece):
    """Which parts of a push are proven, for a ``custom`` scheme (the stock ones are known)."""

    query: list[str] = Field(default_factory=list)
    headers: list[str] = Field(default_factory=list)
    body: bool = False
    member: str | None = None
    """Instead of the whole body: the one member of a JSON envelope that is proven."""
    trims: bool = False
    """Blanks around the body are no part of it: the vendor says that they may be there."""
    window: float | None = None


class Push(_Piece):
    """What makes the simulator push through a door, and the acknowledgement the vendor wants to see.

    ``reply`` is the exact body (inside the encryption, where the door answers encrypted).
    """

    source: str
    connection: str | None = None
    do: list[Step]
    reply: str
    status: int = 200
    signed: Signed | None = None


class Rehearsal(_Piece):
    """A whole file. The first connection is the one meant where none is named."""

    connections: dict[str, Settings] = Field(min_length=1)
    calls: dict[str, Call] = Field(default_factory=dict)
    pushes: list[Push] = Field(default_factory=list)
    expire: list[Step] = Field(default_factory=list)
    """Ends every token early; needed where there are tokens."""


@functools.cache
def of(id: str) -> Rehearsal:
    """The rehearsal of a connector; an empty one that fits nothing when the file is missing."""
    file = ruling.folder(id).files.joinpath("rehearsal.yaml")
    text = file.read_text(encoding="utf-8") if file.is_file() else "{connections: {main: {}}}"
    return Rehearsal.model_validate(yaml.safe_load(text))


def fitting(id: str, url: str, simulator: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Config and secrets of a connection that this simulator takes, as the ledger keeps them."""
    spec = ruling.folder(id).spec
    text = {name: str(value).replace("${url}", url).replace("${ws}", url.replace("http", "ws", 1))
            for name, value in of(id).connections["main"].config.items()}  # fmt: skip
    known = {**simulator.settings, **text}
    config = {one.key: known[one.key] for one in spec.fields if not one.secret and known.get(one.key) not in (None, "")}
    secrets = {one.key: str(known[one.key]) for one in spec.fields if one.secret and known.get(one.key)}
    return config, secrets


@functools.cache
def people() -> dict[str, Any]:
    """The head of the shared world as plain data."""
    shared = world.shared()
    kinds: dict[str, list[Any]] = {"customers": shared.customers[:20], "staff": shared.staff, "skus": shared.skus}
    return {key: [dataclasses.asdict(one) for one in rows] for key, rows in kinds.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class Ran:
    """One operation that was run: with what, what came out, and what really happened over there."""

    connection: model.Connection
    operation: str
    given: dict[str, Any]
    outcome: model.Outcome
    effects: list[tuple[str, str]]


class Stage:
    """One connector, its simulator on a real port, and a client."""

    def __init__(self, id: str, url: engine.Url, caller: client.Client, http: httpx.AsyncClient) -> None:
        self.id, self.url, self.caller, self._http = id, url, caller, http
        self.plan = of(id)
        self.simulator = url.simulators[id]
        self.saved: dict[str, Any] = {}

    @property
    def spec(self) -> declaration.Declaration:
        return ruling.folder(self.id).spec

    def filled(self, node: Any) -> Any:
        """A part of the file with its placeholders filled."""
        roots = {"url": str(self.url), "ws": str(self.url).replace("http", "ws", 1), "setting": self.simulator.settings}
        roots["dollar"] = "$"
        return template.render(node, {**roots, "world": people(), "saved": self.saved})

    def connection(self, name: str | None = None, **config: Any) -> model.Connection:
        """A connection of the file by name; the simulator's settings are made to fit it."""
        name = name or next(iter(self.plan.connections))
        wish = self.plan.connections[name]
        if wish.settings:
            self.simulator.configure(self.filled(wish.settings))
        known = {key: value for key, value in self.simulator.settings.items() if value not in ("", None)}
        plain, hidden = dict(self.filled(wish.config)), dict(self.filled(wish.secrets))
        for field in self.spec.fields:
            if field.key in known:
                (hidden if field.secret else plain).setdefault(field.key, known[field.key])
        entered = {key: value for key, value in hidden.items() if value != ""}
        return model.Connection(f"{self.id}-{name}", self.spec, {**plain, **config}, entered)

    async def do(self, steps: list[Step]) -> None:
        """Run control calls of the simulator and operations, in order."""
        for step in steps:
            if step.call is not None:
                connection, given = await self.prepared(step.call)
                outcome = await self.call(connection, step.call, given)
                found: Any = {"id": outcome.record_id, "data": outcome.data}
            else:
                found = await self._controlled(step)
            self.saved |= {key: paths.get(found, path) for key, path in step.save.items()}

    async def _controlled(self, step: Step) -> Any:
        method, path = str(step.do).split(" ", 1)
        body = jsontext.dumps(self.filled(step.body)) if step.body is not None else b""
        answer = await self._http.request(method, f"/_sim/{self.id}{self.filled(path)}", content=body)
        assert answer.status_code < 300, f"{step.do}: {answer.status_code} {answer.text}"
        return jsontext.loads(answer.content)

    async def prepared(self, operation: str) -> tuple[model.Connection, dict[str, Any]]:
        """A connection and the input for one operation, everything in place that it needs over there."""
        call = self.plan.calls.get(operation, Call())
        connection = self.connection(call.connection)
        await self.do(call.before)
        return connection, self._input(operation, call, connection)

    def _input(self, operation: str, call: Call, connection: model.Connection) -> dict[str, Any]:
        operation = call.through or operation
        folder, spec = ruling.folder(self.id), self.spec.operations[operation]
        if call.record is not None:
            mapping = rules_declared.mapping_of(folder, str(spec.entity), spec.mapping)
            context = {"config": scope.settings(connection), **self.filled(call.context)}
            native: dict[str, Any] = mapping.to_native(self.filled(call.record), context)
            return native
        if call.input is not None:
            return dict(self.filled(call.input))
        sample = folder.samples.get(f"call.{operation}.request.json")
        return dict(jsontext.loads(sample)) if sample else {}

    async def call(
        self, connection: model.Connection, operation: str, given: Mapping[str, Any], *, fresh: bool = True
    ) -> model.Outcome:
        """Run an operation; a list is read page by page over the last hours, its rows are the data."""
        spec = self.spec.operations[operation]
        if spec.kind != "list":
            return await self.caller.call(connection, operation, given, fresh=fresh)
        now, wish = datetime.now(UTC), self.plan.calls.get(operation, Call())
        window = None
        if wish.hours is not None:
            window = (now - timedelta(hours=wish.hours), now + timedelta(hours=wish.ahead))
        rows = [row async for page in self.caller.pages(connection, operation, given, window) for row in page]
        return model.Outcome(rows)

    async def warm(self, operation: str) -> None:
        """Have every token ready that ``operation`` carries, so that a fault strikes the call and not the login."""
        carried = {one.key for one in plan.of(self.spec, operation).auths if one.spec.token is not None}
        for name, spec in self.spec.operations.items():
            made = plan.of(self.spec, name)
            if made.safe and spec.flow is None and carried & {one.key for one in made.auths}:
                await self.rehearse(name)
                carried -= {one.key for one in made.auths}

    async def rehearse(self, operation: str) -> Ran:
        """Prepare and run one operation (through its flow, where it is a step that needs one)."""
        connection, given = await self.prepared(operation)
        before = len(self.simulator.journal.effects)
        called = self.plan.calls.get(operation, Call()).through or operation
        outcome = await self.call(connection, called, given)
        return Ran(connection, called, given, outcome, self.effects(before))

    def effects(self, after: int = 0) -> list[tuple[str, str]]:
        """(kind, key) of everything that really happened over there, without the first ``after`` effects."""
        return [(one.kind, one.key) for one in self.simulator.journal.effects[after:]]


@contextlib.asynccontextmanager
async def stage(id: str) -> AsyncIterator[Stage]:
    """Everything running for one connector."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as files:
        async with (
            engine.serve([id], time_scale=0.001) as url,
            httpx.AsyncClient(base_url=url, trust_env=False) as http,
            client.alone(Path(files)) as caller,
        ):
            yield Stage(id, url, caller, http)
