"""One of several processes that share a limit: calls a system as fast as it may, for a while, and says what it met.

python -m tests.ledger.paced DATABASE REDIS|- URL SECONDS: says ``ready``, and begins when it is told a line.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter

import orjson

from connectors.core import auth, client, egress, errors, model, registry
from retry_queue import pacer
from retry_queue.ledger import session

SPEC = """
apiVersion: shuniu/connector/v1
id: paced
label: {zh: 限流, en: Paced}
version: 1.0.0
category: generic
docs_url: https://example.com
fields: [{key: base_url, label: {zh: 地址, en: Address}}, {key: app_key, label: {zh: 应用, en: App}}]
success: {path: status, equals: 200}
errors:
  - {status: [418], becomes: banned, retry_after: 2, scope: app}
  - {status: [429], becomes: throttled, retry_after: 1}
pacing:
  concurrency: 8
  scopes:
    - {scope: app, by: app_key, limit: 40, per: 1}
    - {scope: method, limit: 30, per: 1, operations: [b]}
probe: a
operations:
  a: {label: {zh: a, en: a}, kind: write, method: PUT, path: /a, json: {id: a}, idempotent: key}
  b: {label: {zh: b, en: b}, kind: write, method: PUT, path: /b, json: {id: b}, idempotent: key}
"""


def connection(url: str, key: str = "c1", app: str = "app-key-canary") -> model.Connection:
    """A connection of the declared system."""
    return model.Connection(key, registry.parse(SPEC), {"base_url": url, "app_key": app}, {})


async def main(database: str, redis: str, url: str, seconds: float) -> None:
    ledger = session.open_ledger(database, owner="paced", pool=2)
    egress.allow(["127.0.0.0/8"])
    shared = pacer.SharedPacer(ledger, None if redis == "-" else redis, patience=1.0)
    calls = client.Client(auth.MemoryTokens(), shared)
    met: Counter[str] = Counter()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)  # all begin together, however long each took to load
    end = time.monotonic() + seconds

    async def one() -> None:
        while time.monotonic() < end:
            try:
                await calls.call(connection(url), "a", {})
                met["ok"] += 1
            except errors.Throttled as error:
                met["banned" if error.banned else "late"] += 1
                await asyncio.sleep(min(error.retry_after or 0.1, 0.2))
            except errors.ConnectorError as error:
                met[error.kind] += 1

    await asyncio.gather(*(one() for _ in range(8)))
    await calls.aclose()
    await shared.aclose()
    await ledger.close()
    sys.stdout.write(orjson.dumps(met).decode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
