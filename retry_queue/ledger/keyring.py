"""The ring of data keys, and changing them while everything runs.

One JSON in the settings: key id -> {wrapped, state, since}. States: ``coming`` (known to all before it is used),
``current`` (seals), ``leaving`` (opens until nothing is sealed with it). ``step`` does the next piece of a rotation and
may be called by anybody, at any time, again after a crash: each piece is one transaction, and a sealed text is replaced
only if it still reads as it was read.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import audit, configuration, connections, secrets, session, tables, tokens

SETTING = "keyring"
GRACE = 15.0
"""Seconds in which every running process hears of a new key: they look each second, and are given up after ten."""
BATCH = 200
C, T = tables.connections, tables.tokens

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rotation is: ``idle``, ``announced`` (until all know the new key), ``sealing`` or ``stuck``.

    ``left`` counts rows that hold older keys' texts; ``wait`` is how many seconds nothing is to be done. ``stuck``:
    what is left does not open with any key there is.
    """

    phase: str
    left: int
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Key:
    """One data key of the ring: the id of the master it is wrapped by, and how many rows hold its texts."""

    id: str
    state: str
    since: float
    master: str
    rows: int


async def read(connection: AsyncConnection) -> dict[str, dict[str, Any]]:
    """The ring; empty before the first rotation."""
    return dict(await configuration.setting(connection, SETTING) or {})


async def load(ledger: session.Ledger, sealer: secrets.Sealer) -> None:
    """Makes a sealer know the ring of this ledger; raises SecretUnreadable."""
    async with ledger.read() as connection:
        sealer.take(await read(connection))


async def _write(connection: AsyncConnection, sealer: secrets.Sealer, ring: dict[str, dict[str, Any]]) -> None:
    await configuration.put_setting(connection, SETTING, ring)
    await configuration.touch(connection)
    sealer.take(ring)


async def begin(connection: AsyncConnection, sealer: secrets.Sealer, now: float, actor: str) -> str:
    """Begins a rotation: a new data key that everybody gets to know, and all keys under the current master.

    Returns the new key's id; where a rotation is under way already, that one's.
    """
    await audit.lock(connection)
    ring = await read(connection)
    sealer.take(ring)
    under_way = [kid for kid, one in ring.items() if one["state"] == "coming"]
    if under_way:
        return under_way[0]
    kept = {kid: {**one, "wrapped": sealer.wrap(kid, sealer.unwrap(kid, one["wrapped"]))} for kid, one in ring.items()}
    if not kept:
        kept[secrets.DIGESTS] = {"wrapped": sealer.wrap(secrets.DIGESTS), "state": "kept", "since": now}
        kept[sealer.current] = {"wrapped": sealer.wrap(sealer.current), "state": "current", "since": now}
    fresh = os.urandom(4).hex()
    kept[fresh] = {"wrapped": sealer.wrap(fresh, os.urandom(32)), "state": "coming", "since": now}
    await _write(connection, sealer, kept)
    await audit.append(connection, sealer, now, actor, "keys.rotate", f"key/{fresh}", {"master": sealer.master})
    return fresh


async def step(ledger: session.Ledger, sealer: secrets.Sealer, now: float, grace: float = GRACE) -> Standing:
    """The next piece of the rotation under way, if there is one."""
    async with ledger.read() as connection:
        ring = await read(connection)
        sealer.take(ring)
    states = {one["state"]: kid for kid, one in ring.items()}
    coming = states.get("coming")
    if coming is not None:
        wait = float(ring[coming]["since"]) + grace - now
        if wait > 0:
            return Standing("announced", 0, wait)
        await _turn(ledger, sealer, coming, now)
        return Standing("sealing", 0)
    if "leaving" not in states:
        return Standing("idle", 0)
    done = await _reseal(ledger, sealer)
    async with ledger.read() as connection:
        left = await remaining(connection, sealer.current)
    if left or done:
        return Standing("sealing" if done else "stuck", left)
    wait = float(ring[sealer.current]["since"]) + grace - now
    if wait > 0:  # somebody may still be about to write what was sealed with the key before
        return Standing("sealing", 0, wait)
    await _finish(ledger, sealer, now)
    return Standing("idle", 0)


async def _turn(ledger: session.Ledger, sealer: secrets.Sealer, coming: str, now: float) -> None:
    async with ledger.write() as connection:
        await audit.lock(connection)
        ring = await read(connection)
        if ring.get(coming, {}).get("state") != "coming":
            return  # somebody else did it
        for one in ring.values():
            if one["state"] == "current":
                one["state"] = "leaving"
        ring[coming] |= {"state": "current", "since": now}
        await _write(connection, sealer, ring)


async def _finish(ledger: session.Ledger, sealer: secrets.Sealer, now: float) -> None:
    async with ledger.write() as connection:
        await audit.lock(connection)
        ring = await read(connection)
        leaving = [kid for kid, one in ring.items() if one["state"] == "leaving"]
        if not leaving or await remaining(connection, sealer.current):
            return
        await _write(connection, sealer, {kid: one for kid, one in ring.items() if kid not in leaving})
        await audit.append(
            connection, sealer, now, "hub", "keys.retire", f"key/{leaving[0]}", {"current": sealer.current}
        )


# --- what is sealed -----------------------------------------------------------------------------


def _sealed_elsewhere(current: str) -> Any:
    """Rows of connections that hold a text of another key: with those of the current one taken out, is any left?"""
    return func.replace(C.c.secrets, f"s1.{current}.", "").like("%s1.%")


def _old_tokens(current: str) -> Any:
    return and_(T.c.value.is_not(None), T.c.value.not_like(f"s1.{current}.%"))


async def remaining(connection: AsyncConnection, current: str) -> int:
    """How many rows hold a text that another key than ``current`` sealed."""
    return await _count(connection, _sealed_elsewhere(current), C) + await _count(connection, _old_tokens(current), T)


async def _reseal(ledger: session.Ledger, sealer: secrets.Sealer) -> int:
    """Seals up to BATCH rows of each kind anew; how many it was. What does not open stays as it is."""
    done = 0
    async with ledger.write() as connection:
        query = select(C.c.key, C.c.secrets).where(_sealed_elsewhere(sealer.current)).order_by(C.c.key).limit(BATCH)
        for row in (await connection.execute(query.with_for_update(skip_locked=True))).all():
            known = json.loads(row.secrets)
            fresh = {field: _anew(sealer, text, connections.place(row.key, field)) for field, text in known.items()}
            if fresh != known:
                done += 1
                same = (C.c.key == row.key) & (C.c.secrets == row.secrets)
                await connection.execute(update(C).where(same).values(secrets=json.dumps(fresh, sort_keys=True)))
        kept = select(T.c.key, T.c.value).where(_old_tokens(sealer.current)).order_by(T.c.key).limit(BATCH)
        for row in (await connection.execute(kept.with_for_update(skip_locked=True))).all():
            text = _anew(sealer, row.value, tokens.place(row.key))
            if text != row.value:
                done += 1
                same = (T.c.key == row.key) & (T.c.value == row.value)
                await connection.execute(update(T).where(same).values(value=text))
    return done


def _anew(sealer: secrets.Sealer, sealed: str, place: str) -> str:
    if secrets.key_of(sealed) == sealer.current:
        return sealed
    try:
        return sealer.seal(sealer.open(sealed, place), place)
    except secrets.SecretUnreadable as error:
        log.warning("keys.unreadable", place=place, error=str(error))
        return sealed


async def listed(connection: AsyncConnection, sealer: secrets.Sealer) -> list[Key]:
    """The data keys, the current one first; before the first rotation the one made from the master."""
    ring = await read(connection) or {sealer.current: {"wrapped": f"w1.{sealer.masters[-1]}.", "state": "current"}}
    found = []
    for kid, one in ring.items():
        if kid == secrets.DIGESTS:
            continue
        rows = await _count(connection, C.c.secrets.like(f"%s1.{kid}.%"), C)
        rows += await _count(connection, T.c.value.like(f"s1.{kid}.%"), T)
        since, master = float(one.get("since", 0.0)), str(one["wrapped"]).split(".")[1]
        found.append(Key(kid, str(one["state"]), since, master, rows))
    return sorted(found, key=lambda one: (one.state != "current", one.since))


async def masters_needed(connection: AsyncConnection, sealer: secrets.Sealer) -> set[str]:
    """Ids of the master keys without which something could not be opened."""
    ring = await read(connection)
    return {str(one["wrapped"]).split(".")[1] for one in ring.values()} or {sealer.masters[-1]}


async def _count(connection: AsyncConnection, holds: Any, table: Any) -> int:
    return int((await connection.execute(select(func.count()).select_from(table).where(holds))).scalar_one())
