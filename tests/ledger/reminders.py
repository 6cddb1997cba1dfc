"""What the timer tests share: contacts, orders, the route that reminds, and what became of it."""

from __future__ import annotations

from typing import Any

from retry_queue.ledger import configuration, session, timers
from tests.ledger import hub as hubs
from tests.ledger import making


def person(name: str, unionid: str, minute: int = 0, **more: Any) -> dict[str, Any]:
    """A contact as the source ``contacts`` tells it."""
    return {
        "id": name, "name": name, "identities": [{"kind": "unionid", "value": unionid}],
        "updated_at": f"2024-11-11T00:{minute:02}:00+00:00",
    } | more  # fmt: skip


def bought(name: str, unionid: str, **more: Any) -> dict[str, Any]:
    return hubs.order(name, **{"buyer": {"identities": [{"kind": "unionid", "value": unionid}]}, **more})


async def words(ledger: session.Ledger, **more: Any) -> None:
    """A template; its recipient is the contact's owner, or its id."""
    given = {"key": "t", "recipients": ["{customer.owner}"], "text": "{customer.name}"} | more
    async with ledger.write() as connection:
        await configuration.put_setting(connection, "templates", [given])
        await configuration.touch(connection)


async def remind(ledger: session.Ledger, *, after: str = "1h", **more: Any) -> None:
    """The route under test: contacts to the target ``desk``."""
    given: dict[str, Any] = {"after": after, "unless": [{"entity": "order"}]} | more
    to = [{"connection": "desk", "operation": "send", **given.pop("to", {})}]
    await hubs.route(ledger, "remind", to=to, **{"from": {"connection": "contacts", "entity": "customer"}}, **given)


async def ends(worker: hubs.Worker) -> dict[str, tuple[str, str | None]]:
    """Record -> state and reason of its delivery."""
    rows = await making.rows(
        worker.ledger,
        "SELECT r.record, d.state, d.reason FROM deliveries d JOIN records r ON r.id = d.record_id ORDER BY d.id",
    )
    return {row.record: (row.state, row.reason) for row in rows}


async def states(worker: hubs.Worker) -> list[tuple[str, str | None]]:
    rows = await making.rows(worker.ledger, "SELECT state, reason FROM timers ORDER BY delivery_id")
    return [(row.state, row.reason) for row in rows]


async def fire(worker: hubs.Worker, record: str) -> None:
    """As a person sends a waiting one now: nothing here waits for real time."""
    async with worker.ledger.write() as connection:
        found = {one.record: one for one in await timers.search(connection, limit=100)}
        assert await timers.fire(connection, found[record].delivery_id)


async def ended(worker: hubs.Worker, record: str) -> None:
    async def over() -> bool:
        return (await ends(worker))[record] == ("skipped", "cancelled")

    await making.until(over, what=f"{record} cancelled")


async def planned(worker: hubs.Worker, n: int) -> None:
    async def there() -> bool:
        return len(await making.rows(worker.ledger, "SELECT 1 FROM timers")) >= n

    await making.until(there, what=f"{n} timers")


async def seen(worker: hubs.Worker, record: str) -> list[Any]:
    query = "SELECT 1 FROM inbox i JOIN events e ON e.id = i.id WHERE e.record = :record AND i.state <> 'received'"
    return await making.rows(worker.ledger, query, record=record)
