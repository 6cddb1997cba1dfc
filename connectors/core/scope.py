"""What placeholders can name: the roots that every rendering starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.core import declaration, model


def settings(connection: model.Connection) -> dict[str, Any]:
    """The connection's config with the declared defaults under it; empty texts count as not filled in."""
    out = {field.key: field.default for field in connection.declaration.fields if field.default is not None}
    out.update((key, value) for key, value in connection.config.items() if value is not None and value != "")
    return out


def of(connection: model.Connection, **more: Any) -> dict[str, Any]:
    """``config``, ``secret`` and ``time`` of a connection, and whatever else is given. Empty secrets are absent."""
    secrets = {key: value for key, value in connection.secrets.items() if value}
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
    config = settings(connection)
    return {key: source for key, source in connection.declaration.events.items() if applies(source.when, config)}
