"""A real Prometheus scrapes API and worker processes as they run on Kubernetes, and our rules judge what it finds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import migrate
from gateway.trial import processes
from retry_queue.ledger import session
from tests import services
from tests.helm import pods
from tests.helm.test_alerts import RULES
from tests.ledger import hub as hubs
from tests.ledger import making, target

ORDERS, REFUSED = 60, 3
pytestmark = [pytest.mark.prometheus, pytest.mark.slow, pytest.mark.timeout(240)]


def scraping(ports: list[int], rules: Path) -> str:
    """One target per process, as a ServiceMonitor has them."""
    places = ", ".join(f"'127.0.0.1:{port}'" for port in ports)
    return (
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{rules}']\n"
        "scrape_configs:\n"
        f"  - {{job_name: hub, static_configs: [{{targets: [{places}], labels: {{namespace: shop}}}}]}}\n"
    )


def hurried(folder: Path) -> Path:
    """Our rules with minutes as seconds: the same expressions, judged sooner."""
    text = RULES.read_text()
    text = re.sub(r"for: \d+m", "for: 1s", text)
    text = re.sub(r"(offset|\[)( ?)(\d+)m", r"\1\2\3s", text)
    place = folder / "rules.yaml"
    place.write_text(text)
    return place


def asked(url: str, path: str, **query: str) -> Any:
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=5) as page:
        return json.load(page)["data"]


def number(url: str, expression: str) -> float | None:
    found = asked(url, "query", query=expression)["result"]
    return float(found[0]["value"][1]) if found else None


def firing(url: str) -> set[str]:
    return {one["labels"]["alertname"] for one in asked(url, "alerts")["alerts"] if one["state"] == "firing"}


async def test_what_prometheus_sees_is_what_the_ledger_has(
    tmp_path: Path, postgres_url: str, valkey_url: str, free_port: Callable[[], int]
) -> None:
    await migrate.upgrade(postgres_url)
    release = pods.Release(tmp_path, postgres_url, valkey_url)
    ports, beacons = [free_port(), free_port()], [free_port(), free_port()]
    rules = hurried(tmp_path)

    def judge(body: Any) -> target.Answer | None:
        return target.Answer(422) if body and str(body.get("id", "")).startswith("BAD") else None

    async with (
        session.opened(postgres_url, owner="test", pool=2) as ledger,
        hubs.wired(ledger) as erp,
        httpx.AsyncClient(timeout=10, trust_env=False) as client,
    ):
        erp.judge = judge
        with contextlib.ExitStack() as house:
            for port in beacons:
                house.enter_context(release.pod("worker", metrics=port))
            apis = house.enter_context(contextlib.ExitStack())
            for port in ports:
                apis.enter_context(release.pod("api", port))
            for port in ports:
                await processes.reachable(port)
            url = house.enter_context(services.prometheus(scraping([*ports, *beacons], rules), tmp_path / "prometheus"))
            for name in range(ORDERS):
                assert await pods.push(client, ports[name % 2], f"T{name}") == 200
            await until(lambda: number(url, 'shuniu_ledger_events{kind="delivered"}') == ORDERS, "the gauge")
            told = 'sum(shuniu_delivery_attempts_total{connection="erp",outcome="delivered"})'
            await until(lambda: number(url, told) == ORDERS, "the workers' counters together")
            taken = 'sum(shuniu_webhook_calls_total{outcome="accepted"})'
            await until(lambda: number(url, taken) == ORDERS, "the APIs' counters together")
            assert number(url, "count(up == 1)") == 4
            assert number(url, "max(shuniu_ledger_difference)") == 0
            await until(lambda: number(url, "count(shuniu_build_info)") == 2, "the APIs")
            await until(lambda: "ShuniuApiAbsent" not in firing(url), "both APIs are seen")
            quiet = firing(url)
            assert not quiet & {"ShuniuLedgerDoesNotBalance", "ShuniuApiAbsent", "ShuniuDeadLettersRising"}, quiet

            for name in range(REFUSED):
                assert await pods.push(client, ports[0], f"BAD{name}") == 200
            await until(lambda: {"ShuniuDeliveriesParked", "ShuniuDeadLettersRising"} & firing(url), "a complaint")
            statement = (  # a row of its own: one that a process is just counting into would be missed
                "INSERT INTO tallies (day, connection_key, kind, slot, n)"
                " SELECT max(day), min(connection_key), 'received', 32000, 1 FROM tallies"
            )
            await making.change(ledger, statement)
            await until(lambda: "ShuniuLedgerDoesNotBalance" in firing(url), "the alarm of the balance")
            await asyncio.to_thread(apis.close)
            await until(lambda: "ShuniuApiAbsent" in firing(url), "nobody takes anything in")


async def until(check: Callable[[], Any], what: str) -> None:
    await making.until(lambda: asyncio.to_thread(check), 60.0, what)
