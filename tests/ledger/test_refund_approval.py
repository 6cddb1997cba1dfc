"""A refund becomes one approval in the office, whatever gets lost on the way: the delivery's own key sees to it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from connectors.feishu import simulator
from connectors.simulator import engine
from retry_queue.ledger import configuration, connections
from retry_queue.ledger.states import ConnectionState
from tests.conformance import feishu_stage
from tests.ledger import hub, making

SETTINGS = {
    "push": "none",
    "approval_code": simulator.DEFINITION,
    "approval_applicant": "ou_sales01",
    "approval_order_widget": "widget1",
    "approval_amount_widget": "widget2",
    "approval_reason_widget": "widget3",
}


def refund(number: str) -> dict[str, Any]:
    return {
        "id": number,
        "kind": "refund",
        "status": "requested",
        "order_id": "T1",
        "amount": "105.00",
        "reason": "破损",
        "updated_at": "2024-11-12T08:00:00+00:00",
    }


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("lost", [0, 1])
async def test_a_refund_becomes_one_approval(sqlite_url: str, lost: int) -> None:
    async with engine.serve(["feishu"], time_scale=0.001) as url, hub.running(sqlite_url) as worker:
        tenant = feishu_stage.tenant_of(url)
        office = feishu_stage.connection(url, **SETTINGS)
        await hub.source(worker.ledger, entity="after_sale")
        spec = {
            "from": {"connection": "shop", "entity": "after_sale"},
            "to": [{"connection": "office", "operation": "approval.create", "mapping": "refund_approval"}],
        }
        async with worker.ledger.write() as db:
            config, secrets, state = dict(office.config), dict(office.secrets), ConnectionState.ENABLED
            await connections.put(db, hub.SEALER, "office", "feishu", config, secrets, state, time.time())
            await configuration.put_route(db, "ask", spec, True)
            await configuration.touch(db)
        await worker.hub.reload()
        tenant.faults.drop_reply = lost
        await worker.push(refund("R1"), refund("R2"))
        await worker.settled()
        done = await worker.deliveries()
        refunds = [one["form"] for one in tenant.approvals.instances.values()]
        attempts = (await making.rows(worker.ledger, "SELECT count(*) AS n FROM attempts"))[0].n
    assert [(one.state, bool(one.target_record)) for one in done] == [("delivered", True)] * 2
    assert {one.target_record for one in done} == set(tenant.approvals.instances)
    assert len(refunds) == 2
    assert all('"value":"T1"' in form for form in refunds)
    assert attempts == 2 + lost
