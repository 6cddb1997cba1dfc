"""Reading: from a claimed event to its canonical record, through a detail call where the push was only a hint."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import datetime
from typing import Any

import structlog

from connectors.core import client, declaration, decode, errors, jsontext, model, scope, template
from mappings import errors as mapping_errors
from retry_queue.ledger import connections, session
from retry_queue.ledger.states import ConnectionState, EventState
from retry_queue.sync import draft, plan, verdict
from retry_queue.sync import site as sites

HYDRATE_TIMEOUT = 25.0
HYDRATES = 16
"""Detail calls under way at once per process and connection."""

log = structlog.get_logger()


class Reader:
    """Reads and maps events. Whatever goes wrong becomes the draft's plan; nothing is raised."""

    def __init__(self, ledger: session.Ledger, calls: client.Client) -> None:
        self._ledger = ledger
        self._calls = calls
        self._slots: dict[str, asyncio.Semaphore] = {}

    def hinted(self, site: sites.Site, one: draft.Draft) -> bool:
        spec = site.message(one.event.connection_key, one.event.message)
        return spec is not None and spec.hydrate is not None

    def needless(self, site: sites.Site, one: draft.Draft) -> bool:
        """Whether nothing could follow from what a hint points at: the other system is not asked for it then."""
        spec = site.message(one.event.connection_key, one.event.message)
        entity = one.event.entity or (spec.entity if spec is not None else None)
        return entity is not None and not one.event.replay and not site.asks(one.event.connection_key, entity)

    async def read(self, site: sites.Site, one: draft.Draft) -> None:
        """Reads the record behind a hint and maps it; what goes wrong becomes a verdict."""
        live = site.live[one.event.connection_key]
        spec = site.message(live.key, one.event.message)
        if live.opened is None or spec is None or spec.hydrate is None or spec.entity is None:
            return
        if live.state is not ConnectionState.ENABLED:
            one.delay = 30.0
            one.plan = plan.Plan(EventState.RECEIVED, "waiting_connection")
            return
        # A fast event does not queue behind the others of its connection.
        slots = asyncio.Semaphore(HYDRATES)
        slot = slots if one.event.fast else self._slots.setdefault(live.key, slots)
        payload = jsontext.loads(one.event.payload)
        try:
            one.read_at = time.time()
            said = {"payload": payload, "config": scope.settings(live.opened)}
            wanted = template.render(spec.hydrate.input, said)
            async with slot, asyncio.timeout(HYDRATE_TIMEOUT):
                found = await self._calls.call(live.opened, spec.hydrate.operation, wanted, urgent=one.event.fast)
        except TimeoutError:
            self._fail(one, errors.Unavailable("no answer in time"), live.key)
        except (errors.ConnectorError, template.TemplateError) as error:
            await self._refused(one, error, live.opened)
        except Exception as error:
            log.exception("intake.internal", event=one.event.id, kind=type(error).__name__)
            self._fail(one, error, live.key)
        else:
            data = found.data
            if data is None and spec.hydrate.absent is not None:
                data = template.render(spec.hydrate.absent, said)
            if data is None:
                one.plan = plan.skip("absent")
            else:
                self.map(site, one, data)

    async def _refused(self, one: draft.Draft, error: Exception, opened: model.Connection) -> None:
        if isinstance(error, errors.CredentialRefused):
            words = verdict.of_error(error, failures=0, idempotent=declaration.Idempotency.KEY, jitter=0.5)
            async with self._ledger.write() as connection:
                said = {"code": "credential", **words.words}
                if await connections.refuse(connection, opened.key, said, opened.proof):
                    log.warning("connection.needs_auth", connection=opened.key, code=error.code)
            one.delay = 30.0
            one.plan = plan.Plan(EventState.RECEIVED, "waiting_connection", words.words)
            return
        self._fail(one, error, opened.key)

    def _fail(self, one: draft.Draft, error: Exception, key: str) -> None:
        ruling = verdict.of_error(
            error,
            failures=one.event.failures,
            idempotent=declaration.Idempotency.KEY,  # a detail call only reads
            jitter=random.random(),
        )
        if ruling.act in (verdict.Act.RETRY, verdict.Act.WAIT):
            one.delay = ruling.delay
            one.failed = ruling.act is verdict.Act.RETRY
            one.plan = plan.Plan(EventState.RECEIVED, ruling.reason, ruling.words)
        else:
            one.plan = plan.Plan(EventState.PARKED, ruling.reason, ruling.words)

    def map(self, site: sites.Site, one: draft.Draft, read: Any) -> None:
        """Native -> canonical; ``read`` is the hydrated record, or None to take the payload itself."""
        event = one.event
        live = site.live.get(event.connection_key)
        if live is None or not live.used:
            one.plan = plan.skip("connection_off")
            return
        if live.opened is None:
            words = live.problem or {"zh": "连接无法使用", "en": "the connection cannot be used"}
            one.plan = plan.Plan(EventState.PARKED, "connection_broken", words)
            return
        spec = site.message(live.key, event.message)
        if spec is None:
            one.plan = plan.skip("unknown_message")
            return
        entity = event.entity or spec.entity
        if entity is None:
            one.plan = plan.skip("no_entity")
            return
        one.meaning = site.meaning(live.connector, spec.mapping or entity)
        if one.meaning is None:
            one.plan = plan.skip("unmapped")
            return
        try:
            native = read if read is not None else decode.native(event.payload.encode(), spec)
            if not isinstance(native, dict):
                raise mapping_errors.MappingError("消息内容不是对象", "the record is no object", file=one.meaning.name)
            context: dict[str, Any] = {
                "config": scope.settings(live.opened),
                "event": {"record": event.record, "message": event.message},
            }
            if read is not None:
                context["event"]["hint"] = jsontext.loads(event.payload)
                one.native = jsontext.dumps(read).decode()
            canonical = one.meaning.mapping.from_native(native, context)
            one.text = draft.encode(canonical)
            if "\\u0000" in one.text and draft.has_nul(canonical):
                raise mapping_errors.MappingError(
                    "有字段含空字符（NUL），多数系统无法保存", "a text holds a NUL character", file=one.meaning.name
                )
        except (mapping_errors.MappingError, jsontext.JsonError, decode.Malformed) as error:
            one.plan = plan.Plan(EventState.PARKED, "mapping", draft.words_of(error))
            return
        except Exception as error:
            log.exception("intake.internal", event=event.id, kind=type(error).__name__)
            one.plan = draft.internal(error)
            return
        one.entity = entity
        one.ref = (event.connection_key, entity, str(canonical["id"]))
        one.canonical = canonical
        one.arrival = event.id if read is None else None
        at = canonical.get("updated_at")
        one.version = at.timestamp() if isinstance(at, datetime) else event.occurred_at
