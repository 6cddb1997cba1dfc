"""Finding an order by its number among very many events, over the admin API."""

from __future__ import annotations

import random
import time

import asyncpg
import httpx

from gateway import security
from gateway.bench import flow, product, target
from gateway.trial import processes

_EVENTS = """
INSERT INTO events (id, connection_key, source, message, entity, record, payload, occurred_at, received_at, trace, hop)
SELECT 1000000000 + i, 'shop', 'hook_hmac', 'record', 'order', 'S' || lpad(i::text, 12, '0'), '{"id": "S"}',
       $2::float8, $2::float8, md5(i::text), 0 FROM generate_series(1, $1::bigint) i
"""
_INBOX = """
INSERT INTO inbox (id, connection_key, dedupe, state, priority, next_at, received_at)
SELECT 1000000000 + i, 'shop', 'seed:' || i, 'planned', 1, $2::float8, $2::float8 FROM generate_series(1, $1::bigint) i
"""
_RECORDS = """
INSERT INTO records (connection_key, entity, record, number, version, fingerprint, hop, updated_at, revision)
SELECT 'shop', 'order', 'S' || lpad(i::text, 12, '0'), 'N' || lpad(i::text, 12, '0'), $2::float8, md5(i::text), 0,
       $2::float8, 1 FROM generate_series(1, $1::bigint) i
"""
_BARE = "SELECT id, record FROM events WHERE record = $1"


async def run(hub: product.Product, rows: int, asked: int) -> flow.Figures:
    """Milliseconds of a search over HTTP, and of the bare lookup of the event by one index beside it."""
    plain = hub.config.database_url.replace("postgresql+asyncpg", "postgresql")
    connection = await asyncpg.connect(plain)
    chance = random.Random(17)
    try:
        for statement in (_EVENTS, _INBOX, _RECORDS):
            await connection.execute(statement, rows, time.time(), timeout=900)
        for table in ("events", "inbox", "records"):
            await connection.execute(f"ANALYZE {table}", timeout=300)
        async with hub.ledger.write() as db:
            token, _ = await security.issue_token(db, hub.sealer, "bench", "viewer", time.time(), None, "bench")
        with hub.running("api"):
            await processes.reachable(hub.port)
            headers = {"authorization": f"Bearer {token}"}
            waits: list[float] = []
            bare: list[float] = []
            async with httpx.AsyncClient(base_url=f"http://{target.HOST}:{hub.port}", headers=headers) as client:
                for turn in range(asked + 5):
                    number = f"{chance.randrange(1, rows + 1):012d}"
                    begun = time.perf_counter()
                    answer = await client.get("/api/v1/events", params={"q": f"N{number}"}, timeout=60.0)
                    taken = 1000 * (time.perf_counter() - begun)
                    answer.raise_for_status()
                    if [one["record"] for one in answer.json()["items"]] != [f"S{number}"]:
                        raise RuntimeError(f"the search for N{number} did not find its event")
                    begun = time.perf_counter()
                    await connection.fetch(_BARE, f"S{number}")
                    if turn >= 5:  # the first ones warm up
                        waits.append(taken)
                        bare.append(1000 * (time.perf_counter() - begun))
    finally:
        await connection.close()
    waits.sort()
    bare.sort()
    return {
        "events": float(rows),
        "p50_ms": target.quantile(waits, 0.5),
        "p95_ms": target.quantile(waits, 0.95),
        "bare_p50_ms": target.quantile(bare, 0.5),
        "bare_p95_ms": target.quantile(bare, 0.95),
    }
