"""Connections 连接: one authorised account of a connector each, with its secrets sealed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import configuration, secrets, sql, tables
from retry_queue.ledger.states import ConnectionState

T = tables.connections
FORMER = "~former"
"""Behind a field's name, in the JSON of sealed texts: what the field was before."""
REAL = "~real"
"""In the JSON of config and of sealed texts while a simulator stands in (``sandbox``): what it really is."""
_PAUSE = sql.Statement(
    """
    UPDATE connections SET state = {2}, reason = {3}, updated_at = {now}
    WHERE key = {1} AND state = 'enabled' RETURNING key
    """
)


@dataclass(frozen=True, slots=True)
class Row:
    """A stored connection; ``sealed`` holds secrets as stored."""

    key: str
    connector: str
    config: dict[str, Any]
    sealed: dict[str, str]
    state: ConnectionState
    reason: dict[str, str] | None
    version: int
    created_at: float
    updated_at: float
    former: dict[str, str] = field(default_factory=dict)
    """Sealed as well: field -> JSON {value, until} of the secret before, which doors accept until then."""
    real: dict[str, Any] | None = None
    """While a simulator stands in: {config, secrets (names), state, since} of the real system."""
    held: str | None = None
    """Sealed: what else is put aside for its return."""

    def formers(self, sealer: secrets.Sealer, now: float) -> dict[str, tuple[str, float]]:
        """Field -> its secret before and until when it counts; raises SecretUnreadable."""
        found = {}
        for name, text in self.former.items():
            told = json.loads(sealer.open(text, place(self.key, name + FORMER)))
            if told["until"] > now:
                found[name] = (str(told["value"]), float(told["until"]))
        return found

    def opened(self, sealer: secrets.Sealer) -> dict[str, str]:
        """The secrets in clear; raises SecretUnreadable."""
        return {field: sealer.open(text, place(self.key, field)) for field, text in self.sealed.items()}

    def really(self) -> Row:
        """The connection as it is without the simulator; its secrets are named only."""
        if self.real is None:
            return self
        told = self.real
        sealed, state = dict.fromkeys(told["secrets"], ""), ConnectionState(told["state"])
        return replace(self, config=told["config"], sealed=sealed, state=state, real=None, held=None)


def place(key: str, field: str) -> str:
    """Where a connection's secret stands, for sealing."""
    return f"connections/{key}/{field}"


def _row(row: Any) -> Row:
    stored, config = json.loads(row.secrets), json.loads(row.config)
    held, real = stored.pop(REAL, None), config.pop(REAL, None)
    return Row(
        key=row.key,
        connector=row.connector,
        config=config,
        real=real,
        held=held,
        sealed={name: text for name, text in stored.items() if not name.endswith(FORMER)},
        former={name.removesuffix(FORMER): text for name, text in stored.items() if name.endswith(FORMER)},
        state=ConnectionState(row.state),
        reason=json.loads(row.reason) if row.reason else None,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def all_rows(connection: AsyncConnection) -> list[Row]:
    """Every connection, by key."""
    return [_row(row) for row in await connection.execute(select(T).order_by(T.c.key))]


async def get(connection: AsyncConnection, key: str) -> Row | None:
    row = (await connection.execute(select(T).where(T.c.key == key))).first()
    return None if row is None else _row(row)


async def put(
    connection: AsyncConnection,
    sealer: secrets.Sealer,
    key: str,
    connector: str,
    config: Mapping[str, Any],
    clear: Mapping[str, str],
    state: ConnectionState,
    now: float,
    *,
    overlap: float = 0.0,
) -> Row:
    """Creates or changes a connection. Secrets that are not given stay as they are; an empty one goes.

    ``overlap``: for so many seconds the door goes on taking what is proven with a secret that changes here.
    Raises ValueError while a simulator stands in for it: what was put aside would be lost.
    """
    before = await get(connection, key)
    if before is not None and before.real is not None:
        raise ValueError(f"a simulator stands in for {key}")
    same = before is not None and before.connector == connector
    sealed = dict(before.sealed) if before and same else {}
    former = dict(before.former) if before and same else {}
    for name, value in clear.items():
        if overlap > 0 and name in sealed:
            kept = json.dumps({"value": sealer.open(sealed[name], place(key, name)), "until": now + overlap})
            former[name] = sealer.seal(kept, place(key, name + FORMER))
        elif name in sealed:
            former.pop(name, None)  # changed without an overlap: what was before counts no more
        if value == "":
            sealed.pop(name, None)
        else:
            sealed[name] = sealer.seal(value, place(key, name))
    stored_as = sealed | {name + FORMER: text for name, text in former.items()}
    values = {
        "connector": connector,
        "config": json.dumps(dict(config), ensure_ascii=False, sort_keys=True),
        "secrets": json.dumps(stored_as, sort_keys=True),
        "state": str(state),
        "reason": None,
        "updated_at": now,
    }
    if before is None:
        await connection.execute(insert(T).values(key=key, created_at=now, version=1, **values))
    else:
        await connection.execute(update(T).where(T.c.key == key).values(version=before.version + 1, **values))
    stored = await get(connection, key)
    if stored is None:
        raise LookupError(key)
    return stored


async def set_state(
    connection: AsyncConnection, key: str, state: ConnectionState, reason: dict[str, str] | None, now: float
) -> None:
    """Enables, pauses or disables."""
    text = json.dumps(reason, ensure_ascii=False) if reason else None
    await connection.execute(
        update(T).where(T.c.key == key).values(state=str(state), reason=text, updated_at=now, version=T.c.version + 1)
    )


async def refuse(connection: AsyncConnection, key: str, reason: dict[str, str]) -> bool:
    """Marks refused credentials and tells every process.

    True only for the first to notice, so that one alert goes out.
    """
    text = json.dumps(reason, ensure_ascii=False)
    first = bool(await _PAUSE.run(connection, (), key, str(ConnectionState.NEEDS_AUTH), text))
    if first:
        await configuration.touch(connection)
    return first


async def remove(connection: AsyncConnection, key: str) -> None:
    await connection.execute(delete(T).where(T.c.key == key))
