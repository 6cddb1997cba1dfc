"""A real Prometheus scrapes API and worker processes as they run on Kubernetes, and our rules judge what it finds."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import migrate, settings
from gateway.trial import processes
from retry_queue.ledger import session
from tests import services
from tests.helm.test_alerts import RULES
from tests.ledger import hub as hubs
from tests.ledger import making, target

ORDERS, REFUSED = 60, 3
pytestmark = [pytest.mark.prometheus, pytest.mark.slow, pytest.mark.timeout(240)]


class Site:
    """Two API and two worker processes of one hub, and where each tells its metrics."""

    def __init__(self, folder: Path, url: str, redis: str) -> None:
        self.folder = folder
        self.config = settings.load(
            data_dir=folder, database_url=url, redis_url=redis, secret_key=hubs.MASTER, log_level="WARNING"
        )
        self.apis = [processes.free_port(), processes.free_port()]
        self.beacons = [processes.free_port(), processes.free_port()]

    @contextlib.contextmanager
    def running(self, role: str, port: int, metrics: int = 0) -> Iterator[None]:
        environment = self.config.environment() | {"SHUNIU_PORT": str(port), "SHUNIU_METRICS_PORT": str(metrics)}
        environment["SHUNIU_METRICS_DIR"] = str(self.folder / f"metrics-{role}-{port}-{metrics}")
        del environment["PROMETHEUS_MULTIPROC_DIR"]  # one process, one registry
        with processes.started(["gateway.serve", role, "0.2"], environment, log=self.folder / f"{role}.log"):
            yield

    def scraping(self, rules: Path) -> str:
        """Four targets, one per process, as a ServiceMonitor has them."""
        places = ", ".join(f"'127.0.0.1:{port}'" for port in [*self.apis, *self.beacons])
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


async def push(client: httpx.AsyncClient, port: int, name: str) -> None:
    body = json.dumps(hubs.order(name)).encode()

    proof = hmac.new(hubs.SECRET.encode(), body, hashlib.sha256).hexdigest()
    answer = await client.post(f"http://127.0.0.1:{port}/hooks/shop", content=body, headers={"x-signature": proof})
    assert answer.status_code == 200, answer.text


async def test_what_prometheus_sees_is_what_the_ledger_has(
    tmp_path: Path, postgres_url: str, valkey_url: str, free_port: Callable[[], int]
) -> None:
    await migrate.upgrade(postgres_url)
    ledger = session.open_ledger(postgres_url, owner="test", pool=2)
    site = Site(tmp_path, postgres_url, valkey_url)
    rules = hurried(tmp_path)

    def judge(body: Any) -> target.Answer | None:
        return target.Answer(422) if body and str(body.get("id", "")).startswith("BAD") else None

    try:
        async with hubs.targets("erp") as made, httpx.AsyncClient(timeout=10, trust_env=False) as client:
            made["erp"].judge = judge
            await hubs.source(ledger)
            await hubs.sink(ledger, made["erp"].url)
            await hubs.route(ledger)
            with contextlib.ExitStack() as house:
                workers = [house.enter_context(site.running("worker", 0, port)) for port in site.beacons]
                apis = house.enter_context(contextlib.ExitStack())
                for port in site.apis:
                    apis.enter_context(site.running("api", port))
                for port in site.apis:
                    await processes.reachable(port)
                assert len(workers) == 2
                url = house.enter_context(services.prometheus(site.scraping(rules), tmp_path / "prometheus"))
                for name in range(ORDERS):
                    await push(client, site.apis[name % 2], f"T{name}")
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
                    await push(client, site.apis[0], f"BAD{name}")
                await until(lambda: {"ShuniuDeliveriesParked", "ShuniuDeadLettersRising"} & firing(url), "a complaint")
                statement = "UPDATE tallies SET n = n + 1 WHERE ctid = (SELECT ctid FROM tallies LIMIT 1)"
                await making.change(ledger, statement)
                await until(lambda: "ShuniuLedgerDoesNotBalance" in firing(url), "the alarm of the balance")
                await asyncio.to_thread(apis.close)
                await until(lambda: "ShuniuApiAbsent" in firing(url), "nobody takes anything in")
    finally:
        await ledger.close()


async def until(check: Callable[[], Any], what: str) -> None:
    await making.until(lambda: asyncio.to_thread(check), 60.0, what)
