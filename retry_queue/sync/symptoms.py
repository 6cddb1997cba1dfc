"""What could be told of: the vital signs of the hub and its connections as findings, before any rule looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import grant, model, plan
from retry_queue.ledger import breakers, reconciliations, secrets, session, tallies, tokens, vitals
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import alarm
from retry_queue.sync import site as sites


async def read(
    ledger: session.Ledger, site: sites.Site, asked: Iterable[str], grants: Mapping[str, float], now: float
) -> list[alarm.Finding]:
    """Everything that is not as it should be, or may not be; rules say what of it counts.

    ``asked``: connections whose silence matters although no route begins there; ``grants``: when authorisations end.
    """
    live = {key: one for key, one in site.live.items() if one.used}
    sources = {one.source.connection for one in site.routes.values() if one.enabled} | set(asked)
    working = {key for key, one in live.items() if one.state is ConnectionState.ENABLED}
    async with ledger.read() as db:
        signs = await vitals.read(db, sources & working, [key for key, one in live.items() if one.delivers])
        balance = await tallies.balance(db)
        drift = await reconciliations.drift(db)
        shut = {place: row for place, row in (await breakers.every(db))[0].items() if row.shut}
    found = list(_counted(signs))
    for key, one in live.items():
        broken = one.opened is None and one.state is ConnectionState.ENABLED
        if one.state is ConnectionState.NEEDS_AUTH or broken:
            found.append(alarm.Finding("needs_auth", key, 1, (key,), one.problem))
    for (key, operation), row in shut.items():
        if key in live:
            name = f"{key} · {operation}" if operation else key
            found.append(alarm.Finding("breaker", name, 1, (key,), row.reason))
    for key, until in grants.items():
        if key in live:
            found.append(alarm.Finding("expiring", key, max(until - now, 0.0), (key,)))
    differing: dict[tuple[str, str, str], float] = {}
    for row in drift:
        place = (row.left_key, row.right_key, row.entity)
        differing[place] = differing.get(place, 0.0) + float(row.n or 0)
    for (left, right, entity), n in differing.items():
        if n:
            found.append(alarm.Finding("drift", f"{left} ↔ {right} · {entity}", n, (left, right)))
    if balance.difference:
        found.append(alarm.Finding("difference", "", abs(balance.difference)))
    if signs.conflicts:
        found.append(alarm.Finding("conflicts", "", signs.conflicts))
    return found


def _counted(signs: vitals.Signs) -> Iterator[alarm.Finding]:
    for kind, counted in (
        ("parked", signs.parked), ("dead", signs.dead), ("quarantine", signs.rejected), ("overdue", signs.late),
        ("failing", signs.failing), ("silent", signs.silent),
    ):  # fmt: skip
        for key, n in sorted(counted.items()):
            yield alarm.Finding(kind, key, n, (key,))


async def grants(ledger: session.Ledger, sealer: secrets.Sealer, site: sites.Site) -> dict[str, float]:
    """Connection -> when what a person authorised ends, where the system told."""
    out: dict[str, float] = {}
    async with ledger.read() as db:
        for key, one in site.live.items():
            until = await granted(db, sealer, key, one.opened) if one.used else None
            if until is not None:
                out[key] = until
    return out


async def granted(
    db: AsyncConnection, sealer: secrets.Sealer, key: str, opened: model.Connection | None
) -> float | None:
    """When what a person authorised for a connection ends, Unix seconds; None where nobody told.

    What the system told goes before what a person entered.
    """
    entered = grant.entered_until(opened) if opened is not None else None
    told = []
    try:
        for place in {"", *plan.logins(opened)} if opened is not None else {""}:
            kept = await tokens.get(db, sealer, key + place)
            told.append(grant.granted_until(kept.extra) if kept is not None else None)
    except secrets.SecretUnreadable:
        return entered
    return min((one for one in told if one is not None), default=entered)
