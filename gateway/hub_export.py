"""Writing ``hub.yaml`` out: the whole configuration of the ledger as one file, secrets as variables."""

from __future__ import annotations

import re
from typing import Any

import yaml

from gateway import current, hub, hub_file
from retry_queue.ledger import configuration, sandbox, secrets, session
from retry_queue.ledger.states import ConnectionState


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def variable(key: str, field: str) -> str:
    """The environment variable an exported secret is read from."""
    return re.sub(r"[^A-Z0-9]+", "_", f"{key}_{field}".upper())


async def export(ledger: session.Ledger, sealer: secrets.Sealer) -> tuple[str, list[str]]:
    """The whole configuration as a file, and the variables its secrets are read from.

    A secret that lives outside is written as where it lives. Raises SecretUnreadable.
    """
    async with ledger.read() as connection:
        now = await current.load(connection)
    needed: list[str] = []
    document: dict[str, Any] = {"apiVersion": hub_file.API_VERSION}
    if now.declarations:
        document["declarations"] = [{"body": text} for text in now.declarations.values()]
    document["connections"] = []
    for key, stored in now.connections.items():
        row = stored.really()
        entry: dict[str, Any] = {"key": key, "connector": row.connector}
        if row.config:
            entry["config"] = {
                name: hub_file.escape(value) if isinstance(value, str) else value for name, value in row.config.items()
            }
        if row.sealed:
            known = stored.references(sealer) if stored.real is None else sandbox.references(sealer, stored)
            entry["secrets"] = {name: known.get(name, f"${{{variable(key, name)}}}") for name in sorted(row.sealed)}
            needed += [variable(key, name) for name in sorted(row.sealed) if name not in known]
        if row.state in (ConnectionState.PAUSED, ConnectionState.DISABLED):
            entry["state"] = str(row.state)
        document["connections"].append(entry)
    mappings = now.mappings.items()
    document["mappings"] = [{"connector": place[0], "name": place[1], "body": row.body} for place, row in mappings]
    document["templates"] = [dict(one) for one in now.templates.values()]
    document["entities"] = now.entities
    document["routes"] = [_exported(row) for row in now.routes.values()]
    document["reconciliations"] = [dict(one) for one in now.reconciliations.values()]
    document["alerts"] = [dict(one) for one in now.alerts.values()]
    text = yaml.dump(document, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=110)
    return text, needed


def _exported(row: configuration.RouteRow) -> dict[str, Any]:
    spec = hub.route_shown(row)
    enabled = spec.pop("enabled")
    names = ("label", "from", "when", "to", "then", "after", "unless", "hours", "order")
    order: dict[str, Any] = {name: spec[name] for name in names if name in spec}
    if order.get("after"):
        order["after"] = f"{order['after']:g}s"
    return {"key": row.key, **order, **({} if enabled else {"enabled": False})}
