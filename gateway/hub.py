"""``hub.yaml`` against the ledger: check, compare, apply all or nothing, and write it out again.

What a file does not name stays, unless ``prune``. Applying a file twice changes nothing the second time; an
exported file, applied where its variables are set, changes nothing either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import alerting, current, entity_soundness, hub_file, problems, route_soundness, schedules
from mappings import engine
from retry_queue.ledger import audit, configuration, connections, logins, secrets, session
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import alarm, schedule
from retry_queue.sync import route as routes

HIDDEN = "***"
Wanted = hub_file.Draft | Callable[[current.Current], hub_file.Draft]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value that changes; secrets read ``***``, None means absent."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is created, changed or removed."""

    kind: str
    key: str
    action: str
    fields: tuple[FieldChange, ...] = ()

    @property
    def line(self) -> str:
        """One line for people, without the values."""
        return f"{ {'create': '+', 'change': '~', 'remove': '-'}[self.action] } {self.kind} {self.key}"


def check(draft: hub_file.Draft, now: current.Current, *, prune: bool = False) -> list[hub_file.Problem]:
    """Every problem of a file, including what it refers to in the ledger or in itself. In file order."""
    connectors = now.reach(draft.declarations, prune=prune)
    draft.settle(connectors)
    known: dict[str, tuple[str, Mapping[str, Any]]] = {}
    own: dict[tuple[str, str], engine.Mapping] = {}
    templates = set(draft.templates)
    if not prune:
        known |= {key: (row.connector, row.config) for key, row in now.connections.items()}
        own |= now.world().mappings
        templates |= set(now.templates)
    known |= {key: (one.connector, one.config) for key, one in draft.connections.items()}
    for place, text in draft.mappings.items():
        made = current.compiled(text, place)
        if made is not None:
            own[place] = made
    # A broken connection of the file is no reason to call every route to it broken too.
    named = {key for section, key in draft.where if section == "connections"}
    templates |= {key for section, key in draft.where if section == "templates"}
    world = route_soundness.World(known, own, frozenset(templates), connectors, now.sandboxed)
    for key in sorted(now.sandboxed & draft.connections.keys()):
        zh, en = (
            f"连接 {key} 正在用模拟器：请先切回真实系统",
            f"a simulator stands in for '{key}': switch it back first",
        )
        draft.say(problems.Fault("sandboxed", zh, en), *draft.place("connections", key))
    for key, given in draft.routes.items():
        for fault in route_soundness.route(given, world):
            if fault.code == "unknown_connection" and _spoken(given, fault) in named:
                continue
            draft.say(fault, *draft.place("routes", key))
    for name, rule in draft.entities.items():
        for fault in entity_soundness.unknown_connections(rule, known, named):
            draft.say(fault, *draft.place("entities", name))
    _by_themselves(draft, world, named)
    if not prune:
        _left_behind(draft, now, world)
    unique = list(dict.fromkeys(draft.problems))
    return sorted(unique, key=lambda one: one.line)


def _by_themselves(draft: hub_file.Draft, world: route_soundness.World, named: set[str]) -> None:
    """Comparisons and alerts: nothing relies on them."""
    for key, turn in draft.reconciliations.items():
        for fault in schedules.faults(turn, world):
            if fault.code == "unknown_connection" and getattr(turn, str(fault.path[0])).connection in named:
                continue
            draft.say(fault, *draft.place("reconciliations", key))
    for key, alert in draft.alerts.items():
        for fault in alerting.faults(alert, world, named):
            draft.say(fault, *draft.place("alerts", key))


def _left_behind(draft: hub_file.Draft, now: current.Current, world: route_soundness.World) -> None:
    """Routes that stay although the file changes what they rely on (another connector under the same key)."""
    changed = {
        key for key, one in draft.connections.items()
        if key in now.connections and now.connections[key].connector != one.connector
    }  # fmt: skip
    redone = {key for key, text in draft.declarations.items() if now.declarations.get(key, text) != text}
    changed |= {key for key, row in now.connections.items() if row.connector in redone}
    for key, row in now.routes.items():
        if key in draft.routes or not changed:
            continue
        given = routes.Route.model_validate({**row.spec, "key": key, "enabled": row.enabled})
        touched = {given.source.connection, *(placed.target.connection for placed in given.targets)} & changed
        if touched and route_soundness.route(given, world):
            first = min(touched)
            zh = f"现有路由 {key} 不再可用：连接 {first} 的连接器变了；请同时修改该路由"
            en = (
                f"the route '{key}' that is there would break: the connector of '{first}' changes; change the route too"
            )
            fault = problems.Fault("breaks_route", zh, en, ("connector",) if first in draft.connections else ())
            draft.say(fault, *draft.place("connections", first))


def _spoken(given: routes.Route, fault: problems.Fault) -> str:
    named: list[tuple[tuple[Any, ...], Any]] = [(("from",), given.source), *route_soundness.spots(given)]
    named += [(("unless", place), one) for place, one in enumerate(given.unless)]
    return next((one.connection or "" for path, one in named if fault.path[: len(path)] == path), "")


# --- compare ------------------------------------------------------------------------------------


def compare(
    draft: hub_file.Draft, now: current.Current, sealer: secrets.Sealer, *, prune: bool = False
) -> list[Change]:
    """What applying the file would change, in the order it is done."""
    found: list[Change] = []
    for key, text in draft.declarations.items():
        old = now.declarations.get(key)
        found += _change("declaration", key, None if old is None else {"body": old}, {"body": text})
    for key, wanted in draft.connections.items():
        row = now.connections.get(key)
        found += _change("connection", key, _connection(row, sealer), _wanted(wanted, row, sealer))
    for place, text in draft.mappings.items():
        published = now.mappings.get(place)
        before = {"body": published.body} if published else None
        found += _change("mapping", "/".join(place), before, {"body": text})
    for key, template in draft.templates.items():
        found += _change("template", key, now.templates.get(key), _dump(template))
    for name, rule in draft.entities.items():
        found += _change("entity", name, now.entities.get(name), _dump(rule))
    for key, given in draft.routes.items():
        stored = now.routes.get(key)
        found += _change("route", key, route_shown(stored) if stored else None, _spec(given))
    for kind, there, given_ones in _listed(draft, now):
        for key, one in given_ones.items():
            found += _change(kind, key, there.get(key), _dump(one))
    if prune:
        found += _removals(draft, now)
    return found


def _listed(
    draft: hub_file.Draft, now: current.Current
) -> tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...]:
    """What is made anew from the file as it stands, and nothing else relies on: (kind, before, wanted)."""
    return ("reconciliation", now.reconciliations, draft.reconciliations), ("alert", now.alerts, draft.alerts)


def _removals(draft: hub_file.Draft, now: current.Current) -> Iterator[Change]:
    sections: tuple[tuple[str, Mapping[Any, Any], Mapping[Any, Any]], ...] = (
        ("route", now.routes, draft.routes),
        *_listed(draft, now), ("connection", now.connections, draft.connections),
        ("mapping", now.mappings, draft.mappings), ("template", now.templates, draft.templates),
        ("entity", now.entities, draft.entities), ("declaration", now.declarations, draft.declarations),
    )  # fmt: skip
    for kind, there, wanted in sections:
        for key in there.keys() - wanted.keys():
            yield Change(kind, "/".join(key) if isinstance(key, tuple) else key, "remove")


def _connection(row: connections.Row | None, sealer: secrets.Sealer) -> dict[str, Any] | None:
    if row is None:
        return None
    try:
        clear = row.kept(sealer)
    except secrets.SecretUnreadable:
        clear = dict.fromkeys(row.sealed, "")  # differs from anything a file can say, so it is written anew
    found = {"connector": row.connector, "config": row.config, "secrets": clear, "state": str(row.state)}
    return found | ({"referred": sorted(row.referred)} if row.referred else {})


def _wanted(wanted: hub_file.WantedConnection, row: connections.Row | None, sealer: secrets.Sealer) -> dict[str, Any]:
    made = {
        "connector": wanted.connector,
        "config": wanted.config,
        "secrets": wanted.secrets,
        "state": str(wanted.state),
    }
    if wanted.referred:
        made["referred"] = sorted(wanted.referred)
    waits = row is not None and row.state is ConnectionState.NEEDS_AUTH and wanted.state is ConnectionState.ENABLED
    if waits and _connection(row, sealer) == {**made, "state": str(ConnectionState.NEEDS_AUTH)}:
        made["state"] = str(ConnectionState.NEEDS_AUTH)  # the same refused credentials again mend nothing
    return made


def route_shown(row: configuration.RouteRow) -> dict[str, Any]:
    return _spec(routes.Route.model_validate({**row.spec, "key": row.key, "enabled": row.enabled}))


def _spec(given: routes.Route) -> dict[str, Any]:
    return {**current.route_spec(given), "enabled": given.enabled}


def _dump(given: routes.Template | routes.EntityRule | schedule.Schedule | alarm.Alert) -> dict[str, Any]:
    return given.model_dump(mode="json", exclude_defaults=True, by_alias=True)


def _change(kind: str, key: str, old: dict[str, Any] | None, new: dict[str, Any]) -> list[Change]:
    if old == new:
        return []
    fields = []
    before, after = dict(_flat(old or {})), dict(_flat(new))
    for path in sorted({*before, *after}):
        was, will = before.get(path), after.get(path)
        if was != will:
            hide = kind == "connection" and path.startswith("secrets.")
            fields.append(FieldChange(path, *(HIDDEN if hide and one is not None else one for one in (was, will))))
    return [Change(kind, key, "create" if old is None else "change", tuple(fields))]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{path}[{index}]")
    elif value != {}:
        yield path, value


# --- apply --------------------------------------------------------------------------------------


async def apply(
    ledger: session.Ledger, sealer: secrets.Sealer, draft: Wanted, *, actor: str, prune: bool = False,
    by: str = "hub.yaml",
) -> list[Change]:  # fmt: skip
    """Makes the ledger what the file says, in one transaction; returns what changed. Raises hub_file.Broken."""
    at = await ledger.now()
    async with ledger.write() as connection:
        await audit.lock(connection)
        now = await current.load(connection)
        draft = draft(now) if callable(draft) else draft
        wrong = check(draft, now, prune=prune)
        if wrong:
            raise hub_file.Broken(wrong)
        changes = compare(draft, now, sealer, prune=prune)
        if not changes:
            return []
        await _write(connection, sealer, draft, now, changes, actor, at)
        for one in changes:
            detail = {"fields": [field.path for field in one.fields], "by": by}
            await audit.append(
                connection, sealer, at, actor, f"{one.kind}.{one.action}", f"{one.kind}/{one.key}", detail
            )
        await configuration.touch(connection)
    return changes


async def _write(
    connection: AsyncConnection,
    sealer: secrets.Sealer,
    draft: hub_file.Draft,
    now: current.Current,
    changes: list[Change],
    actor: str,
    at: float,
) -> None:
    for one in changes:
        gone = one.action == "remove"
        match one.kind:
            case "connection":
                if gone:
                    await logins.forget(connection, one.key)
                    await connections.remove(connection, one.key)
                else:
                    await logins.end(connection, one.key)
                    await _put(connection, sealer, one.key, draft.connections[one.key], now, at)
            case "mapping":
                connector, _, name = one.key.partition("/")
                if gone:
                    await configuration.withdraw_mapping(connection, connector, name)
                else:
                    text = draft.mappings[(connector, name)]
                    await configuration.publish_mapping(connection, connector, name, text, actor, at)
            case "route":
                if gone:
                    await configuration.remove_route(connection, one.key)
                else:
                    given = draft.routes[one.key]
                    await configuration.put_route(connection, one.key, current.route_spec(given), given.enabled)
    await _settings(connection, draft, now, changes)


async def _settings(
    connection: AsyncConnection, draft: hub_file.Draft, now: current.Current, changes: list[Change]
) -> None:
    """Sections that are one setting each."""
    for kind, key, before, wanted in (
        ("template", current.TEMPLATES, now.templates, draft.templates),
        ("entity", current.ENTITIES, now.entities, draft.entities),
        ("declaration", configuration.DECLARATIONS, now.declarations, draft.declarations),
        ("reconciliation", current.RECONCILIATIONS, now.reconciliations, draft.reconciliations),
        ("alert", current.ALERTS, now.alerts, draft.alerts),
    ):
        mine = [one for one in changes if one.kind == kind]
        if not mine:
            continue
        kept: dict[str, Any] = dict(before)
        for one in mine:
            kept.pop(one.key, None)
            if one.action != "remove":
                new: Any = wanted[one.key]
                kept[one.key] = new if isinstance(new, str) else _dump(new)
        by_name = kind in ("entity", "declaration")
        await configuration.put_setting(connection, key, kept if by_name else list(kept.values()))


async def _put(
    connection: AsyncConnection,
    sealer: secrets.Sealer,
    key: str,
    wanted: hub_file.WantedConnection,
    now: current.Current,
    at: float,
) -> None:
    before = now.connections.get(key)
    gone = {} if before is None else dict.fromkeys(before.sealed.keys() - wanted.secrets.keys(), "")
    clear = {**gone, **wanted.secrets}
    await connections.put(
        connection, sealer, key, wanted.connector, wanted.config, clear, wanted.state, at, referred=wanted.referred
    )


async def diff(
    ledger: session.Ledger, sealer: secrets.Sealer, draft: hub_file.Draft, *, prune: bool = False
) -> list[Change]:
    """What ``apply`` would change. Raises hub_file.Broken."""
    async with ledger.read() as connection:
        now = await current.load(connection)
    wrong = check(draft, now, prune=prune)
    if wrong:
        raise hub_file.Broken(wrong)
    return compare(draft, now, sealer, prune=prune)
