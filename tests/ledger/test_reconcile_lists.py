"""Lists that say nothing unless they are asked for something: a schedule tells what, and each of it is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors.core import model, registry
from gateway import current, hub, hub_file
from retry_queue.ledger import findings, reconciliations, session
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import schedule, sides
from retry_queue.sync import site as sites
from tests.ledger import hub as hubs
from tests.ledger import making, pair, target

HUB = """
apiVersion: shuniu/v1
declarations:
  - body: |
      apiVersion: shuniu/api/v1
      id: stall
      label: 摊位
      fields: [{key: branch, label: {zh: 门店, en: Branch}}]
      operations:
        order.list:
          kind: list
          entity: order
          path: /orders
          query: {state: "${input.state}", branch: "${input.branch}"}
          result: orders
          items: "."
          id: no
connections:
  - {key: here, connector: stall, config: {base_url: "${HERE}", branch: b1}}
  - {key: there, connector: stall, config: {base_url: "${THERE}", branch: b2}}
mappings:
  - connector: stall
    name: order
    body: |
      apiVersion: shuniu/mapping/v1
      connector: stall
      entity: order
      rules:
        - {native: no, canonical: id}
        - {native: no, canonical: number, way: from}
        - {native: yuan, canonical: total, codec: money, unit: yuan, as: string}
        - {native: state, canonical: status, codec: enum, table: states}
      tables: {states: {from: {open: paid, done: completed}}}
reconciliations:
  - key: stalls
    left: {connection: here, INPUT}
    right: {connection: there, INPUT}
    entity: order
    every: 3600
"""
INPUT = 'input: [{state: open, branch: "${config.branch}"}, {state: done, branch: "${config.branch}"}]'


class Stall(target.Target):
    """Lists the orders of one state in one branch, and none without both."""

    def __init__(self, branch: str) -> None:
        super().__init__()
        self.rows = [{"no": f"S{n}", "yuan": f"{n}.00", "state": ("open", "done")[n % 2]} for n in range(1, 9)]
        self.branch = branch
        self.lists = self._listed

    def _listed(self, path: str) -> Any:
        asked = parse_qs(urlsplit(path).query)
        wanted = asked.get("state", []) if asked.get("branch") == [self.branch] else []
        return {"orders": [row for row in self.rows if row["state"] in wanted]}


@pytest.fixture
async def stalls(ledger: session.Ledger) -> AsyncIterator[tuple[Stall, Stall]]:
    both = Stall("b1"), Stall("b2")
    for one in both:
        await one.up()
    yield both
    for one in both:
        await one.down()


def text(given: str) -> str:
    return HUB.replace("INPUT", given)


async def test_each_input_of_a_list_is_read(
    database_url: str, ledger: session.Ledger, stalls: tuple[Stall, Stall]
) -> None:
    here, there = stalls
    values = {"HERE": here.url, "THERE": there.url}
    await hub.apply(ledger, hubs.SEALER, hub_file.read(text(INPUT), "hub.yaml", variables=values), actor="test")
    there.rows[1]["yuan"] = "99.00"  # one that is open, one that is done
    del there.rows[4]
    async with hubs.running(database_url) as worker:
        reconciler = pair.reconciler(worker)

        async def done() -> list[reconciliations.Row]:
            await reconciler.step()
            await reconciler.idle()
            async with ledger.read() as db:
                rows = await reconciliations.search(db, limit=2)
            return [row for row in rows if row.state not in reconciliations.OPEN]

        (row,) = await making.until(done, 20.0, "the turn of the schedule is made")
        await reconciler.close()
    assert row.state == "done", row.detail
    assert (row.counts["left"], row.counts["right"], row.counts["matched"]) == (8, 7, 6)
    async with ledger.read() as db:
        found = await findings.search(db, findings.Filter(row.id), limit=10)
    assert sorted((one.kind, one.number, len(one.fields)) for one in found) == [
        ("different", "S2", 1), ("missing", "S5", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), [
    ("list: null", "order.list needs input: branch, state"),
    ("input: {state: open}", "order.list needs input: branch, state"),
    ("list: order.list, input: {stat: open}", "'stat'"),
])  # fmt: skip
async def test_a_list_that_lacks_its_input_is_refused_with_what_it_needs(
    ledger: session.Ledger, given: str, said: str
) -> None:
    values = {"HERE": "http://127.0.0.1:1", "THERE": "http://127.0.0.1:1"}
    draft = hub_file.read(text(given), "hub.yaml", variables=values)
    async with ledger.read() as db:
        now = await current.load(db)
    problems = [one.en for one in hub.check(draft, now)]
    assert any(said in one for one in problems), problems


def test_a_list_is_asked_what_its_poll_asks() -> None:
    """The poll's own input was left out, and a list of named people's customers came back empty."""
    spec = registry.get("wecom")
    config = {"sweep": "true", "sweep_users": ["sales01"], "corp_id": "ww1"}
    opened = model.Connection("office", spec, config, {})
    live = sites.Live("office", "wecom", ConnectionState.ENABLED, opened, None)
    site = sites.Site(1, {"office": live}, [], {}, {}, {})
    side = sides.find(site, schedule.Side(connection="office"), "customer")
    assert side.inputs == ({"userid_list": ["sales01"]},)
