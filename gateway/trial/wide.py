"""``shuniu journey --wide``: many systems on one hub, joined by recipes only, and the same accounting.

Five marketplaces, two ERPs, a warehouse, a CRM and three messengers. What people do, what must follow and what must
happen once is data: ``wide.yaml``. Nothing here knows any system.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from gateway import hub_file
from gateway.recipes import making
from gateway.trial import journey, stage, story

LIMIT, LONGEST = 240.0, 12.0
"""Seconds until everything must have arrived, and more of them per order and shop: one of the systems allows sixty
calls a minute, and two of the shops sell through it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Install(_Part):
    """A recipe with its parts cast by keys of connections."""

    recipe: str
    parts: dict[str, list[str]]
    parameters: dict[str, Any] = Field(default_factory=dict)

    def casting(self) -> making.Casting:
        """As an admin would send it."""
        parts = {key: [making.Filling(connection=one) for one in those] for key, those in self.parts.items()}
        return making.Casting(parts=parts, parameters=self.parameters)


class Orders(_Part):
    """Orders of one place, and what must follow each of them."""

    name: str
    make: story.Making
    steps: list[story.Step]


class Reaction(_Part):
    """When ``effect`` happened somebody over there makes ``call``; ``{key}`` is the effect's key."""

    effect: str
    call: story.Call


class Meeting(_Part):
    each: list[story.Call]
    known: dict[str, int]
    """``connection/entity`` -> how many of its records must be known."""


class Wide(story.Accounts):
    people: int
    credentials: dict[str, str]
    connections: list[dict[str, Any]]
    introduce: list[story.Call]
    meet: Meeting
    install: list[Install]
    orders: list[Orders]
    reactions: list[Reaction] = Field(default_factory=list)
    hostile: story.Trouble
    troubles: list[story.Trouble]


@cache
def shipped() -> Wide:
    """The story in this folder."""
    text = (importlib.resources.files("gateway.trial") / "wide.yaml").read_text(encoding="utf-8")
    return Wide.model_validate(yaml.safe_load(text))


class Travel:
    """One wide journey on a running stage."""

    def __init__(self, place: stage.Stage, told: Wide, console: Console) -> None:
        self.place, self.told, self.console = place, told, console
        self.made: dict[str, list[str]] = {one.name: [] for one in told.orders}
        self._reacted: set[tuple[str, str]] = set()
        place.credentials, place.introductions = told.credentials, told.introduce

    async def prepare(self) -> None:
        """Connections, people who know each other, then the recipes."""
        document = {"apiVersion": hub_file.API_VERSION, "connections": self.told.connections}
        await self.place.apply(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
        await self.place.introduce()
        for one in (await self.place.panel("world"))[: self.told.people]:
            for call in self.told.meet.each:
                await self.place.tell(call, {**one, **one["ids"]})
        await stage.until(self._known, 150.0, "first import")
        await stage.until(self._settled, 60.0, "first import")
        for install in self.told.install:
            await self.place.install(install.recipe, install.casting())
        self.console.print(f"[dim]{len(self.told.install)} 个方案已安装 recipes installed[/dim]")

    async def _known(self) -> bool:
        async with self.place.ledger.read() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT connection_key, entity, count(*) AS n FROM records WHERE canonical IS NOT NULL"
                " GROUP BY connection_key, entity"
            )
            found = {f"{row.connection_key}/{row.entity}": int(row.n) for row in rows}
        return all(found.get(key, 0) >= size for key, size in self.told.meet.known.items())

    async def _settled(self) -> bool:
        return (await self.place.balance()).in_flight == 0

    async def order(self, rounds: int, begun: int) -> None:
        """Everybody places an order in each of so many rounds."""
        for number in range(begun, begun + rounds):
            for one in self.told.orders:
                answer = await self.place.tell(one.make, {"place": number % self.told.people})
                self.made[one.name] += [str(row[one.make.id]) for row in answer[one.make.rows]]

    async def react(self) -> None:
        """Lets people over there do what is due; what cannot be done yet is tried again at the next look."""
        for reaction in self.told.reactions:
            for effect in self.place.effects():
                due = (reaction.call.path, str(effect["key"]))
                if story.kind(effect) != reaction.effect or due in self._reacted:
                    continue
                with contextlib.suppress(httpx.HTTPStatusError):
                    await self.place.tell(reaction.call, {"key": effect["key"]})
                    self._reacted.add(due)

    async def arrived(self) -> bool:
        """Whether everything that must follow has."""
        await self.react()
        return not self.missing()

    def missing(self) -> list[str]:
        """What has not happened at the simulators."""
        effects = self.place.effects()
        return [
            f"{one.name}: {step}"
            for one in self.told.orders
            for step in story.missing(one.steps, effects, self.made[one.name])
        ]


async def travel(place: stage.Stage, orders: int, console: Console) -> journey.Account:
    """One wide journey with so many orders in each place."""
    begun, told = time.monotonic(), shipped()
    going = Travel(place, told, console)
    await going.prepare()
    await _make(place, told.hostile, console)
    for part, trouble in enumerate(told.troubles):
        first, last = (orders * one // len(told.troubles) for one in (part, part + 1))
        await going.order(last - first, first)
        await _make(place, trouble, console)
        await going.react()
        await asyncio.sleep(0.5)
    quiet = journey.Quiet(place)
    notes: list[str] = []
    try:
        await stage.until(going.arrived, LIMIT + orders * LONGEST, "effects")
        await stage.until(quiet.holds, journey.QUIET_S, "quiescence")
    except TimeoutError as error:
        notes.append(str(error))
    lost, double = going.missing(), story.doubles(told, place.effects())
    notes += [f"lost: {one}" for one in lost[:10]] + [f"double: {one}" for one in double[:10]]
    balance = await place.balance()
    if lost or balance.in_flight or balance.dead:
        notes += await place.undelivered()
    return journey.Account(balance, len(lost), len(double), tuple(notes), time.monotonic() - begun)


async def _make(place: stage.Stage, trouble: story.Trouble, console: Console) -> None:
    for call in trouble.calls:
        await place.tell(call)
    console.print(f"[yellow]{trouble.words}[/yellow]")


async def once(folder: Path, orders: int, console: Console, **how: Any) -> journey.Account:
    """Starts a stage, travels, ends it."""
    async with stage.running(folder, introduced=False, **how) as place:
        return await travel(place, orders, console)


def run(orders: int = 20, database_url: str = "", redis_url: str = "", console: Console | None = None) -> int:
    """The wide journey; returns the exit code."""
    told = console or Console()
    with tempfile.TemporaryDirectory(prefix="shuniu-wide-", dir="/tmp") as name:
        folder = Path(name)
        account = asyncio.run(once(folder, orders, told, database_url=database_url, redis_url=redis_url))
        journey.tell(told, "wide", account, folder)
    return 0 if account.holds else 1
