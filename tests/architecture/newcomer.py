"""What a hub makes of a connector that was just put in place; run inside a copy of the tree: ``newcomer.py <id>``.

Everything is asked of a real hub over HTTP: form, keys, recipes, simulator, events, metrics. Ends with one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

import connectors
from gateway import security
from gateway.trial import stage
from tests.journeys import casting


async def _asked(id: str, folder: Path) -> dict[str, Any]:
    async with stage.running(folder, introduced=False, pace=0.05) as place:
        await casting.connect(place, id, "http", http={"base_url": "http://127.0.0.1:9/x"})
        now = await place.ledger.now()
        async with place.ledger.write() as db:
            token, _ = await security.issue_token(db, place.sealer, "newcomer", "owner", now, None, "test")
        async with httpx.AsyncClient(base_url=place.hub_url, trust_env=False, timeout=20) as hub:
            hub.headers["authorization"] = f"Bearer {token}"
            one = (await hub.get(f"/api/v1/connectors/{id}")).json()
            tested = (await hub.post(f"/api/v1/connections/{id}/test")).json()
            recipe = (await hub.get("/api/v1/recipes/customer-to-crm")).json()
            person = (await place.panel("world"))[0]["ids"]["crm.id"]
            await place.panel(f"{id}/customers/{person}", {"mobile": "13900000001"})

            async def told() -> bool:
                return f'connector="{id}"' in (await hub.get("/metrics")).text

            await stage.until(told, 30, "a metric with its label")
            return {
                "home": str(Path(str(connectors.__file__)).parent.parent),
                "listed": id
                in {each["id"] for each in (await hub.get("/api/v1/connectors?limit=200")).json()["items"]},
                "fields": [each["key"] for each in one["fields"]],
                "doors": [each["name"] for each in one["doors"]],
                "operations": [each["name"] for each in one["operations"] if each["target"]],
                "readme": "密钥" in one["readme"],
                "tested": tested.get("ok"),
                "plays": id in {each["connection"] for each in recipe["parts"][1]["fits"]},
            }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="nc-", dir="/tmp") as name:
        print(json.dumps(asyncio.run(_asked(sys.argv[1], Path(name)))))
