"""The connection that a connector rehearses with: the first of its ``rehearsal.yaml``."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from typing import Any

import yaml

from connectors.core import template


def connection(connector: str, url: str, setting: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Config and secrets of it; both empty for a connector without a rehearsal.

    ``url``: where the simulators are; ``setting``: what the connector's simulator is set to.
    """
    file = importlib.resources.files("connectors").joinpath(connector, "rehearsal.yaml")
    plan = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    first = next(iter((plan.get("connections") or {"main": {}}).values()))
    roots = {"url": url, "ws": url.replace("http", "ws", 1), "setting": setting, "dollar": "$"}
    config, secrets = (template.render(first.get(part) or {}, roots) for part in ("config", "secrets"))
    return dict(config), dict(secrets)
