"""The API process: hooks in front, then the admin API, metrics, health and the plain page."""

from __future__ import annotations

import asyncio
import contextlib
import html
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client.core import Metric

from gateway import __version__, api, pages, problems, telemetry, wiring
from gateway.api import services
from retry_queue import gap, relief
from retry_queue.ledger import backfills, breakers, cursors, findings, outbox, reconciliations, session, tallies, timers
from retry_queue.ledger.states import ConnectionState
from webhooks import receive, router, streams

SNAPSHOT_SECONDS = 5.0

log = structlog.get_logger()


class Front:
    """Hooks and pages go straight to their own apps; everything else to FastAPI. Routing a hook costs microseconds."""

    def __init__(self, hooks: router.Hooks, rest: FastAPI, shown: pages.Pages | None = None) -> None:
        self._hooks = hooks
        self._rest = rest
        self._pages = shown

    async def __call__(self, scope: Any, receive_: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/hooks/"):
            await self._hooks(scope, receive_, send)
        elif scope["type"] == "http" and self._pages is not None and self._pages.takes(scope):
            await self._pages(scope, receive_, send)
        else:
            await self._rest(scope, receive_, send)


def create(hub: wiring.Hub, *, embedded_streams: bool = False, stopping: Callable[[], bool] = lambda: False) -> Front:
    """The ASGI app of an API process over an opened hub; ``stopping`` tells long answers to end."""
    snapshot = telemetry.Snapshot()

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(wiring.watch(hub), name="watch"),
            asyncio.create_task(wiring.follow(hub), name="follow"),
            asyncio.create_task(_snapshots(hub, snapshot), name="snapshots"),
            asyncio.create_task(_relief(hub), name="relief"),
            asyncio.create_task(gap.Gaps(hub.ledger, hub.current).run(hub.stopped), name="gaps"),
        ]
        if embedded_streams:
            supervisor = streams.Streams(hub.ledger, hub.doors, hub.appender)
            tasks.append(asyncio.create_task(supervisor.run(hub.stopped), name="streams"))
        log.info("api.ready", owner=hub.ledger.owner, slot=hub.ledger.slot)
        yield
        hub.stopped.set()  # they end by themselves: none is cut off inside a transaction
        await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(
        title="Shuniu 枢纽",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    problems.install(app, hub.settings.max_body, encrypted=hub.settings.public_url.startswith("https://"))
    app.include_router(
        api.build(
            services.Services(
                ledger=hub.ledger,
                sealer=hub.sealer,
                calls=hub.calls,
                site=hub.current,
                reload=hub.reload,
                settings=hub.settings,
                ring=hub.bell.ring,
                stopping=stopping,
            )
        )
    )
    _operations(app, hub, snapshot)
    receiver = receive.Receiver(hub.door, hub.appender, refresh=hub.refresh, formers=hub.formers)
    return Front(router.Hooks(receiver, hub.settings.max_body), app, pages.built())


def _operations(app: FastAPI, hub: wiring.Hub, snapshot: telemetry.Snapshot) -> None:
    @app.get("/livez", include_in_schema=False)
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> JSONResponse:
        """Ready to take events: the ledger answers. Redis is not asked, because nothing is lost without it."""
        try:
            async with asyncio.timeout(2.0):
                await hub.ledger.now()
        except (session.LedgerUnavailable, TimeoutError):
            return JSONResponse({"status": "ledger unavailable"}, status_code=503)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        folder = hub.settings.metrics_dir if hub.settings.metrics_dir.is_dir() else None
        body, kind = await asyncio.to_thread(telemetry.exposition, folder, accept, [snapshot], __version__)
        return Response(body, media_type=kind)

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        try:
            async with hub.ledger.read() as connection:
                balance = await tallies.balance(connection)
        except session.LedgerUnavailable:
            return HTMLResponse(_page(None), status_code=503)
        return HTMLResponse(_page(balance))


async def _relief(hub: wiring.Hub) -> None:
    """Plans for the workers while this process has time, and rings them for what that made due."""

    def planned(_targets: Mapping[str, bool]) -> None:
        hub.bell.ring()

    helping = relief.Relief(hub.ledger, hub.current, hub.calls, hub.sealer, hub.reload, planned, hub.bell.ring)
    await helping.run(hub.stopped, lambda: hub.appender.calm)


async def _snapshots(hub: wiring.Hub, snapshot: telemetry.Snapshot) -> None:
    """Reads the gauges of the ledger from time to time, so that a scrape never waits for the database."""
    while True:
        try:
            snapshot.replace(await gauges(hub))
        except session.LedgerUnavailable as error:
            log.warning("snapshot.waiting", error=str(error))
        if await hub.rest(SNAPSHOT_SECONDS):
            return


async def gauges(hub: wiring.Hub) -> list[Metric]:
    """The ledger in numbers: balance, depth, age, connections, polls."""
    async with hub.ledger.read() as connection:
        balance = await tallies.balance(connection)
        counted = await tallies.by_connection(connection)
        depth = await outbox.depth(connection)
        polls = await cursors.all_rows(connection)
        drift = await reconciliations.drift(connection)
        history = await backfills.open_rows(connection)
        waiting = await timers.depth(connection)
        shut: dict[tuple[str, ...], float] = {
            place: float(row.shut) for place, row in (await breakers.every(connection))[0].items()
        }
    now = await hub.ledger.now()
    kinds = ("received", "delivered", "duplicate", "filtered", "dead", "in_flight", "parked", "rejected")
    gauge = telemetry.gauge
    return [
        gauge(
            "shuniu_ledger_events",
            "Events by what became of them, over all time.",
            {(kind,): float(getattr(balance, kind)) for kind in kinds},
            ("kind",),
        ),
        gauge(
            "shuniu_ledger_difference", "Events the balance cannot explain; 0 or an alarm.", {(): balance.difference}
        ),
        gauge(
            "shuniu_connection_events",
            "Events taken in per connection.",
            {
                (key, kind): float(number)
                for key, found in counted.items()
                for kind, number in found.items()
                if kind in ("received", "duplicate", "planned", "filtered")
            },
            ("connection", "kind"),
        ),
        gauge(
            "shuniu_queue_depth",
            "Deliveries owed per target connection.",
            {(row.connection_key, row.state): float(row.n) for row in depth},
            ("connection", "state"),
        ),
        gauge(
            "shuniu_queue_oldest_age_seconds",
            "Age of the oldest delivery owed per target connection.",
            {
                (key,): max(now - min(row.oldest for row in depth if row.connection_key == key), 0.0)
                for key in {row.connection_key for row in depth}
            },
            ("connection",),
        ),
        gauge(
            "shuniu_timers_waiting",
            "Deliveries that wait for their hour.",
            {(route,): float(number) for route, number in waiting.items()},
            ("route",),
        ),
        gauge(
            "shuniu_queue_pending_age_seconds",
            "Age of the oldest untried delivery per target connection.",
            {
                (row.connection_key,): max(now - row.oldest, 0.0)
                for row in depth
                if row.state == "pending" and not shut.get((row.connection_key, ""))
            },
            ("connection",),
        ),
        gauge(
            "shuniu_connection_up",
            "1 while a connection may be called.",
            {
                (live.key,): float(live.state is ConnectionState.ENABLED and live.opened is not None)
                for live in hub.site.live.values()
                if live.used
            },
            ("connection",),
        ),
        gauge(
            "shuniu_breaker_open",
            "1 while nothing but probes goes to a system, or to one operation of it.",
            dict.fromkeys(((live.key, "") for live in hub.site.live.values() if live.used), 0.0) | shut,
            ("connection", "operation"),
        ),
        gauge(
            "shuniu_poll_last_success_timestamp_seconds",
            "When a poll last read to the end.",
            {(row.connection_key, row.source): row.last_ok_at for row in polls if row.last_ok_at},
            ("connection", "source"),
        ),
        gauge(
            "shuniu_drift_records",
            "Records that differed at the last comparison and are not mended, by kind.",
            {(row.left_key, row.right_key, row.entity, kind): 0.0 for row in drift for kind in findings.KINDS}
            | {(row.left_key, row.right_key, row.entity, row.kind): float(row.n) for row in drift if row.kind},
            ("left", "right", "entity", "kind"),
        ),
        gauge(
            "shuniu_reconciliation_last_end_timestamp_seconds",
            "When two connections were last compared to the end.",
            {(row.left_key, row.right_key, row.entity): float(row.ended_at) for row in drift},
            ("left", "right", "entity"),
        ),
        gauge(
            "shuniu_backfill_progress_ratio",
            "How much of the history asked for is read, 0 to 1; the least of a source.",
            {(one.connection_key, one.source): one.share for one in sorted(history, key=lambda row: -row.share)},
            ("connection", "source"),
        ),
    ]


def _page(balance: tallies.Balance | None) -> str:
    """A plain page where the admin UI was not built."""
    words = {
        "received": "接收 received",
        "delivered": "已投递 delivered",
        "duplicate": "重复 duplicate",
        "filtered": "无需处理 filtered",
        "dead": "死信 dead",
        "in_flight": "在途 in flight",
    }
    if balance is None:
        rows = "<p>台账暂时不可用 The ledger is not available right now.</p>"
    else:
        cells = "".join(
            f"<tr><th>{html.escape(label)}</th><td>{getattr(balance, name)}</td></tr>" for name, label in words.items()
        )
        verdict = "平 balanced" if balance.difference == 0 else f"差额 difference {balance.difference}"
        rows = f"<table>{cells}</table><p>台账 ledger: {html.escape(verdict)}</p>"
    return (
        "<!doctype html><html lang=zh-CN><meta charset=utf-8><title>枢纽 Shuniu</title>"
        "<meta name=viewport content='width=device-width'>"
        "<h1>枢纽 Shuniu</h1>"
        f"{rows}"
        "<p>管理界面尚未构建，请运行 ./shuniu ui build 后重启 · "
        "The admin UI is not built: run ./shuniu ui build and start again</p>"
        "<p><a href=/api/openapi.json>接口文档 OpenAPI</a> · <a href=/metrics>监控指标 metrics</a></p></html>"
    )
