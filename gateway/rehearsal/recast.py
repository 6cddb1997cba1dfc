"""A site's own hub.yaml with every system played by its simulator, and the shops' orders by a door that can be loaded.

Routes, conditions, mappings, templates and field rules stay as they are. A connection whose connector has a simulator
is pointed at it; what has none is left out, with the routes that need it, and named. No credential of the site is
read: the simulators bring theirs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from connectors.core import declaration, registry, rehearsed
from gateway.bench import orders

ENTITY = "order"
DOOR = "rehearsal-"
"""Before the key of a shop: the connection that the load comes in by in its place."""
SECRET_NAME = "REHEARSAL_DOOR"


@dataclass(slots=True)
class Cast:
    """What is rehearsed. ``text`` is a hub.yaml; ``doors`` are the keys that take the load, in turn."""

    text: str
    doors: list[str]
    played: dict[str, str] = field(default_factory=dict)
    """Connection key -> the simulator that plays it."""
    left_out: list[str] = field(default_factory=list)
    """Connections and routes that could not be played."""


class NothingToRehearse(ValueError):
    """No route of the file takes orders to a system that can be played."""


def credentials() -> dict[str, dict[str, Any]]:
    """Simulator -> its settings, credentials among them; asked of a process, since production never imports one."""
    command = [sys.executable, "-P", "-m", "connectors.simulator", "--settings"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    found: dict[str, dict[str, Any]] = json.loads(told.stdout)
    return found


def recast(text: str, known: Mapping[str, Mapping[str, Any]], url: str) -> Cast:
    """The rehearsed form of a hub.yaml. Raises NothingToRehearse, or yaml.YAMLError."""
    given = yaml.safe_load(text)
    if not isinstance(given, dict):
        raise NothingToRehearse("the file is not a hub.yaml")
    cast = Cast("", [])
    site = {name: given[name] for name in ("apiVersion", "declarations", "mappings", "templates", "entities")
            if given.get(name)}  # fmt: skip
    connections = []
    for one in given.get("connections") or []:
        if one.get("connector") in known:
            connections.append(_played(one, known[one["connector"]], url))
            cast.played[str(one["key"])] = str(one["connector"])
        else:
            cast.left_out.append(f"{one.get('key')} ({one.get('connector')})")
    routes = []
    for one in given.get("routes") or []:
        source = one.get("from") or {}
        needed = {source.get("connection"), *(to.get("connection") for to in one.get("to") or [])}
        if missing := needed - set(cast.played):
            cast.left_out.append(f"{one.get('key')} → {', '.join(sorted(str(key) for key in missing))}")
            continue
        if source.get("entity") == ENTITY:
            door = DOOR + str(source["connection"])
            if door not in cast.doors:
                cast.doors.append(door)
                connections.append(_door(door))
            one = {**one, "from": {**source, "connection": door}}
        routes.append(one)
    if not cast.doors:
        raise NothingToRehearse("no route takes orders from a connection that can be played")
    cast.text = yaml.safe_dump({**site, "connections": connections, "routes": routes}, allow_unicode=True)
    return cast


def _door(key: str) -> dict[str, Any]:
    config = {"verify_style": "hmac", "verify_header": orders.HEADER, "dedupe_path": "id", "entity": ENTITY}
    secrets = {"hook_secret": f"${{{SECRET_NAME}}}"}
    return {"key": key[:60], "connector": "http", "config": config, "secrets": secrets}


def _played(one: Mapping[str, Any], settings: Mapping[str, Any], url: str) -> dict[str, Any]:
    """A connection that its simulator takes: the site's choices, the simulator's addresses and credentials."""
    spec = registry.get(str(one["connector"]))
    played, _ = rehearsed.connection(spec.id, url, settings)
    config = {**played, **{key: value for key, value in (one.get("config") or {}).items() if _a_choice(spec, key)}}
    secrets: dict[str, str] = {}
    for part in spec.fields:
        value = settings.get(part.key)
        if value in (None, ""):
            continue
        if part.secret:
            secrets[part.key] = str(value).replace("$", "$$")
        else:
            config[part.key] = value
    config |= {key: value for key, value in played.items() if url.split("//")[1] in str(value)}
    return {"key": one["key"], "connector": spec.id, "config": config, "secrets": secrets}


def _a_choice(spec: declaration.Declaration, key: str) -> bool:
    """Whether a field says how things are done, and not where or for whom."""
    kind = next((part.type for part in spec.fields if part.key == key), None)
    return kind is not None and kind is not declaration.FieldType.URL
