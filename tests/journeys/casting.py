"""Connections of any connector to its own simulator on a stage, as its ``rehearsal.yaml`` describes them."""

from __future__ import annotations

import importlib
from typing import Any

import yaml

from connectors.core import template
from gateway.recipes import making
from gateway.trial import stage
from tests.conformance import rehearsal, ruling


def entry(connector: str, place: stage.Stage, **config: Any) -> dict[str, Any]:
    """A connection of hub.yaml, called like its connector; ``config`` goes before what the rehearsal says."""
    settings = importlib.import_module(f"connectors.{connector}.simulator").Simulator.SETTINGS
    known = {key: value for key, value in settings.items() if value not in ("", None)}
    wish = next(iter(rehearsal.of(connector).connections.values()))
    roots = {"url": place.sim_url, "ws": place.sim_url.replace("http", "ws", 1), "setting": settings, "dollar": "$"}
    plain, hidden = (dict(template.render(part, {**roots, "world": {}})) for part in (wish.config, wish.secrets))
    for field in ruling.folder(connector).spec.fields:
        if field.key in known:
            (hidden if field.secret else plain).setdefault(field.key, known[field.key])
    if "push_url" in plain:
        plain["push_url"] = f"{place.hub_url}/hooks/{connector}"
    return {"key": connector, "connector": connector, "config": {**plain, **config}, "secrets": hidden}


async def connect(place: stage.Stage, *connectors: str, **configs: dict[str, Any]) -> None:
    """Applies such connections and tells the simulators that push where the hub is."""
    entries = [entry(one, place, **configs.get(one, {})) for one in connectors]
    await place.apply(yaml.safe_dump({"apiVersion": "shuniu/v1", "connections": entries}).replace("${", "$${"))
    for one in connectors:
        if "push_url" in importlib.import_module(f"connectors.{one}.simulator").Simulator.SETTINGS:
            await place.panel(f"{one}/configure", {"push_url": f"{place.hub_url}/hooks/{one}"})


def cast(parameters: dict[str, Any] | None = None, **parts: str) -> making.Casting:
    """``cast(shop="pdd,jd", erp="kingdee")``."""
    filled = {key: [making.Filling(connection=one) for one in those.split(",")] for key, those in parts.items()}
    return making.Casting(parts=filled, parameters=parameters or {})
