"""Intake: claims received events, hydrates and maps them, and writes what the plan decided.

Three steps, each its own transaction or none: claim (commit) · hydrate and map (no transaction) ·
write records, deliveries and rulings (one transaction, only for events that are still ours).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
import structlog

from connectors.core import client, decode, declaration, errors, jsontext, template
from mappings import errors as mapping_errors
from retry_queue.ledger import configuration, connections, inbox, lane, outbox, records, secrets, session, sql, tallies
from retry_queue.ledger.states import EventState
from retry_queue.sync import meaning, plan, verdict
from retry_queue.sync import site as sites

LEASE = 60.0
ECHO_WAIT = 60.0
"""Seconds an event waits at most for a write of ours that may have caused it."""
HYDRATE_TIMEOUT = 25.0
HYDRATING = 200
"""Events of one connection waiting for their detail call, at most."""
HYDRATES = 16
"""Detail calls under way at once per process and connection."""

log = structlog.get_logger()

_CANONICAL = sql.Statement(
    """
    INSERT INTO canonicals (event_id, entity, mapping, body) SELECT event_id, entity, mapping, body FROM {src} {more}
    ON CONFLICT (event_id) DO UPDATE SET entity = excluded.entity, mapping = excluded.mapping, body = excluded.body
    """,
    "event_id int, entity text, mapping text, body text",
)


@dataclass(slots=True)
class Draft:
    """An event on its way through planning."""

    event: inbox.ClaimedEvent
    entity: str = ""
    ref: records.Ref = ("", "", "")
    canonical: Mapping[str, Any] | None = None
    text: str = ""
    version: float | None = None
    arrival: int | None = None
    """The event's id, when its arrival tells the age of the state in it."""
    meaning: meaning.Meaning | None = None
    plan: plan.Plan | None = None
    delay: float = 0.0
    failed: bool = False


def encode(value: Any) -> str:
    """A canonical record as JSON text: exact decimals as text, times with their zone."""
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # a whole number of more than 64 bits
        return orjson.dumps(_digits(value), default=str).decode()


def _digits(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _digits(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_digits(inner) for inner in value]
    return str(value) if isinstance(value, int) and value.bit_length() > 63 else value


class Intake:
    """Plans events. One per worker process; ``site`` gives the current configuration."""

    def __init__(
        self,
        ledger: session.Ledger,
        site: Callable[[], sites.Site],
        calls: client.Client,
        sealer: secrets.Sealer,
        reload: Callable[[], Awaitable[None]],
        poke: Callable[[set[str]], None],
        done: Callable[[], None],
    ) -> None:
        """``poke`` names targets that now have work; ``done`` says that more events may be taken."""
        self._ledger = ledger
        self._site = site
        self._calls = calls
        self._sealer = sealer
        self._reload = reload
        self._poke = poke
        self._done = done
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._hydrating: Counter[str] = Counter()
        self.running: set[asyncio.Task[None]] = set()

    async def step(self, limit: int) -> int:
        """Plans up to ``limit`` due events and returns how many it took.

        Events that need a detail call go on by themselves per connection, so that a slow system delays
        only its own; a connection with ``HYDRATING`` of them gets no more until some are done.
        """
        busy = [key for key, n in self._hydrating.items() if n >= HYDRATING]
        async with self._ledger.write() as connection:
            claimed = await inbox.claim(connection, limit, self._ledger.owner, LEASE, busy)
            epoch = await configuration.epoch(connection)
        if not claimed:
            return 0
        if epoch != self._site().epoch:  # an event is never planned by an older configuration than took it in
            await self._reload()
        site = self._site()
        direct: list[Draft] = []
        hinted: dict[str, list[Draft]] = {}
        for event in claimed:
            draft = Draft(event)
            if self._hinted(site, draft):
                hinted.setdefault(event.connection_key, []).append(draft)
            else:
                direct.append(draft)
        for key, drafts in hinted.items():
            self._hydrating[key] += len(drafts)
            task = asyncio.create_task(self._hydrate(site, key, drafts), name=f"hydrate {key}")
            self.running.add(task)
            task.add_done_callback(self.running.discard)
        if direct:
            await self._finish(site, direct)
        return len(claimed)

    async def _hydrate(self, site: sites.Site, key: str, drafts: list[Draft]) -> None:
        """Reads the records behind a batch of hints and plans each little group as it comes in."""
        try:
            pending = {asyncio.create_task(self._read(site, draft)): draft for draft in drafts}
            while pending:
                done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0)
                ready = [task for task in pending if task.done()]
                for task in done:
                    task.result()
                await self._finish(site, [pending.pop(task) for task in ready])
                self._hydrating[key] -= len(ready)
                drafts = drafts[len(ready) :]
        except session.LedgerUnavailable as error:
            log.warning("intake.lost_lease", error=str(error), connection=key)  # the lease ends, others take over
        finally:
            self._hydrating[key] -= len(drafts)
            self._done()

    async def _finish(self, site: sites.Site, drafts: list[Draft]) -> None:
        for draft in drafts:
            if draft.plan is None and draft.canonical is None:
                self._map(site, draft, None)
        targets = await self._kept(site, drafts)
        if targets:
            self._poke(targets)

    async def _kept(self, site: sites.Site, drafts: Sequence[Draft]) -> set[str]:
        """Decides and writes; when the ledger is away, again for as long as the events are surely ours."""
        clock = asyncio.get_running_loop().time
        end = clock() + LEASE / 2
        while True:
            try:
                await self._decide(site, drafts)
                return await self._write(drafts)
            except session.LedgerUnavailable as error:
                if clock() > end:
                    raise
                log.warning("intake.waiting", error=str(error))
                await asyncio.sleep(0.2)
            except Exception:
                log.exception("intake.refused", events=len(drafts))
                return await self._write_apart(drafts)

    async def _write_apart(self, drafts: Sequence[Draft]) -> set[str]:
        """One by one, so that a record which the database refuses is parked and stops nobody else."""
        targets: set[str] = set()
        for draft in drafts:
            try:
                targets |= await self._write([draft])
            except session.LedgerUnavailable:
                raise
            except Exception as error:
                draft.plan = _internal(error)
                await self._write([draft])
        return targets

    # --- reading -----------------------------------------------------------------------------------

    def _hinted(self, site: sites.Site, draft: Draft) -> bool:
        spec = site.message(draft.event.connection_key, draft.event.message)
        return spec is not None and spec.hydrate is not None

    async def _read(self, site: sites.Site, draft: Draft) -> None:
        """Reads the record behind a hint and maps it; what goes wrong becomes a verdict."""
        live = site.live[draft.event.connection_key]
        spec = site.message(live.key, draft.event.message)
        if live.opened is None or spec is None or spec.hydrate is None or spec.entity is None:
            return
        if live.state is not sites.ConnectionState.ENABLED:
            draft.delay = 30.0
            draft.plan = plan.Plan(EventState.RECEIVED, "waiting_connection")
            return
        slot = self._slots.setdefault(live.key, asyncio.Semaphore(HYDRATES))
        payload = jsontext.loads(draft.event.payload)
        try:
            wanted = template.render(spec.hydrate.input, {"payload": payload, "config": live.opened.config})
            async with slot, asyncio.timeout(HYDRATE_TIMEOUT):
                found = await self._calls.call(live.opened, spec.hydrate.operation, wanted)
        except TimeoutError:
            self._fail(draft, errors.Unavailable("no answer in time"), live.key)
        except (errors.ConnectorError, template.TemplateError) as error:
            await self._refused(draft, error, live.key)
        except Exception as error:
            log.exception("intake.internal", event=draft.event.id, kind=type(error).__name__)
            self._fail(draft, error, live.key)
        else:
            if found.data is None:
                draft.plan = plan.skip("absent")
            else:
                self._map(site, draft, found.data)

    async def _refused(self, draft: Draft, error: Exception, key: str) -> None:
        if isinstance(error, errors.CredentialRefused):
            words = verdict.of_error(error, failures=0, idempotent=declaration.Idempotency.KEY, jitter=0.5)
            async with self._ledger.write() as connection:
                if await connections.refuse(connection, key, {"code": "credential", **words.words}):
                    log.warning("connection.needs_auth", connection=key, code=error.code)
            draft.delay = 30.0
            draft.plan = plan.Plan(EventState.RECEIVED, "waiting_connection", words.words)
            return
        self._fail(draft, error, key)

    def _fail(self, draft: Draft, error: Exception, key: str) -> None:
        ruling = verdict.of_error(
            error,
            failures=draft.event.failures,
            idempotent=declaration.Idempotency.KEY,  # a detail call only reads
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )
        if ruling.act in (verdict.Act.RETRY, verdict.Act.WAIT):
            draft.delay = ruling.delay
            draft.failed = ruling.act is verdict.Act.RETRY
            draft.plan = plan.Plan(EventState.RECEIVED, ruling.reason, ruling.words)
        else:
            draft.plan = plan.Plan(EventState.PARKED, ruling.reason, ruling.words)

    def _map(self, site: sites.Site, draft: Draft, read: Any) -> None:
        """Native -> canonical; ``read`` is the hydrated record, or None to take the payload itself."""
        event = draft.event
        live = site.live.get(event.connection_key)
        if live is None or not live.used:
            draft.plan = plan.skip("connection_off")
            return
        if live.opened is None:
            words = live.problem or {"zh": "连接无法使用", "en": "the connection cannot be used"}
            draft.plan = plan.Plan(EventState.PARKED, "connection_broken", words)
            return
        spec = site.message(live.key, event.message)
        if spec is None:
            draft.plan = plan.skip("unknown_message")
            return
        entity = event.entity or spec.entity
        if entity is None:
            draft.plan = plan.skip("no_entity")
            return
        draft.meaning = site.meaning(live.connector, spec.mapping or entity)
        if draft.meaning is None:
            draft.plan = plan.skip("unmapped")
            return
        try:
            native = read if read is not None else decode.native(event.payload.encode(), spec)
            if not isinstance(native, dict):
                raise mapping_errors.MappingError("消息内容不是对象", "the record is no object", file=draft.meaning.name)
            context = {"config": live.opened.config, "event": {"record": event.record, "message": event.message}}
            canonical = draft.meaning.mapping.from_native(native, context)
            draft.text = encode(canonical)
        except (mapping_errors.MappingError, jsontext.JsonError, decode.Malformed) as error:
            draft.plan = plan.Plan(EventState.PARKED, "mapping", words_of(error))
            return
        except Exception as error:
            log.exception("intake.internal", event=event.id, kind=type(error).__name__)
            draft.plan = _internal(error)
            return
        draft.entity = entity
        draft.ref = (event.connection_key, entity, str(canonical["id"]))
        draft.canonical = canonical
        draft.arrival = event.id if read is None else None
        at = canonical.get("updated_at")
        draft.version = at.timestamp() if isinstance(at, datetime) else event.occurred_at

    # --- deciding ----------------------------------------------------------------------------------

    async def _decide(self, site: sites.Site, drafts: Sequence[Draft]) -> None:
        """Decides in the order of arrival; events of one record in one batch see each other."""
        open_ = [draft for draft in drafts if draft.plan is None]
        if not open_:
            return
        async with self._ledger.read() as connection:
            known = await records.find(connection, [draft.ref for draft in open_])
            written = [draft.ref[0] for draft in open_ if site.writes(draft.ref[0], draft.entity)]
            busy = await outbox.busy(connection, written) if written else {}
        now = max(draft.event.received_at for draft in open_)
        for draft in open_:
            if draft.canonical is None:
                continue
            before = known.get(draft.ref)
            at = draft.event.received_at
            if busy and time.time() - at < ECHO_WAIT and plan.under_way(draft.ref, before, busy, at):
                draft.delay = 0.5
                draft.plan = plan.Plan(EventState.RECEIVED, "own_write_under_way")
                continue
            wrote = orjson.loads(before.wrote) if before is not None and before.wrote else None
            try:
                draft.plan = plan.decide(
                    draft.ref,
                    draft.canonical,
                    draft.text,
                    draft.version,
                    before,
                    wrote,
                    site.candidates(draft.event.connection_key, draft.entity),
                    now,
                    replay=draft.event.replay,
                    event_id=draft.arrival,
                )
            except mapping_errors.ExpressionError as error:
                draft.plan = plan.Plan(EventState.PARKED, "condition", {"zh": error.zh, "en": error.en})
                continue
            except Exception as error:
                log.exception("intake.internal", event=draft.event.id, kind=type(error).__name__)
                draft.plan = _internal(error)
                continue
            if draft.plan.state is not None:
                known[draft.ref] = _after(before, draft.plan.state)

    # --- writing -----------------------------------------------------------------------------------

    async def _write(self, drafts: Sequence[Draft]) -> set[str]:
        targets: set[str] = set()
        newest: dict[records.Ref, records.State] = {}
        for draft in drafts:
            if draft.plan is not None and draft.plan.state is not None:
                newest[draft.plan.state.ref] = draft.plan.state
        async with self._ledger.write() as connection:
            kept = await records.keep(connection, list(newest.values()))
            missing = [ref for ref in newest if ref not in kept]
            overtaken = await records.find(connection, missing)
            for draft in drafts:
                if draft.ref in overtaken and draft.plan is not None and draft.plan.state is not None:
                    draft.plan = plan.skip("stale")
            ours = await inbox.settle(connection, [_ruling(draft) for draft in drafts])
            mine = [draft for draft in drafts if draft.event.id in ours and draft.plan is not None]
            kept = await self._identify(connection, mine, kept)
            planned = [draft for draft in mine if draft.plan is not None and draft.plan.ruling is EventState.PLANNED]
            await _CANONICAL.run(
                connection,
                [
                    (draft.event.id, draft.entity, draft.meaning.name if draft.meaning else "", draft.text)
                    for draft in planned
                ],
            )
            owed = [one for draft in planned for one in _owed(draft, kept[draft.ref])]
            await outbox.plan(connection, owed)
            targets.update(one.connection_key for one in owed)
            await tallies.add(connection, self._ledger.slot, _counts(mine))
        return targets

    async def _identify(
        self, connection: Any, drafts: Sequence[Draft], kept: dict[records.Ref, tuple[int, int]]
    ) -> dict[records.Ref, tuple[int, int]]:
        """Joins customers that share an identity; returns ``kept`` with the links after that."""
        people: dict[records.Ref, list[tuple[str, str]]] = {}
        for draft in drafts:
            if draft.entity == "customer" and draft.ref in kept and draft.canonical is not None:
                people[draft.ref] = list(marks(self._sealer, draft.canonical))
        if not people:
            return kept
        found = await records.by_identity(connection, {mark for known in people.values() for mark in known})
        became: dict[int, int] = {}
        here: dict[tuple[str, str], int] = {}

        def root(link: int) -> int:
            while link in became:
                link = became[link]
            return link

        for ref, known in sorted(people.items()):
            links = {root(kept[ref][1]), *(root(found[mark].link_id) for mark in known if mark in found)}
            links |= {root(here[mark]) for mark in known if mark in here}
            keeper = min(links)
            became.update({link: keeper for link in links if link != keeper})
            here.update(dict.fromkeys(known, keeper))
        await records.merge(connection, [(was, root(was), "identity") for was in sorted(became)])
        await records.identify(
            connection, [(kind, digest, kept[ref][0]) for ref, known in people.items() for kind, digest in known]
        )
        return {ref: (row, root(link)) for ref, (row, link) in kept.items()}


def marks(sealer: secrets.Sealer, canonical: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """(kind, digest) of everything that identifies a person; masked values identify nobody."""
    given = [(one["kind"], one["value"]) for one in canonical.get("identities") or () if one.get("value")]
    given += [(kind, canonical[kind]) for kind in ("phone", "email") if canonical.get(kind)]
    return [(kind, sealer.digest(kind, value)) for kind, value in given if "*" not in value]


def words_of(error: Exception) -> dict[str, str]:
    """An error in both languages, with its place."""
    if isinstance(error, mapping_errors.MappingError):
        return {"zh": error.text("zh"), "en": error.text("en")}
    return {"zh": f"报文无法解析：{error}", "en": f"the payload cannot be read: {error}"}


def _after(before: records.Known | None, state: records.State) -> records.Known:
    """What the ledger will know once ``state`` is kept."""
    if before is not None:
        version = before.version if state.version is None else state.version
        return replace(before, version=version, fingerprint=state.fingerprint, canonical=state.canonical)
    connection_key, entity, record = state.ref
    return records.Known(
        0, connection_key, entity, record, 0, state.number, state.version, state.fingerprint, state.canonical,
        None, None, state.hop,
    )  # fmt: skip


def _internal(error: Exception) -> plan.Plan:
    """Ours to mend: the event is kept for a replay after that."""
    name = type(error).__name__
    said = {"zh": f"内部错误 {name}，修复后可重放", "en": f"internal error {name}; replay it when that is mended"}
    return plan.Plan(EventState.PARKED, "internal", said)


def _ruling(draft: Draft) -> inbox.Ruling:
    decided = draft.plan
    if decided is None:
        return inbox.Ruling(draft.event.id, draft.event.fence, EventState.PARKED, "internal")
    detail = orjson.dumps(decided.words).decode() if decided.words else None
    again = decided.ruling is EventState.RECEIVED and draft.event.replay
    reason = "replay" if again else decided.reason  # a replay stays one until it is planned
    return inbox.Ruling(draft.event.id, draft.event.fence, decided.ruling, reason, detail, draft.delay, draft.failed)


def _owed(draft: Draft, kept: tuple[int, int]) -> list[lane.NewDelivery]:
    decided = draft.plan
    if decided is None:
        return []
    row, link = kept
    return [
        lane.NewDelivery(
            event_id=draft.event.id,
            route_key=leg.route.key,
            connection_key=leg.target.connection,
            operation=leg.target.operation,
            position=leg.position,
            kind=leg.kind,
            record_id=row,
            lane=plan.lane(leg.target.connection, draft.entity, link),
            version=draft.version,
            hop=decided.hop,
            priority=inbox.LIVE,
            delay=leg.route.after,
        )
        for leg in decided.legs
    ]


def _counts(drafts: Sequence[Draft]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for draft in drafts:
        decided = draft.plan
        if decided is None or decided.ruling in (EventState.RECEIVED, EventState.PARKED):
            continue
        key = draft.event.connection_key
        if decided.ruling is EventState.PLANNED:
            counts[(key, "planned")] += 1
        else:
            counts[(key, "filtered")] += 1
            counts[(key, f"skipped.{decided.reason}")] += 1
    return counts



