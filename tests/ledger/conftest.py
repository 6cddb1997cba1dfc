"""A ledger with its schema, fresh for each test, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy.engine import make_url

from connectors.core import declaration, registry
from gateway import migrate
from gateway.trial import postgres
from retry_queue import sweep
from retry_queue.ledger import session, upkeep
from tests.ledger import hub as hubs
from tests.ledger import target


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[structlog.typing.EventDict]]:
    """What was logged, instead of pretty tracebacks, which cost seconds."""
    with structlog.testing.capture_logs() as found:
        yield found


def _upgraded(url: str) -> None:
    """Runs the migrations on a loop of their own, whatever loop the test has."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(migrate.upgrade(url))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    if failed:
        raise failed[0]


@pytest.fixture(scope="session")
def postgres_template() -> Callable[[postgres.Postgres], str]:
    return lambda server: server.template("ledger", _upgraded)


@pytest.fixture(scope="session")
def _postgres_database(
    postgres_server: postgres.Postgres, postgres_template: Callable[[postgres.Postgres], str]
) -> Iterator[tuple[postgres.Postgres, str]]:
    """One database for all tests of a worker: making one costs more than most of these tests."""
    with postgres_server.database(postgres_template(postgres_server)) as url:
        yield postgres_server, url


@pytest.fixture
def postgres_url(_postgres_database: tuple[postgres.Postgres, str]) -> str:
    """The worker's database, emptied."""
    server, url = _postgres_database
    server.sql(
        "SET lock_timeout = '5s'; " + "; ".join(f"DELETE FROM {name}" for name in upkeep.metadata.tables),
        str(make_url(url).database),
    )
    return url


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ledger") / "template.sqlite3"
    _upgraded(f"sqlite+aiosqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(tmp_path: Path, _sqlite_template: Path) -> str:
    file = tmp_path / "ledger.sqlite3"
    shutil.copyfile(_sqlite_template, file)
    return f"sqlite+aiosqlite:///{file}"


@pytest.fixture
async def open_ledger(database_url: str) -> AsyncIterator[Callable[[str], session.Ledger]]:
    """Opens the test's database once more, as another process would; the argument is the owner's name."""
    opened: list[session.Ledger] = []

    def another(owner: str) -> session.Ledger:
        opened.append(session.open_ledger(database_url, owner=owner, slot=len(opened)))
        return opened[-1]

    yield another
    for ledger in opened:
        await ledger.close()


@pytest.fixture
def ledger(open_ledger: Callable[[str], session.Ledger]) -> session.Ledger:
    return open_ledger("w1")


# --- the whole way, from a hook to a target on a socket ---------------------------------------------


@pytest.fixture
async def erp(ledger: session.Ledger) -> AsyncIterator[target.Target]:
    """A source ``shop``, a target ``erp``, and a route of all orders between them."""
    async with hubs.wired(ledger) as made:
        yield made


@pytest.fixture
def once_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ``send`` operation of the generic connector, as a system has it that recognises no repeats."""
    plain = registry.get("http")
    send = plain.operations["send"].model_copy(update={"idempotent": declaration.Idempotency.NO})
    changed = plain.model_copy(update={"operations": {**plain.operations, "send": send}})
    real = registry.get
    monkeypatch.setattr(registry, "get", lambda name: changed if name == "http" else real(name))


@pytest.fixture
async def chat(ledger: session.Ledger, erp: target.Target, once_only: None) -> target.Target:
    """The target again, but each order is a message that must not be repeated."""
    await hubs.route(ledger, operation="send")
    return erp


@pytest.fixture
async def desk(ledger: session.Ledger) -> AsyncIterator[target.Target]:
    """Contacts and orders come in; the target takes what is sent."""
    async with hubs.targets("desk") as made:
        await hubs.source(ledger, "contacts", "customer")
        await hubs.source(ledger, "shop")
        await hubs.source(ledger, "crm", "customer")
        await hubs.source(ledger, "store", "shipment")
        await hubs.sink(ledger, made["desk"].url, "desk", send_path="/notes")
        yield made["desk"]


@pytest.fixture(autouse=True)
def sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody rings in most of these tests; a sweep every second would make each of them wait for it."""
    monkeypatch.setattr(sweep, "PERIOD", 0.1)


@pytest.fixture
def own_server() -> Iterator[postgres.PostgresServer]:
    """A PostgreSQL that this test may kill; its socket's path must be short."""
    folder = Path(tempfile.mkdtemp(prefix="shuniu-pg-", dir="/tmp"))
    server = postgres.PostgresServer(folder, durable=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
