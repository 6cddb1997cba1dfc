"""What placeholders can name: the roots that every rendering starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.core import declaration, model


def settings(connection: model.Connection) -> dict[str, Any]:
    """The connection's config with the declared defaults under it; empty texts count as not filled in."""
    kept: dict[str, Any] | None = connection.memo.get("settings")
    if kept is None:
        kept = {field.key: field.default for field in connection.declaration.fields if field.default is not None}
        kept.update((key, value) for key, value in connection.config.items() if value is not None and value != "")
        connection.memo["settings"] = kept
    return kept


def of(connection: model.Connection, **more: Any) -> dict[str, Any]:
    """``config``, ``secret`` and ``time`` of a connection, and whatever else is given. Empty secrets are absent."""
    secrets = connection.memo.get("secrets")
    if secrets is None:
        secrets = connection.memo["secrets"] = {key: value for key, value in connection.secrets.items() if value}
    return {"config": settings(connection), "secret": secrets, "time": connection.declaration.time, **more}


def applies(when: Mapping[str, str | list[str]], config: Mapping[str, Any]) -> bool:
    """Whether a ``when`` block holds: each named field has (one of) the given values."""
    for key, wanted in when.items():
        value = config.get(key)
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        if text not in (wanted if isinstance(wanted, list) else [wanted]):
            return False
    return True


def open_sources(connection: model.Connection) -> dict[str, declaration.EventSource]:
    """The event sources whose ``when`` holds for this connection."""
    kept: dict[str, declaration.EventSource] | None = connection.memo.get("sources")
    if kept is None:
        config = settings(connection)
        kept = {key: one for key, one in connection.declaration.events.items() if applies(one.when, config)}
        connection.memo["sources"] = kept
    return kept
