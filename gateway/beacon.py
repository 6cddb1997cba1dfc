"""Health and metrics of a process without a web server of its own: workers and pollers on Kubernetes.

Under the supervisor all processes share one ``/metrics``; alone in a pod each answers for itself. The answers come
from the event loop that does the work, so a loop that hangs fails its probe.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from gateway import __version__, telemetry, wiring
from retry_queue.ledger import session

log = structlog.get_logger()


def application(hub: wiring.Hub) -> web.Application:
    """``/livez`` (the loop turns), ``/readyz`` (the ledger answers within two seconds) and ``/metrics``."""

    async def livez(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(2.0):
                await hub.ledger.now()
        except (session.LedgerUnavailable, TimeoutError):
            return web.json_response({"status": "ledger unavailable"}, status=503)
        return web.json_response({"status": "ok"})

    async def metrics(request: web.Request) -> web.Response:
        accept = request.headers.get("accept", "")
        folder = hub.settings.metrics_dir if hub.settings.metrics_dir.is_dir() else None
        # No build info: where that metric is, an API process answers.
        body, kind = await asyncio.to_thread(telemetry.exposition, folder, accept)
        return web.Response(body=body, headers={"Content-Type": kind, "Server": f"shuniu/{__version__}"})

    made = web.Application(client_max_size=1024)
    made.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return made


@contextlib.asynccontextmanager
async def lit(hub: wiring.Hub) -> AsyncIterator[None]:
    """Answers on ``metrics_port`` while the block runs; does nothing where no port is set."""
    port = hub.settings.metrics_port
    if not port:
        yield
        return
    runner = web.AppRunner(application(hub), handle_signals=False, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, hub.settings.host, port, shutdown_timeout=2.0).start()
        log.info("beacon.ready", port=port)
        yield
    finally:
        await runner.cleanup()
