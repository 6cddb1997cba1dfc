"""``shuniu demo``: hub, simulators, a ready configuration and steady traffic; prints what flows as it flows.

Ctrl-C ends everything; nothing is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from gateway import children, security
from gateway.trial import stage, story
from retry_queue.ledger import tallies

ACCOUNT = "demo"


async def play(place: stage.Stage, console: Console, stopped: asyncio.Event, every: float) -> None:
    """Sets the stage up and drives traffic until ``stopped``."""
    people = await place.meet()
    await place.tell(place.story.slow_ship)
    await place.apply(stage.shipped_hub_yaml())
    password = await _account(place)
    console.print(f"[bold green]枢纽已就绪 the hub is ready: {place.hub_url}/[/bold green]")
    console.print(f"登录 sign in: [bold]{ACCOUNT}[/bold] / [bold]{password}[/bold]", highlight=False)
    console.print(f"模拟器 simulators: {place.sim_url}/_sim    接口文档 OpenAPI: {place.hub_url}/api/openapi.json")
    console.print("按 Ctrl-C 结束 / Ctrl-C ends everything\n")
    async with asyncio.TaskGroup() as group:
        work = [
            group.create_task(_traffic(place, people, every)),
            group.create_task(_report(place, console)),
            group.create_task(_ledger(place, console)),
        ]
        await stopped.wait()
        for task in work:
            task.cancel()


async def _account(place: stage.Stage) -> str:
    """An owner for the demo's admin UI; returns the password, which is new each time."""
    password = "-".join(secrets.token_hex(2) for _ in range(3))
    made = await security.hashed(password)
    async with place.ledger.write() as connection:
        await security.add_user(connection, place.sealer, ACCOUNT, made, "owner", time.time(), "demo")
    return password


async def _traffic(place: stage.Stage, people: list[dict[str, Any]], every: float) -> None:
    """Orders at a steady rate; now and then somebody edits a customer in the CRM."""
    dice = random.Random(7)
    turn = 0
    while True:
        await place.tell(place.story.order, {"place": dice.randrange(len(people))})
        turn += 1
        if turn % 10 == 0:
            person = dice.choice(people)
            await place.tell(place.story.edit, {**person, "new_phone": f"139{dice.randrange(10**8):08d}"})
        await asyncio.sleep(every)


async def _report(place: stage.Stage, console: Console) -> None:
    """Prints effects as the simulators note them."""
    told = 0
    while True:
        effects = place.effects()
        for effect in effects[told:]:
            words = place.story.told.get(story.kind(effect))
            if words:
                console.print(f"  {words}  [dim]{str(effect['key'])[:40]}[/dim]", highlight=False)
        told = len(effects)
        await asyncio.sleep(0.3)


async def _ledger(place: stage.Stage, console: Console) -> None:
    while True:
        await asyncio.sleep(5.0)
        console.print(f"[cyan]台账 ledger  {line(await place.balance())}[/cyan]", highlight=False)


def line(told: tallies.Balance) -> str:
    """The balance for people."""
    verdict = "平 balanced" if told.difference == 0 else f"差额 difference {told.difference}"
    return (
        f"接收 {told.received} = 投递 {told.delivered} + 重复 {told.duplicate} + 无需处理 {told.filtered}"
        f" + 死信 {told.dead} + 在途 {told.in_flight}  ({verdict})"
    )


async def _run(console: Console, seconds: float | None, port: int, sim_port: int, every: float) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stopped.set)
    if seconds is not None:
        loop.call_later(seconds, stopped.set)
    with tempfile.TemporaryDirectory(prefix="shuniu-demo-", dir="/tmp") as name:
        console.print("正在启动枢纽与模拟器… starting the hub and the simulators…")
        async with stage.running(Path(name), hub_port=port, sim_port=sim_port, pace=0.2, time_scale=0.1) as place:
            playing = asyncio.create_task(play(place, console, stopped, every))
            waiting = asyncio.create_task(stopped.wait())
            await asyncio.wait({playing, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(asyncio.shield(playing), 5.0) if not playing.done() else playing.result()
            with contextlib.suppress(TimeoutError):
                await stage.until(lambda: _settled(place), 15.0, "quiescence")
            told = await place.balance()
            console.print(f"\n[bold]台账 ledger  {line(told)}[/bold]", highlight=False)
    console.print("已全部结束 everything ended")
    return 0 if told.difference == 0 else 1


async def _settled(place: stage.Stage) -> bool:
    return (await place.balance()).in_flight == 0


def run(*, port: int = 8080, rate: float = 1.0, seconds: float | None = None, sim_port: int = 9100) -> int:
    """Runs the demo with ``rate`` orders a second until Ctrl-C (or for ``seconds``).

    Returns the exit code, 1 when the ledger does not balance in the end.
    """
    console = Console()
    taken = [one for one in (port, sim_port) if not children.port_is_free(one)]
    if taken:
        console.print(f"[yellow]端口 {taken} 已被占用，改用空闲端口 / ports {taken} taken; using free ones[/yellow]")
        port = sim_port = 0
    return asyncio.run(_run(console, seconds, port, sim_port, 1.0 / rate))
