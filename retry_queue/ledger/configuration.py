"""What a site configures beside connections: routes, mapping versions, and small settings by key.

``epoch`` grows with every change, so that running processes notice and reload.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql, tables

R, M, S = tables.routes, tables.mapping_versions, tables.settings
EPOCH = "epoch"
DECLARATIONS = "declarations"
"""Setting: id -> text of the connectors that the site declared itself."""

_EPOCH = sql.Statement(f"SELECT version FROM settings WHERE key = '{EPOCH}'")
_PUT_SETTING = sql.Statement(
    """
    INSERT INTO settings (key, value, version, updated_at) VALUES ({1}, {2}, 1, {now})
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = settings.version + 1,
        updated_at = excluded.updated_at
    """
)
_PUT_ROUTE = sql.Statement(
    """
    INSERT INTO routes (key, spec, enabled, version, created_at, updated_at) VALUES ({1}, {2}, {3}, 1, {now}, {now})
    ON CONFLICT (key) DO UPDATE SET spec = excluded.spec, enabled = excluded.enabled,
        version = routes.version + 1, updated_at = excluded.updated_at
    """
)


@dataclass(frozen=True, slots=True)
class RouteRow:
    key: str
    spec: dict[str, Any]
    enabled: bool
    version: int
    updated_at: float


@dataclass(frozen=True, slots=True)
class MappingRow:
    """One immutable version of a site's mapping. ``body`` is YAML text."""

    connector: str
    name: str
    version: int
    body: str
    checksum: str
    published: bool
    created_at: float
    created_by: str


async def touch(connection: AsyncConnection) -> None:
    """Tells every process that the configuration changed."""
    await _PUT_SETTING.run(connection, (), EPOCH, "{}")


async def epoch(connection: AsyncConnection) -> int:
    """The number of changes so far."""
    rows = await _EPOCH.run(connection)
    return int(rows[0].version) if rows else 0


async def setting(connection: AsyncConnection, key: str) -> Any:
    """A setting's value (parsed JSON), or None."""
    row = (await connection.execute(select(S.c.value).where(S.c.key == key))).first()
    return json.loads(row.value) if row else None


async def put_setting(connection: AsyncConnection, key: str, value: Any) -> None:
    await _PUT_SETTING.run(connection, (), key, json.dumps(value, ensure_ascii=False, sort_keys=True))


async def declarations(connection: AsyncConnection) -> dict[str, str]:
    """The site's own connectors: id -> text."""
    return dict(await setting(connection, DECLARATIONS) or {})


async def routes(connection: AsyncConnection) -> list[RouteRow]:
    """Every route, by key."""
    rows = await connection.execute(select(R).order_by(R.c.key))
    return [RouteRow(r.key, json.loads(r.spec), bool(r.enabled), r.version, r.updated_at) for r in rows]


async def put_route(connection: AsyncConnection, key: str, spec: dict[str, Any], enabled: bool) -> None:
    text = json.dumps(spec, ensure_ascii=False, sort_keys=True)
    await _PUT_ROUTE.run(connection, (), key, text, enabled)


async def remove_route(connection: AsyncConnection, key: str) -> None:
    await connection.execute(delete(R).where(R.c.key == key))


def _mapping(row: Any) -> MappingRow:
    return MappingRow(
        row.connector,
        row.name,
        row.version,
        row.body,
        row.checksum,
        bool(row.published),
        row.created_at,
        row.created_by,
    )


async def mappings(connection: AsyncConnection, *, published: bool = True) -> list[MappingRow]:
    """The published version of every mapping of the site, or every version there is."""
    query = select(M).order_by(M.c.connector, M.c.name, M.c.version)
    if published:
        query = query.where(M.c.published)
    return [_mapping(row) for row in await connection.execute(query)]


async def publish_mapping(
    connection: AsyncConnection, connector: str, name: str, body: str, by: str, now: float
) -> int:
    """Publishes a new version unless the published one is the same; returns the version in force."""
    checksum = hashlib.sha256(body.encode()).hexdigest()
    here = (M.c.connector == connector) & (M.c.name == name)
    current = (await connection.execute(select(M).where(here & M.c.published))).first()
    if current is not None and current.checksum == checksum:
        return int(current.version)
    top = (await connection.execute(select(func.max(M.c.version)).where(here))).scalar() or 0
    await connection.execute(update(M).where(here).values(published=False))
    await connection.execute(
        insert(M).values(
            connector=connector,
            name=name,
            version=top + 1,
            body=body,
            checksum=checksum,
            published=True,
            created_at=now,
            created_by=by,
        )
    )
    return int(top) + 1


async def withdraw_mapping(connection: AsyncConnection, connector: str, name: str) -> None:
    """Back to the shipped mapping; the versions stay for events that were planned with them."""
    await connection.execute(update(M).where((M.c.connector == connector) & (M.c.name == name)).values(published=False))
