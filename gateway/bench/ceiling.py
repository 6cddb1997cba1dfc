"""Ceiling F: the least that still is durable, on the same parts as the product.

FastAPI hook with HMAC, group commit to PostgreSQL (synchronous_commit on), batched claims, a mapper
written by hand, httpx over the aiohttp transport; one ingest process and one worker. No routes, no
lanes, no links, no retries: what the product costs beyond this is what it does beyond this.
Run as ``python -m gateway.bench.ceiling ingest|worker …``.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import httpx_aiohttp
import orjson
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response

from gateway.bench import orders

SCHEMA = """
DROP TABLE IF EXISTS f_attempt; DROP TABLE IF EXISTS f_event; DROP TABLE IF EXISTS f_delivery;
CREATE TABLE f_event (id bigserial PRIMARY KEY, dedupe text UNIQUE, body text NOT NULL);
CREATE TABLE f_delivery (id bigint PRIMARY KEY, state smallint NOT NULL, next_at float8 NOT NULL);
CREATE INDEX f_due ON f_delivery (next_at, id) WHERE state = 0;
CREATE TABLE f_attempt (id bigserial PRIMARY KEY, delivery_id bigint NOT NULL, status int NOT NULL, ms float8);
"""
_APPEND = """
WITH made AS (
  INSERT INTO f_event (dedupe, body) SELECT * FROM unnest($1::text[], $2::text[])
  ON CONFLICT (dedupe) DO NOTHING RETURNING id)
INSERT INTO f_delivery (id, state, next_at) SELECT id, 0, extract(epoch FROM clock_timestamp()) FROM made
"""
_CLAIM = """
WITH due AS MATERIALIZED (
  SELECT id FROM f_delivery WHERE state = 0 ORDER BY next_at, id LIMIT 50 FOR UPDATE SKIP LOCKED)
UPDATE f_delivery d SET state = 1 FROM due, f_event e WHERE d.id = due.id AND e.id = d.id RETURNING d.id, e.body
"""
_DONE = "UPDATE f_delivery SET state = 2 WHERE id = ANY($1::bigint[])"
_ATTEMPT = "INSERT INTO f_attempt (delivery_id, status, ms) SELECT * FROM unnest($1::bigint[], $2::int[], $3::float8[])"


def mapped(order: dict[str, Any]) -> dict[str, Any]:
    """The same fields as the generic mapping, by hand."""
    receiver, address = order["receiver"], order["receiver"]["address"]
    return {
        "id": order["id"],
        "number": order["number"],
        "status": order["status"],
        "kind": order["kind"],
        "shop": order["shop"],
        "currency": order["currency"],
        "goods_total": str(Decimal(order["goods_total"])),
        "discount_total": str(Decimal(order["discount_total"])),
        "freight": str(Decimal(order["freight"])),
        "total": str(Decimal(order["total"])),
        "created_at": datetime.fromisoformat(order["created_at"]).isoformat(),
        "updated_at": datetime.fromisoformat(order["updated_at"]).isoformat(),
        "paid_at": datetime.fromisoformat(order["paid_at"]).isoformat(),
        "buyer": order["buyer"],
        "receiver": {
            "name": receiver["name"],
            "phone": receiver["phone"],
            "cipher": receiver["cipher"],
            "address": {key: address[key] for key in ("country", "province", "city", "district", "town", "street")},
        },
        "lines": [
            {
                "id": line["id"],
                "sku": line["sku"],
                "title": line["title"],
                "quantity": str(Decimal(line["quantity"])),
                "paid": str(Decimal(line["paid"])),
            }
            for line in order["lines"]
        ],
        "buyer_note": order["buyer_note"],
    }


def ingest_app(database: str) -> FastAPI:
    """The hook: verify, group commit, answer."""
    waiting: list[tuple[str, str, asyncio.Future[None]]] = []
    bell = asyncio.Event()

    async def commit(pool: asyncpg.Pool) -> None:
        while True:
            await bell.wait()
            bell.clear()
            while waiting:
                group, waiting[:] = waiting[:200], waiting[200:]
                async with pool.acquire() as connection:
                    await connection.execute(_APPEND, [one[0] for one in group], [one[1] for one in group])
                for _, _, future in group:
                    future.set_result(None)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        pool = await asyncpg.create_pool(database, min_size=2, max_size=2)
        tasks = [asyncio.create_task(commit(pool)) for _ in range(2)]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await pool.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.post("/hook")
    async def hook(request: Request) -> Response:
        body = await request.body()
        proof = hmac.new(orders.SECRET.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(proof, request.headers.get(orders.HEADER, "")):
            return Response(status_code=401)
        key = orjson.loads(body)["id"]
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append((key, body.decode(), future))
        bell.set()
        await future
        return Response(b'{"received":true}', media_type="application/json")

    return app


async def work(database: str, target: str) -> None:
    """Claims batches and delivers them, 64 calls under way at once."""
    pool = await asyncpg.create_pool(database, min_size=3, max_size=3)
    client = httpx.AsyncClient(transport=httpx_aiohttp.AiohttpTransport(limits=httpx.Limits(max_connections=64)))
    slots = asyncio.Semaphore(64)
    done: list[tuple[int, int, float]] = []
    bell = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def settle() -> None:
        while True:
            await bell.wait()
            bell.clear()
            while done:
                group, done[:] = done[:200], done[200:]
                async with pool.acquire() as connection, connection.transaction():
                    await connection.execute(_DONE, [one[0] for one in group])
                    await connection.execute(_ATTEMPT, *[list(column) for column in zip(*group, strict=True)])

    async def deliver(key: int, body: str) -> None:
        begun = loop.time()
        try:
            native = orjson.dumps(mapped(orjson.loads(body)))
            answer = await client.put(target, content=native, headers={"content-type": "application/json"})
            done.append((key, answer.status_code, 1000 * (loop.time() - begun)))
            bell.set()
        finally:
            slots.release()

    settler = asyncio.create_task(settle())
    tasks: set[asyncio.Task[None]] = set()
    while not settler.done():
        async with pool.acquire() as connection:
            rows = await connection.fetch(_CLAIM)
        for row in rows:
            await slots.acquire()
            task = asyncio.create_task(deliver(row["id"], row["body"]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if not rows:
            await asyncio.sleep(0.005)


def main() -> None:
    """``ingest DATABASE PORT`` or ``worker DATABASE TARGET``."""
    role, database, rest = sys.argv[1:4]
    if role == "ingest":
        uvicorn.run(
            ingest_app(database), host="127.0.0.1", port=int(rest), loop="uvloop", http="httptools", access_log=False,
            log_level="error",
        )  # fmt: skip
    else:
        uvloop.run(work(database, rest))


if __name__ == "__main__":
    main()
