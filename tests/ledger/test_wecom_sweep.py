"""WeCom pushes three times and never again: a regular check of the customers finds what its callbacks lost."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from connectors.simulator import engine
from retry_queue import poll
from retry_queue.ledger import connections
from retry_queue.ledger.states import ConnectionState
from tests.conformance import messaging
from tests.ledger import hub, making

PACE = 0.00002
"""Six hours become 0.4 s."""


async def known(worker: hub.Worker) -> dict[str, dict[str, Any]]:
    rows = await making.rows(worker.ledger, "SELECT record, canonical FROM records WHERE connection_key = 'wecom'")
    return {row.record: orjson.loads(row.canonical) for row in rows}


async def test_a_lost_callback_is_made_up_for(sqlite_url: str) -> None:
    async with engine.serve(["wecom"], time_scale=0.002) as url, hub.running(sqlite_url) as worker:
        corp: Any = url.simulators["wecom"]
        owner = messaging.wecom(url, sweep=True, sweep_users=["sales01"])
        async with worker.ledger.write() as db:
            config, secrets, state = dict(owner.config), dict(owner.secrets), ConnectionState.ENABLED
            await connections.put(db, hub.SEALER, "wecom", "wecom", config, secrets, state, 0.0)
        await worker.hub.reload()
        poller = poll.Poller(worker.ledger, worker.hub.current, worker.hub.calls, worker.hub.appender, PACE)
        halt = asyncio.Event()
        task = asyncio.create_task(poller.run(halt))
        try:
            wanted = set(corp.corp.contacts.of("sales01"))

            async def all_known() -> bool:
                return set(await known(worker)) == wanted

            await making.until(all_known, 20, "every customer of the member")
            external = min(wanted)
            corp.corp.contacts.follow(external, "sales01")["remark"] = "大客户"

            async def noticed() -> bool:
                return (await known(worker))[external]["short_name"] == "大客户"

            await making.until(noticed, 20, "the change nobody told about")
            before = (await making.rows(worker.ledger, "SELECT count(*) AS n FROM inbox"))[0].n
            await asyncio.sleep(1.5)
            after = (await making.rows(worker.ledger, "SELECT count(*) AS n FROM inbox"))[0].n
            assert after == before == len(wanted) + 1, "what did not change is not read again"
        finally:
            halt.set()
            await asyncio.wait_for(task, 15)
