"""``shuniu serve``: everything under one supervisor, or one role of it.

Each role imports only what it runs: the web framework is no part of a worker, and neither is of the supervisor.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import signal
import socket
import sys
from typing import TYPE_CHECKING

import structlog
import uvloop

from gateway import children, settings, supervisor, telemetry

if TYPE_CHECKING:
    from retry_queue.ledger import session

log = structlog.get_logger()


def run(config: settings.Settings, role: str = "all", pace: float = 1.0, sandbox: int | None = None) -> int:
    """Runs ``role`` (all, api, worker, poller) until stopped; returns the exit code.

    ``sandbox``: the port on which ``all`` runs the simulators as well.
    """
    telemetry.configure(config.log_level, config.log_format)
    telemetry.conceal(*config.masters)
    work = {
        "all": lambda: _all(config, pace, sandbox),
        "api": lambda: _api(config),
        "worker": lambda: _worker(config, polls=True, pumps=True, pace=pace),
        "poller": lambda: _worker(config, polls=True, pumps=False, pace=pace),
    }.get(role)
    if work is None:
        raise settings.Unusable(f"没有角色 {role}", f"no role {role}; there are all, api, worker, poller")
    if role == "all":  # only starts others
        return uvloop.run(work())
    from gateway import tracing

    with tracing.exported(config, role):
        return uvloop.run(work())


async def _all(config: settings.Settings, pace: float, sandbox: int | None) -> int:
    @functools.cache
    def ledger() -> session.Ledger:
        """Loaded and opened when it is asked for first, beside the roles: they begin without waiting for it."""
        from retry_queue.ledger import session

        return session.open_ledger(config.database_url, owner="supervisor", pool=2)

    async def prepare() -> None:
        """Beside the loading of the roles, which takes as long."""
        from gateway import migrate
        from retry_queue.ledger import users

        await migrate.upgrade(config.database_url)
        if not config.embedded_redis:
            await _check_redis(config)
        async with ledger().read() as connection:
            if not await users.all_rows(connection):
                log.warning("serve.nobody_may_sign_in", zh="还没有用户", do="shuniu user add NAME --role owner")

    async def bury(pid: int, role: supervisor.Role) -> None:
        """A dead process's leases go back at once; nobody waits for them to end."""
        from retry_queue.ledger import workers

        async with ledger().write() as connection:
            owners = await workers.by_pid(connection, socket.gethostname()[:80], pid)
            await workers.bury(connection, owners)

    command = [sys.executable, "-P", "-m", "gateway.child"]
    roles = [
        supervisor.Role("api", [*command, "api"], waits=True),
        supervisor.Role("worker", [*command, "worker", str(pace)], count=config.workers, waits=True),
    ]
    if sandbox is not None:
        simulators = [sys.executable, "-P", "-m", "connectors.simulator", "--port", str(sandbox)]
        roles.append(supervisor.Role("sandbox", simulators))
    try:
        return await supervisor.Supervisor(config, roles, on_exit=bury, prepare=prepare).run()
    finally:
        if ledger.cache_info().currsize:
            await ledger().close()


async def _check_redis(config: settings.Settings) -> None:
    """Refuses a Redis that throws keys away; one that is away is no reason not to start."""
    from redis.exceptions import RedisError

    from gateway import valkey
    from retry_queue import redis_address

    client = redis_address.client(config.redis, socket_connect_timeout=2, socket_timeout=2)
    try:
        await valkey.refuse_evicting(client)
    except (RedisError, OSError) as error:
        log.warning("redis.away", kind=type(error).__name__)
    finally:
        await client.aclose()


async def _api(config: settings.Settings) -> int:
    import uvicorn

    from gateway import app, listening, wiring

    listening.room()
    children.admitted()
    hub = await wiring.build(config, "api")
    server: uvicorn.Server
    server = uvicorn.Server(
        uvicorn.Config(
            app.create(hub, embedded_streams=True, stopping=lambda: server.should_exit),
            host=config.host,
            port=config.port,
            loop="uvloop",
            http=listening.Line,
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=15,
            backlog=2048,
        )
    )
    _settle_memory()
    await server.serve()
    hub.stopped.set()
    await hub.close()
    return 0 if server.started else 1


def _settle_memory() -> None:
    """What start-up made stays for good: the collector need not look at it again, nor after every 700 objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    gc.enable()
    children.trim()


async def _worker(config: settings.Settings, *, polls: bool, pumps: bool, pace: float) -> int:
    from gateway import beacon, wiring, worker

    children.admitted()
    hub = await wiring.build(config, "worker" if pumps else "poller")
    _settle_memory()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, hub.stopped.set)
    async with beacon.lit(hub):
        await worker.run(hub, polls=polls, pumps=pumps, pace=pace)
    await hub.close()
    return 0


def main() -> int:
    """``python -m gateway.serve ROLE [PACE]``: without the CLI's imports."""
    told = [one for one in sys.argv[1:] if not one.startswith(children.GATE)]
    try:
        return run(settings.load(), told[0] if told else "all", float(told[1]) if len(told) > 1 else 1.0)
    except settings.Unusable as error:
        sys.stderr.write(f"{error}\n")
        return supervisor.CONFIG_EXIT


if __name__ == "__main__":
    raise SystemExit(main())
