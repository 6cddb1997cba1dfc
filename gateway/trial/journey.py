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
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from gateway import valkey
from gateway.trial import postgres, stage
from retry_queue.ledger import tallies

PEOPLE = 60
"""Buyers of the run; each has a WeCom contact, a CRM customer and an ERP customer."""
EDITED = 20
"""Customers that a person edits in the CRM during the run."""


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


async def travel(place: stage.Stage, orders: int, console: Console, limit: float = 240.0) -> Account:
    """One journey on a running stage."""
    begun = time.monotonic()
    await place.meet(PEOPLE, EDITED)
    console.print("[dim]客户已互相认识 customers are linked[/dim]")
    await place.apply(stage.shipped_hub_yaml())
    await place.panel("kingdee/configure", {"auto_ship": 200})
    await place.panel("taobao/faults", {"duplicate_push": 2, "duplicate_rate": 0.5, "reorder_push": 1.0})
    await place.panel("wecom/faults", {"duplicate_push": 2})
    await place.panel("crm/faults", {"duplicate_push": 2, "reorder_push": 0.5})
    console.print("[dim]推送会重复、乱序、迟到 / pushes come twice, out of order and late[/dim]")
    made: list[str] = []
    edited: dict[str, str] = {}
    people = [one["ids"]["crm.id"] for one in (await place.panel("world"))[:EDITED]]
    for part in range(4):
        for number in range(orders // 4):
            buyer = (part * orders // 4 + number) % PEOPLE
            told = await place.panel("taobao/orders", {"count": 1, "customer": buyer})
            made += [str(one["tid"]) for one in told["orders"]]
        await _trouble(place, part, console)
        for person in people[part * EDITED // 4 : (part + 1) * EDITED // 4]:
            phone = f"139{int(person[-4:]):08d}"
            await place.panel(f"crm/customers/{person}", {"mobile": phone})
            edited[person] = phone
        await asyncio.sleep(0.5)

    async def arrived() -> bool:
        return not await missing(place, made, edited)

    async def quiet() -> bool:
        return (await place.balance()).in_flight == 0

    notes: list[str] = []
    try:
        await stage.until(arrived, limit, "effects")
        await stage.until(quiet, 60.0, "quiescence")
    except TimeoutError as error:
        notes.append(str(error))
    await asyncio.sleep(2.0)  # an echo or a second message would show up now
    lost = await missing(place, made, edited)
    double = doubles(place.effects())
    notes += [f"lost: {one}" for one in lost[:10]] + [f"double: {one}" for one in double[:10]]
    return Account(await place.balance(), len(lost), len(double), tuple(notes), time.monotonic() - begun)


async def _trouble(place: stage.Stage, part: int, console: Console) -> None:
    """Something goes wrong in each quarter."""
    if part == 0:
        await place.panel("kingdee/faults", {"drop_reply": 1, "drop_kinds": ["sales_order"]})
        said = "金蝶保存成功但回复丢失 / the ERP saves, its reply is lost"
    elif part == 1:
        await place.panel("kingdee/expire_sessions", {})
        await place.panel("wecom/tokens/expire", {})
        said = "会话与令牌过期 / session and token end"
    elif part == 2:
        await place.panel("kingdee/faults", {"throttle": 12})
        said = "金蝶限流 / the ERP throttles"
    else:
        await place.panel("taobao/faults", {"drop_reply": 1, "drop_kinds": ["shipment"]})
        said = "淘宝发货成功但回复丢失 / Tmall ships, its reply is lost"
    console.print(f"[yellow]{said}[/yellow]")


async def missing(place: stage.Stage, orders: list[str], edited: dict[str, str]) -> list[str]:
    """Steps that have not happened at the simulators, as ``step of record``."""
    done: dict[str, set[str]] = {}
    texts: list[str] = []
    for effect in place.effects():
        done.setdefault(f"{effect['simulator']}.{effect['kind']}", set()).add(str(effect["key"]))
        if effect["simulator"] == "wecom" and effect["kind"] == "message":
            texts.append(str(effect["data"]))
    said = "\n".join(texts)
    wanted = [
        ("kingdee.sales_order", "销售订单 sales order"),
        ("kingdee.sales_order.audit", "审核 audit"),
        ("taobao.shipment", "天猫发货 shipment"),
    ]
    found = [f"{words} {key}" for kind, words in wanted for key in orders if key not in done.get(kind, set())]
    found += [f"企微消息 message {key}" for key in orders if key not in said]
    shown = await _last_orders(place)
    found += [f"CRM 最近订单 last order {key}" for key in orders if key not in shown]
    found += [f"ERP 客户电话 customer {key}" for key in await _unfollowed(place, edited)]
    return found


async def _last_orders(place: stage.Stage) -> set[str]:
    """Orders that were some customer's last one in the CRM."""
    return {
        str((effect["data"].get("last_order") or {}).get("number"))
        for effect in place.effects()
        if effect["simulator"] == "crm" and effect["kind"] == "customer.last_order"
    }


async def _unfollowed(place: stage.Stage, edited: dict[str, str]) -> list[str]:
    """Edited customers whose new phone the ERP does not have."""
    if not edited:
        return []
    told = await place.panel("kingdee/documents/BD_Customer")
    phones = {str(one.get("FTEL") or one.get("TEL") or "") for one in told["documents"]}
    return [person for person, phone in edited.items() if phone not in phones]


def doubles(effects: list[dict[str, Any]]) -> list[str]:
    """Effects that happened more than once for one natural key, and customers written back to the CRM."""
    once = {("kingdee", "sales_order"), ("kingdee", "shipment"), ("taobao", "shipment"), ("wecom", "message")}
    counts = Counter(
        f"{effect['simulator']}.{effect['kind']} {effect['key']}"
        for effect in effects
        if (effect["simulator"], effect["kind"]) in once
    )
    echoed = [
        f"echo {one['kind']} {one['key']}"
        for one in effects
        if one["simulator"] == "crm" and one["kind"] in ("customer.create", "customer.update")
        if not str(one["key"]).startswith("human:")
    ]
    return [f"{key} × {n}" for key, n in counts.items() if n > 1] + echoed


async def once(folder: Path, orders: int, console: Console, **how: Any) -> Account:
    """Starts a stage, travels, ends it."""
    async with stage.running(folder, **how) as place:
        return await travel(place, orders, console)


def run(orders: int = 200, database_url: str = "", redis_url: str = "", console: Console | None = None) -> int:
    """The journey with the embedded default and again with PostgreSQL and Redis; returns the exit code."""
    told = console or Console()
    accounts: list[tuple[str, Account]] = []
    with tempfile.TemporaryDirectory(prefix="shuniu-journey-", dir="/tmp") as name:  # noqa: S108 - short socket paths
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL, which will not be root, must be able to walk in
        told.rule("内嵌 embedded: SQLite + Valkey")
        accounts.append(("embedded", asyncio.run(once(folder / "embedded", orders, told))))
        _tell(told, *accounts[-1], folder / "embedded")
        if database_url:
            told.rule("PostgreSQL + Redis")
            how = {"database_url": database_url, "redis_url": redis_url}
            accounts.append(("postgres", asyncio.run(once(folder / "postgres", orders, told, **how))))
            _tell(told, *accounts[-1], folder / "postgres")
        elif postgres.binaries() is not None:
            told.rule("PostgreSQL + Redis")
            server = postgres.PostgresServer(folder / "pg", durable=True)
            running = server.start()
            try:
                with running.database() as url, valkey.serve(folder / "redis") as redis:
                    how = {"database_url": url, "redis_url": redis}
                    accounts.append(("postgres", asyncio.run(once(folder / "postgres", orders, told, **how))))
                    _tell(told, *accounts[-1], folder / "postgres")
            finally:
                server.stop()
        else:
            told.print("[yellow]这台机器没有 PostgreSQL，第二程未运行 / no PostgreSQL here: second run skipped[/yellow]")
    return 0 if all(account.holds for _, account in accounts) else 1


def _tell(console: Console, name: str, account: Account, folder: Path) -> None:
    console.print(f"{name} {account.seconds:.1f}s", highlight=False)
    for note in account.notes:
        console.print(f"[red]{note}[/red]", highlight=False)
    if not account.holds:
        log = folder / "hub.log"
        console.print(log.read_text(encoding="utf-8")[-3000:] if log.exists() else "", highlight=False, markup=False)
    console.print(account.line(), highlight=False, soft_wrap=True)
