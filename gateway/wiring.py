"""Wiring: builds what a process needs once and hands it down as arguments."""

from __future__ import annotations

import asyncio
import os
import secrets as tokens
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from connectors.core import client, egress, model
from gateway import outside
from gateway import settings as settings_
from retry_queue import append, credentials, dispatch, pacer, rest
from retry_queue.ledger import audit, configuration, connections, logins, secrets, session, workers
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import site as sites

log = structlog.get_logger()


@dataclass(slots=True)
class Hub:
    """Everything a process of the hub shares. ``site`` is replaced as a whole when the configuration changes."""

    settings: settings_.Settings
    ledger: session.Ledger
    sealer: secrets.Sealer
    calls: client.Client
    bell: dispatch.Bell
    appender: append.Appender
    site: sites.Site
    role: str
    tokens: credentials.LedgerTokens
    pacer: pacer.SharedPacer
    outside: outside.Outside
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def current(self) -> sites.Site:
        """The configuration in force."""
        return self.site

    async def rest(self, seconds: float) -> bool:
        """Sleeps, but not past the stop; True when the process is stopping."""
        return await rest.until(self.stopped, seconds)

    def door(self, key: str) -> sites.Live | None:
        """A connection by its key, as of now."""
        return self.site.live.get(key)

    def formers(self, key: str) -> tuple[tuple[float, model.Connection], ...]:
        """A connection with the secrets it had before, and until when its door takes them."""
        live = self.site.live.get(key)
        return live.formers if live is not None else ()

    def doors(self) -> Iterable[sites.Live]:
        """Every connection, as of now."""
        return self.site.live.values()

    async def refresh(self) -> None:
        """Takes over a changed configuration, if there is one."""
        async with self.ledger.read() as connection:
            epoch = await configuration.epoch(connection)
        if epoch != self.site.epoch:
            await self.reload()

    async def reload(self) -> None:
        """Takes over a changed configuration; tokens of changed connections are forgotten."""
        fresh = await sites.load(self.ledger, self.sealer)
        for key, live in fresh.live.items():
            before = self.site.live.get(key)
            if before is not None and before.opened != live.opened:
                self.tokens.forget(key)
        self.site = fresh
        log.info("site.loaded", epoch=fresh.epoch, connections=len(fresh.live), routes=len(fresh.routes))

    async def close(self) -> None:
        await self.appender.close()
        await self.bell.close()
        await self.calls.aclose()
        await self.pacer.aclose()
        self.outside.close()
        async with self.ledger.write() as connection:
            await workers.bury(connection, [self.ledger.owner])
        await self.ledger.close()


async def build(config: settings_.Settings, role: str) -> Hub:
    """Opens the ledger, registers this process and loads the site."""
    egress.allow((*config.egress_allow, *egress.address(config.sandbox_url)))
    host = socket.gethostname()[:80]
    owner = f"{role}-{os.getpid()}-{tokens.token_hex(4)}"
    ledger = session.open_ledger(config.database_url, owner=owner, steps=True)
    elsewhere = outside.of(config)
    sealer = outside.sealer(config, elsewhere)
    ledger.slot = await workers.register(ledger, owner, role, os.getpid(), host)
    try:
        site = await sites.load(ledger, sealer)
    except secrets.SecretUnreadable as error:
        await ledger.close()
        raise settings_.Unusable("SHUNIU_SECRET_KEY 与台账不符：请检查主密钥", str(error)) from None
    bell = dispatch.Bell(config.redis)
    store = credentials.LedgerTokens(ledger, sealer)
    paced = pacer.SharedPacer(ledger, config.redis)
    return Hub(
        settings=config,
        ledger=ledger,
        sealer=sealer,
        calls=client.Client(store, paced, files=config.data_dir / "files"),
        bell=bell,
        appender=append.Appender(ledger, bell.ring),
        site=site,
        role=role,
        tokens=store,
        pacer=paced,
        outside=elsewhere,
    )


async def watch(hub: Hub) -> None:
    """Heartbeat and configuration changes, for a process without pumps.

    Who was taken for dead takes a new seat, as a worker with pumps does: what it held is fenced off by then.
    """
    while not await hub.rest(1.0):
        try:
            async with hub.ledger.write() as connection:
                alive = await workers.beat(connection, hub.ledger.owner)
            if not alive and await workers.again(hub.ledger):
                log.error("worker.taken_for_dead", owner=hub.ledger.owner, slot=hub.ledger.slot)
            await hub.refresh()
        except session.LedgerUnavailable as error:
            log.warning("watch.waiting", error=str(error))
        except Exception:  # without a heartbeat the others would take a process for dead that answers
            log.exception("watch.failed")


async def follow(hub: Hub) -> None:
    """Takes up secrets that live outside when they change, and connections that were refused with those before."""
    epoch, tried, proven = hub.site.epoch, dict[str, float](), dict[str, str]()
    while not await hub.rest(outside.FILE_SECONDS):
        site = hub.site
        mine = {key: set(live.references.values()) for key, live in site.live.items() if live.references}
        waiting = {key for key in mine if site.live[key].state is ConnectionState.NEEDS_AUTH}
        sooner = {one for key in waiting for one in mine[key]}
        soon, epoch = site.epoch != epoch, site.epoch
        try:
            if await hub.outside.renew({one for names in mine.values() for one in names}, sooner, soon=soon):
                await hub.reload()
            for key in waiting:
                at, live = hub.outside.changed(mine[key]), hub.site.live.get(key)
                renewed = live.renewed if live is not None else ""  # while nobody ran, or where nobody saw it
                anew = at is not None and tried.get(key) != at
                if anew or (renewed and proven.get(key) != renewed):
                    # once for each change: the new secret may be refused as well, or others still have the one before
                    tried[key], proven[key] = at or tried.get(key, 0.0), renewed or proven.get(key, "")
                    await _go_on(hub, key)
        except session.LedgerUnavailable as error:
            log.warning("outside.waiting", error=str(error))
        except Exception:  # whoever follows must not end: nobody would notice the next change
            log.exception("outside.failed")


async def _go_on(hub: Hub, key: str) -> None:
    now = await hub.ledger.now()
    async with hub.ledger.write() as connection:
        await audit.lock(connection)
        if not await connections.go_on(connection, key):
            return
        await logins.end(connection, key)
        await audit.append(connection, hub.sealer, now, "shuniu", "connection.enabled", f"connection/{key}",
                           {"by": "its secret changed where it lives"})  # fmt: skip
    log.info("connection.goes_on", connection=key)
    await hub.reload()
    hub.bell.ring()
