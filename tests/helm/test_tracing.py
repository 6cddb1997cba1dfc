"""One trace from the hook to the target, over processes, told to a collector that speaks OTLP."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway import migrate, settings, tracing
from gateway.trial import processes
from retry_queue.ledger import session
from tests import web
from tests.helm import pods
from tests.ledger import hub as hubs
from tests.ledger import making, target

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@contextlib.contextmanager
def collector() -> Iterator[tuple[str, list[Any]]]:
    """An OTLP/HTTP collector; yields its address and the (resource, span) pairs it was told."""
    told: list[Any] = []

    class Collector(web.Page):
        def do_POST(self) -> None:
            body = self.asked()
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            asked = ExportTraceServiceRequest.FromString(body)
            for whole in asked.resource_spans:
                resource = {one.key: one.value.string_value for one in whole.resource.attributes}
                told.extend((resource, span) for part in whole.scope_spans for span in part.spans)
            self.say(200)

    with web.serving(Collector) as url:
        yield url, told


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_one_trace_from_the_hook_to_the_target(
    tmp_path: Path, postgres_url: str, valkey_url: str, free_port: Callable[[], int]
) -> None:
    await migrate.upgrade(postgres_url)
    port = free_port()

    def judge(body: Any) -> target.Answer | None:
        return target.Answer(422) if body and str(body.get("id", "")).startswith("BAD") else None

    async with (
        session.opened(postgres_url, owner="test", pool=2) as ledger,
        hubs.wired(ledger) as erp,
        httpx.AsyncClient(timeout=10, trust_env=False) as client,
    ):
        erp.judge = judge
        with collector() as (endpoint, told):
            release = pods.Release(tmp_path, postgres_url, valkey_url, otlp_endpoint=endpoint)
            with release.pod("worker"), release.pod("api", port):
                await processes.reachable(port)
                assert await pods.push(client, port, "T1", traceparent=CALLER) == 200
                assert await pods.push(client, port, "BAD1") == 200
                await making.until(lambda: len(erp.calls) == 2, 30.0)
                await making.until(lambda: len(told) >= 6, 30.0, "spans at the collector")
        good = next(call for call in erp.calls if call.body["id"] == "T1")
        _, trace, attempt, _ = good.parent.split("-")
        rows = await making.rows(ledger, "SELECT e.trace FROM events e WHERE e.record = 'T1'")
        assert [row.trace for row in rows] == [trace]
        mine = {one.name: (resource, one) for resource, one in told if one.trace_id.hex() == trace}
        assert set(mine) == {"event", "plan", "record.put"}
        root = mine["event"][1]
        assert [one.trace_id.hex() + one.span_id.hex() for one in root.links] == [CALLER.replace("-", "")[2:-2]]
        assert {one.parent_span_id for _, one in mine.values()} == {b"", root.span_id}
        assert mine["record.put"][1].span_id.hex() == attempt
        assert {resource["shuniu.role"] for resource, _ in mine.values()} == {"api", "worker"}
        bad = next(one for _, one in told if one.name == "record.put" and one.trace_id.hex() != trace)
        assert bad.status.code == bad.status.STATUS_CODE_ERROR
        assert "188.00" not in str(told), "no payload in a span"


def test_without_an_endpoint_nothing_is_imported(tmp_path: Path) -> None:
    config = settings.load(data_dir=tmp_path, secret_key=hubs.MASTER)
    with tracing.exported(config, "api"):
        from retry_queue import tracing as spans

        assert not spans.on()
