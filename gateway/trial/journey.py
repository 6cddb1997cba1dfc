"""``shuniu journey``: the whole story over real processes, with hostile vendors, and its accounting.

A Tmall order is paid → one Kingdee sales order (saved, submitted, audited) → the ERP ships → Tmall shows
it shipped → the CRM customer is updated → the employee who looks after the buyer in WeCom gets exactly one
message; customers edited in the CRM reach the ERP and do not echo back. Pushes come twice, out of order
and late, a token ends, the ERP throttles, replies are lost after the commit. The run ends with one line
and with exit code 1 when the line does not balance.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from gateway import valkey
from gateway.trial import postgres, stage, story
from retry_queue.ledger import tallies

STILL_S = 2.0
"""How long nothing has to happen before the accounts are read, in seconds."""
QUIET_S = 150.0
"""How long that may take: an ERP that throttles four calls one after the other asks for 30 seconds each time."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a journey came to. ``lost`` and ``double`` are counted at the simulators, not by the hub."""

    balance: tallies.Balance
    lost: int
    double: int
    notes: tuple[str, ...]
    seconds: float

    @property
    def holds(self) -> bool:
        return not (self.lost or self.double or self.balance.in_flight or self.balance.dead or self.balance.difference)

    def line(self) -> str:
        """The accounting line."""
        told = self.balance
        return (
            f"received={told.received} delivered={told.delivered} duplicate={told.duplicate} "
            f"filtered={told.filtered} dead={told.dead} in_flight={told.in_flight} "
            f"lost={self.lost} double={self.double}"
        )


class Quiet:
    """Nothing under way, nothing new, and every polled source read again since: an echo would have been seen."""

    def __init__(self, place: stage.Stage) -> None:
        self._place = place
        self._since: tuple[float, int, dict[tuple[str, str], stage.Reading]] | None = None

    async def holds(self) -> bool:
        """Asked again and again until it holds."""
        asked = time.monotonic()
        read = await self._place.readings()  # first: what they found is in the balance that is read next
        balance = await self._place.balance()
        if balance.in_flight or self._since is None or self._since[1] != balance.received:
            self._since = (time.monotonic(), balance.received, read)
            return False
        still, _, before = self._since
        return asked - still >= STILL_S and all(one.anew(before.get(place)) for place, one in read.items())


async def travel(place: stage.Stage, orders: int, console: Console, limit: float = 240.0) -> Account:
    """One journey on a running stage."""
    begun = time.monotonic()
    people = await place.meet()
    console.print("[dim]客户已互相认识 customers are linked[/dim]")
    told = place.story
    await place.apply(stage.shipped_hub_yaml())
    await place.tell(told.ship)
    await _make(place, told.hostile, console)
    made: list[str] = []
    edited: dict[str, str] = {}
    quarter = told.edited // len(told.troubles)
    for part, trouble in enumerate(told.troubles):
        for number in range(orders // len(told.troubles)):
            buyer = (part * orders // len(told.troubles) + number) % told.people
            answer = await place.tell(told.order, {"place": buyer})
            made += [str(one[told.order.id]) for one in answer[told.order.rows]]
        await _make(place, trouble, console)
        for number, person in enumerate(people[part * quarter : (part + 1) * quarter]):
            phone = f"139{part:04d}{number:04d}"
            await place.tell(told.edit, {**person, "new_phone": phone})
            edited[str(person["name"])] = phone
        await asyncio.sleep(0.5)

    async def arrived() -> bool:
        return not await missing(place, made, edited)

    quiet = Quiet(place)
    notes: list[str] = []
    try:
        await stage.until(arrived, limit, "effects")
        await stage.until(quiet.holds, QUIET_S, "quiescence")
    except TimeoutError as error:
        notes.append(str(error))
    lost = await missing(place, made, edited)
    double = story.doubles(told, place.effects())
    notes += [f"lost: {one}" for one in lost[:10]] + [f"double: {one}" for one in double[:10]]
    if lost:
        notes += await place.undelivered()
    return Account(await place.balance(), len(lost), len(double), tuple(notes), time.monotonic() - begun)


async def _make(place: stage.Stage, trouble: story.Trouble, console: Console) -> None:
    for call in trouble.calls:
        await place.tell(call)
    console.print(f"[yellow]{trouble.words}[/yellow]")


async def missing(place: stage.Stage, orders: list[str], edited: dict[str, str]) -> list[str]:
    """What has not happened at the simulators: steps of orders, and edits that were not followed."""
    found = story.missing(place.story.steps, place.effects(), orders)
    if edited:
        followed = place.story.followed
        listed = (await place.panel(followed.path))[followed.rows]
        phones = {str(one.get(field)) for one in listed for field in followed.fields}
        found += [f"{followed.words} {person}" for person, phone in edited.items() if phone not in phones]
    return found


async def once(folder: Path, orders: int, console: Console, **how: Any) -> Account:
    """Starts a stage, travels, ends it."""
    async with stage.running(folder, **how) as place:
        return await travel(place, orders, console)


def run(orders: int = 200, database_url: str = "", redis_url: str = "", console: Console | None = None) -> int:
    """The journey with the embedded default and again with PostgreSQL and Redis; returns the exit code."""
    told = console or Console()
    accounts: list[tuple[str, Account]] = []
    with tempfile.TemporaryDirectory(prefix="shuniu-journey-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL, which will not be root, must be able to walk in
        told.rule("内嵌 embedded: SQLite + Valkey")
        accounts.append(("embedded", asyncio.run(once(folder / "embedded", orders, told))))
        tell(told, *accounts[-1], folder / "embedded")
        if database_url:
            told.rule("PostgreSQL + Redis")
            how = {"database_url": database_url, "redis_url": redis_url}
            accounts.append(("postgres", asyncio.run(once(folder / "postgres", orders, told, **how))))
            tell(told, *accounts[-1], folder / "postgres")
        elif postgres.binaries() is not None:
            told.rule("PostgreSQL + Redis")
            server = postgres.PostgresServer(folder / "pg", durable=True)
            running = server.start()
            try:
                with running.database() as url, valkey.serve(folder / "redis") as redis:
                    how = {"database_url": url, "redis_url": redis}
                    accounts.append(("postgres", asyncio.run(once(folder / "postgres", orders, told, **how))))
                    tell(told, *accounts[-1], folder / "postgres")
            finally:
                server.stop()
        else:
            told.print(
                "[yellow]这台机器没有 PostgreSQL，第二程未运行 / no PostgreSQL here: second run skipped[/yellow]"
            )
    return 0 if all(account.holds for _, account in accounts) else 1


def tell(console: Console, name: str, account: Account, folder: Path) -> None:
    """Prints what a journey came to, and the hub's log when it does not hold."""
    console.print(f"{name} {account.seconds:.1f}s", highlight=False)
    for note in account.notes:
        console.print(f"[red]{note}[/red]", highlight=False)
    if not account.holds:
        log = folder / "hub.log"
        console.print(log.read_text(encoding="utf-8")[-3000:] if log.exists() else "", highlight=False, markup=False)
    console.print(account.line(), highlight=False, soft_wrap=True)
