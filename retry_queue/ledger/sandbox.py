"""A connection that speaks to a simulator for a while: what it really is is put aside, whole, and comes back whole.

Put aside are config, secrets (with those that doors still accept), login tokens, how far each poll has read, and the
state with its reason (and which secrets were refused). A refresh token works once and a cursor passes each change once,
so the simulator must touch neither. What is put aside stays in the connection's own row, sealed like its other secrets,
so that a rotation of keys finds it. What was read before a switch and comes to be stored after it is refused
(``inbox.append``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import connections, listed, logins, secrets, tables, tokens
from retry_queue.ledger.states import WAITING_DELIVERY, ConnectionState, DeliveryState, EventState

C, K, U, D, B = tables.connections, tables.tokens, tables.cursors, tables.deliveries, tables.inbox


async def alone(connection: AsyncConnection) -> None:
    """Nobody appends events until this transaction ends: what is under way is there to be seen, the rest comes late.

    SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql("LOCK TABLE inbox IN SHARE ROW EXCLUSIVE MODE")


async def owed(connection: AsyncConnection, key: str) -> int:
    """Events from this connection that are not planned, and deliveries to it that are not over.

    They belong to the system it speaks to now; at the other one they would be lost, or do harm.
    """
    came = await unplanned(connection, key, EventState.RECEIVED, EventState.PARKED)
    goes = select(func.count()).where(D.c.connection_key == key, D.c.state.in_(WAITING_DELIVERY))
    return came + int((await connection.execute(goes)).scalar_one())


async def unplanned(connection: AsyncConnection, key: str, *states: EventState) -> int:
    """Events from this connection that are in one of these states; in none given: that were just taken in."""
    query = select(func.count()).where(B.c.connection_key == key, B.c.state.in_(states or (EventState.RECEIVED,)))
    return int((await connection.execute(query)).scalar_one())


async def given_up(connection: AsyncConnection, key: str, since: float) -> list[int]:
    """Deliveries to this connection that were made since then and wait for a person."""
    mine = (D.c.connection_key == key) & (D.c.created_at >= since)
    query = select(D.c.id).where(mine, D.c.state.in_((DeliveryState.PARKED, DeliveryState.DEAD)))
    return list((await connection.execute(query)).scalars())


async def renewing(connection: AsyncConnection, key: str, now: float) -> bool:
    """Whether a process is getting a new token of this connection right now: what it brings must not be missed."""
    query = select(func.count()).where(logins.of(key), K.c.renewing_until > now)
    return bool((await connection.execute(query)).scalar_one())


async def enter(
    connection: AsyncConnection, sealer: secrets.Sealer, row: connections.Row, config: Mapping[str, Any],
    clear: Mapping[str, str], state: ConnectionState, now: float,
) -> None:  # fmt: skip
    """Puts aside what the connection is, and gives it the simulator's config and secrets."""
    aside = {
        "secrets": row.kept(sealer),
        "referred": sorted(row.referred),
        "former": {name: [value, until] for name, (value, until) in row.formers(sealer, now).items()},
        "tokens": await _tokens(connection, sealer, row.key),
        "cursors": {one.source: one.value for one in await _cursors(connection, row.key)},
    }
    real = {"config": row.config, "secrets": sorted(row.sealed), "state": str(row.state), "since": now}
    real["reason"] = row.reason and {**row.reason, **({connections.REFUSED: row.refused} if row.refused else {})}
    sealed = {name: sealer.seal(text, connections.place(row.key, name)) for name, text in clear.items()}
    sealed[connections.REAL] = sealer.seal(json.dumps(aside), connections.place(row.key, connections.REAL))
    await _write(connection, row, {**config, connections.REAL: real}, sealed, state, None, now)
    await connection.execute(update(K).where(logins.of(row.key)).values(_over(None)))
    await _turn_cursors(connection, row.key, {}, now)
    await listed.aside(connection, row.key)


async def leave(connection: AsyncConnection, sealer: secrets.Sealer, row: connections.Row, now: float) -> None:
    """Makes the connection what it was, whole. Raises SecretUnreadable; ValueError when nothing was put aside."""
    if row.real is None or row.held is None:
        raise ValueError(f"{row.key} has nothing put aside")
    aside = json.loads(sealer.open(row.held, connections.place(row.key, connections.REAL)))
    place = connections.place
    referred = set(aside.get("referred", ()))
    stored = {name + connections.AT if name in referred else name: text for name, text in aside["secrets"].items()}
    sealed = {name: sealer.seal(text, place(row.key, name)) for name, text in stored.items()}
    for name, (value, until) in aside["former"].items():
        kept = json.dumps({"value": value, "until": until})
        sealed[name + connections.FORMER] = sealer.seal(kept, place(row.key, name + connections.FORMER))
    state, reason = ConnectionState(row.real["state"]), row.real.get("reason")
    await _write(connection, row, row.real["config"], sealed, state, reason, now)
    for key in await _token_keys(connection, row.key):
        one = aside["tokens"].get(key)
        text = None if one is None else sealer.seal(json.dumps(one["kept"]), tokens.place(key))
        values = {**_over(text), "expires_at": one["expires_at"] if one else 0}
        await connection.execute(update(K).where(K.c.key == key).values(values))
    await _turn_cursors(connection, row.key, aside["cursors"], now)
    await listed.back(connection, row.key)


def references(sealer: secrets.Sealer, row: connections.Row) -> dict[str, str]:
    """Where the secrets live that were put aside as references: field -> reference. Raises SecretUnreadable."""
    aside = json.loads(sealer.open(row.held or "", connections.place(row.key, connections.REAL)))
    return {name: str(aside["secrets"][name]) for name in aside.get("referred", ())}


def _over(value: str | None) -> dict[str, Any]:
    return {"value": value, "expires_at": 0, "renewing_until": 0, "epoch": K.c.epoch + 1}


async def _write(
    connection: AsyncConnection, row: connections.Row, config: Mapping[str, Any], sealed: Mapping[str, str],
    state: ConnectionState, reason: Mapping[str, str] | None, now: float,
) -> None:  # fmt: skip
    values = {
        "config": json.dumps(dict(config), ensure_ascii=False, sort_keys=True),
        "secrets": json.dumps(dict(sealed), sort_keys=True), "state": str(state),
        "reason": json.dumps(dict(reason), ensure_ascii=False) if reason else None,
        "version": row.version + 1, "updated_at": now, "switches": row.switches + 1,
    }  # fmt: skip
    await connection.execute(update(C).where(C.c.key == row.key).values(values))


async def _token_keys(connection: AsyncConnection, key: str) -> list[str]:
    return list((await connection.execute(select(K.c.key).where(logins.of(key)))).scalars())


async def _tokens(connection: AsyncConnection, sealer: secrets.Sealer, key: str) -> dict[str, Any]:
    found = {}
    for name in await _token_keys(connection, key):
        one = await tokens.get(connection, sealer, name)
        if one is not None:
            found[name] = {"kept": {"value": one.value, "extra": one.extra}, "expires_at": one.expires_at}
    return found


async def _cursors(connection: AsyncConnection, key: str) -> list[Any]:
    return list(await connection.execute(select(U).where(U.c.connection_key == key)))


async def _turn_cursors(connection: AsyncConnection, key: str, values: Mapping[str, str | None], now: float) -> None:
    """Gives each cursor its other place; a poll that is under way has lost its lease."""
    for one in await _cursors(connection, key):
        here = (U.c.connection_key == key) & (U.c.source == one.source)
        anew = {"value": values.get(one.source), "fence": U.c.fence + 1, "owner": None, "next_at": now, "failures": 0,
                "last_error": None}  # fmt: skip
        await connection.execute(update(U).where(here).values(anew))
