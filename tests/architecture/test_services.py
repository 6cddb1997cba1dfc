"""The real services the other tests lean on are there, are shared, and are what they claim to be."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy
from playwright import sync_api
from sqlalchemy.ext import asyncio as sa

from gateway import telemetry
from gateway.trial import postgres, processes
from tests import services, web


async def scalar(url: str, statement: str) -> object:
    engine = sa.create_async_engine(url)
    try:
        async with engine.begin() as connection:
            return (await connection.execute(sqlalchemy.text(statement))).scalar()
    finally:
        await engine.dispose()


async def test_each_database_is_real_and_fresh(database_url: str) -> None:
    version = "select sqlite_version()" if database_url.startswith("sqlite") else "show server_version"
    assert int(str(await scalar(database_url, version)).split(".")[0]) >= 3
    engine = sa.create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(sqlalchemy.text("create table fresh (n int)"))
    await engine.dispose()


async def test_each_database_is_fresh_again(database_url: str) -> None:
    await test_each_database_is_real_and_fresh(database_url)


@pytest.mark.postgres
def test_a_template_is_built_once_and_copied(postgres_server: postgres.Postgres) -> None:
    built = []

    def build(url: str) -> None:
        built.append(url)
        asyncio.run(fill(url))

    async def fill(url: str) -> None:
        engine = sa.create_async_engine(url)
        async with engine.begin() as connection:
            await connection.execute(sqlalchemy.text("create table made (n int)"))
        await engine.dispose()

    name = "template_for_this_test"
    for _ in range(2):
        assert postgres_server.template(name, build) == name
        with postgres_server.database(name) as url:
            assert asyncio.run(scalar(url, "select count(*) from made")) == 0
    assert len(built) == 1


@pytest.mark.postgres
def test_a_server_of_ones_own_survives_a_crash(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"shuniu-test-own-{tmp_path.parent.name}-{tmp_path.name}"[:60]
    server = postgres.PostgresServer(folder, durable=True)
    try:
        running = server.start()
        running.sql("create table kept (n int); insert into kept values (7)")
        server.stop(services.signal.SIGQUIT)
        assert server.start().sql("select n from kept") == "7"
    finally:
        server.stop()
        services.shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def scraped() -> Iterator[tuple[str, telemetry.Snapshot]]:
    """A page with our exposition, for a real Prometheus to read."""
    snapshot = telemetry.Snapshot()

    class Exposition(web.Page):
        def do_GET(self) -> None:
            accept = self.headers.get("Accept", "")
            body, content_type = telemetry.exposition(None, accept, [snapshot], version="1.2.3")
            self.say(200, body, {"content-type": content_type})

    with web.serving(Exposition) as url:
        yield url.removeprefix("http://"), snapshot


@pytest.mark.prometheus
def test_a_real_prometheus_reads_our_metrics(
    tmp_path: Path, scraped: tuple[str, telemetry.Snapshot], free_port: Callable[[], int]
) -> None:
    target, snapshot = scraped
    snapshot.replace([telemetry.gauge("shuniu_queue_depth", "Waiting.", {("a",): 4.0}, ("queue",))])
    config = (
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n  - {job_name: hub, static_configs: [{targets: ['" + target + "']}]}\n"
    )
    with services.prometheus(config, tmp_path) as url:

        def answer() -> list[dict[str, object]]:
            query = urllib.parse.urlencode({"query": 'shuniu_queue_depth{queue="a"} and on() shuniu_build_info'})
            with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=5) as page:
                return list(json.load(page)["data"]["result"])

        found = processes.wait_for(answer, 20, "a scrape")
    assert found[0]["value"][1] == "4"  # type: ignore[index]


@pytest.mark.chromium
def test_a_real_browser_draws_chinese(chromium_path: Path) -> None:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium_path), args=services.CHROMIUM_FLAGS)
        page = browser.new_page()
        page.set_content("<span id=a style='font-size:40px'>枢纽台账</span>")
        assert page.inner_text("#a") == "枢纽台账"
        width = page.evaluate("document.getElementById('a').getBoundingClientRect().width")
        browser.close()
    assert width == pytest.approx(160, abs=8)
