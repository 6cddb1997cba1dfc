"""``shuniu doctor``: what is wrong with a machine is found and told, and looking breaks nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from gateway import budget, cli, health, migrate, settings, valkey
from retry_queue.ledger import session
from tests import web
from tests.ledger import hub as hubs


class Disk(NamedTuple):
    """What ``shutil.disk_usage`` returns."""

    total: int
    used: int
    free: int


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> settings.Settings:
    return settings.load(data_dir=tmp_path / "data", database_url=database_url, secret_key=hubs.MASTER)


async def said(config: settings.Settings, subject: str) -> list[tuple[str, str]]:
    return [(line.level, line.en) for line in await health.examine(config) if line.subject == subject]


async def test_a_good_place_has_no_error(config: settings.Settings) -> None:
    await migrate.upgrade(config.database_url)
    found = await health.examine(config)
    careless = [line for line in found if line.subject == "postgresql" and line.level == "error"]
    assert [line for line in found if line.level == "error" and line not in careless] == []
    if config.production:
        assert any("fsync=off" in line.en for line in careless), "the tests' server is one nobody should trust"
    assert {"python", "disk", "ledger", "balance", "hub", "redis"} <= {line.subject for line in found}
    assert not any("password" in line.en and "@" in line.en for line in found)


async def test_an_old_schema_is_told_with_the_command(config: settings.Settings, database_url: str) -> None:
    if database_url.startswith("sqlite"):
        Path(database_url.removeprefix("sqlite+aiosqlite:///")).touch()
    assert [level for level, en in await said(config, "schema") if "shuniu migrate" in en] == ["error"]


async def test_the_wrong_secret_key_is_found(config: settings.Settings) -> None:
    await migrate.upgrade(config.database_url)
    async with session.opened(config.database_url, owner="t") as ledger:
        await hubs.source(ledger)
    assert await said(config, "shop") == []
    other = config.model_copy(update={"secret_key": type(config.secret_key)("another key of the tests, long enough")})
    assert [level for level, _ in await said(other, "shop")] == ["error"]


@pytest.mark.parametrize(("free", "level"), [(budget.FULL - 1, "error"), (budget.NEARLY - 1, "warning")])
async def test_a_disk_that_fills_is_told(
    config: settings.Settings, monkeypatch: pytest.MonkeyPatch, free: int, level: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Disk(free * 2, free, free))
    assert [one for one, _ in await said(config, "disk")] == [level]


async def test_a_database_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://hub:very-hidden@127.0.0.1:9/none"
    config = settings.load(data_dir=tmp_path, database_url=url, secret_key=hubs.MASTER)
    found = await said(config, "ledger")
    assert [level for level, _ in found] == ["error"]
    assert "very-hidden" not in str(await health.examine(config))


async def test_a_redis_that_forgets_is_refused(tmp_path: Path, valkey_url: str) -> None:
    config = settings.load(data_dir=tmp_path, redis_url=valkey_url, secret_key=hubs.MASTER)
    assert [level for level, _ in await said(config, "redis")] == ["info"]
    valkey.ask(valkey_url, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        found = await said(config, "redis")
    finally:
        valkey.ask(valkey_url, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert [level for level, en in found if "noeviction" in en] == ["error"]


@pytest.fixture
def proxy() -> Iterator[str]:
    """A reverse proxy that does not pass anything on."""

    class Closed(web.Page):
        def do_GET(self) -> None:
            self.say(502)

    with web.serving(Closed) as url:
        yield url


async def test_a_proxy_that_does_not_reach_the_hub_is_told(tmp_path: Path, proxy: str) -> None:
    config = settings.load(data_dir=tmp_path, public_url=proxy, secret_key=hubs.MASTER)
    assert [(level, "502" in en) for level, en in await said(config, "hooks")] == [("error", True)]


def test_the_command_fails_when_something_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_DATA_DIR", str(tmp_path))
    app = cli.build("doctor")
    good = CliRunner().invoke(app, ["doctor", "--json"])
    assert (good.exit_code, '"ok": true' in good.stdout) == (0, True)
    monkeypatch.setenv("SHUNIU_DATABASE_URL", "postgresql://hub:x@127.0.0.1:9/none")
    monkeypatch.setenv("SHUNIU_SECRET_KEY", hubs.MASTER)
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1
