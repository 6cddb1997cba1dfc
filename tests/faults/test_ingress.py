"""What comes in is hostile: the same push many times at once, old after new, and bodies that break parsers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.faults import harness, producer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ODD = """connections:
  - key: odd
    connector: http
    config: {verify_style: hmac, verify_header: X-Signature, entity: product}
    secrets: {hook_secret: "${SECRET}"}
"""
ROUTE = """routes:
  - {key: odd, from: {connection: odd, entity: product}, to: [{connection: keyed, operation: record.put}]}
"""
POISON: dict[str, bytes] = {
    "NaN": b'{"id":"p1","number":"P1","title":"1","price":NaN}',
    "infinity": b'{"id":"p2","number":"P2","title":"1","price":1e999}',
    "a million digits": b'{"id":"p3","number":"P3","title":"1","price":' + b"9" * 1_000_000 + b"}",
    "a hundred thousand brackets": b'{"id":"p4","title":"1","extra":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested 900 deep": b'{"id":"p5","title":"1","extra":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    "NUL in every text": b'{"id":"p\\u00006","number":"\\u0000","title":"a\\u0000b"}',
    "half a surrogate": b'{"id":"p7","number":"P7","title":"\\ud800"}',
    "GBK": '{"id":"p8","title":"青瓷"}'.encode("gbk"),
    "UTF-16": '{"id":"p9","title":"x"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"id":"p10","title":"1"}',
    "emoji": '{"id":"p11🧧","number":"🧧","title":"👩‍👩‍👧‍👦"}'.encode(),
    "keys twice": b'{"id":"p12","id":"p12b","title":"1","title":"2"}',
    "prototype": b'{"__proto__":{"id":"x"},"id":"p13","title":"1","constructor":{}}',
    "an empty body": b"",
    "null": b"null",
    "a list": b"[1,2,3]",
    "a text": b'"hello"',
    "id is an object": b'{"id":{"a":1},"title":"1"}',
    "no id": b'{"title":"1"}',
    "id of ten thousand letters": b'{"id":"' + b"x" * 10_000 + b'","title":"1"}',
    "id is a path": b'{"id":"../../etc/passwd?x=1#y%00","number":"P20","title":"1"}',
    "wrong kinds": b'{"id":"p21","title":["a"],"skus":"none","price":{"a":1},"updated_at":[]}',
    "times of nobody's calendar": b'{"id":"p22","title":"1","updated_at":"99999-99-99T99:99:99Z"}',
    "a time far away": b'{"id":"p23","title":"1","updated_at":"9999-12-31T23:59:59+14:00"}',
    "a price of dreams": b'{"id":"p24","title":"1","price":"1e400000"}',
    "twenty megabytes": b'{"id":"p25","title":"' + b"x" * 20_000_000 + b'"}',
}


async def test_hostile_pushes(folder: Path, full: bool, seed: int, trial: Callable[..., None]) -> None:
    text = harness.SITE.replace("connections:\n", ODD).replace("routes:\n", ROUTE)
    async with harness.ground(folder, seed, records=60, text=text) as ground:
        ground.sender.twice = 0.7
        size = 20_000 if full else 600
        await ground.sender.scatter(size, 20.0 if full else 1.0)
        found = await ground.held(seconds=120.0, metrics=full)
        copies = sum(ground.sender.answers.values())
        trial("each push 1-5 times at once, old after new", f"{copies:,} pushes", seed=seed, **found.figures)

        ground.sender.sent |= dict.fromkeys(("P1", "P2", "P3", "P7", "P20", "🧧", "None", "�"), ("", 0))
        memory = ground.hub.memory()
        told: dict[str, int] = {}
        async with httpx.AsyncClient(timeout=30.0) as client:
            for name, body in POISON.items():
                headers = {"X-Signature": producer.proof(body), "Content-Type": "application/json"}
                try:
                    told[name] = (
                        await client.post(f"{ground.hub.url}/hooks/odd", content=body, headers=headers)
                    ).status_code
                except httpx.WriteError:
                    told[name] = 413  # it hung up in the middle of a body that is too large
        ground.sender.twice = 0.0
        first = len(ground.sender.accepted)
        await ground.sender.send(60)
        found = await ground.held(seconds=60.0)
        grew = max(now - memory.get(name, now) for name, now in ground.hub.memory().items())
        taken = sum(200 <= one < 300 for one in told.values())
        inner = await ground.rows("SELECT detail FROM inbox WHERE reason = 'internal'")
        inner += await ground.rows("SELECT detail FROM deliveries WHERE reason = 'internal'")
        parked = (await ground.rows("SELECT count(*) FROM inbox WHERE connection_key = 'odd' AND state = 'parked'"))[0][
            0
        ]
        trial(
            "poison bodies", f"{len(POISON)} kinds", seed=seed, taken=taken, refused=len(POISON) - taken,
            parked=parked, slowest_beside_s=round(ground.slowest(first), 1), memory_grew_mib=round(grew),
        )  # fmt: skip
        assert {name: one for name, one in told.items() if one >= 500} == {}
        assert inner == [], "a body that we did not foresee"
        assert ground.slowest(first) < 10.0
        assert grew < 250.0
