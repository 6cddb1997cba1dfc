"""Trying a connection's settings before they are stored: the wizard's "test" button."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from connectors.core import auth, client, model, pacing
from gateway import problems, schema, soundness
from gateway.api import connections as connection_api
from gateway.api import paging, services
from retry_queue.ledger import connections
from retry_queue.sync import site as sites

routes = APIRouter(prefix="/trials", tags=["trials"])


class Draft(paging.Part):
    """Settings as they stand in a form. ``key`` names a stored connection whose secrets fill what is left out."""

    connector: str
    config: connection_api.Config = Field(default_factory=dict)
    secrets: connection_api.Secrets = Field(default_factory=dict)
    key: Annotated[str | None, Field(max_length=60)] = None


@routes.post("/connection", operation_id="trial_connection", summary="试连 Try a connection",
             responses=schema.responses(404))  # fmt: skip
async def connection(request: Request, body: Draft) -> connection_api.TestResult:
    """Makes the probe call with these settings and keeps nothing of it, no token either."""
    hub = services.of(request)
    spec = soundness.declared(body.connector)
    if isinstance(spec, problems.Fault):
        raise problems.Problem("invalid", faults=[spec])
    secrets = {name: text for name, text in body.secrets.items() if text}
    if body.key is not None:
        secrets = {**await _stored(hub, body.key, body.connector), **secrets}
    config = soundness.settled(spec, body.config)
    found = soundness.values(spec, config, secrets)
    if found:
        raise problems.Problem("invalid", faults=found)
    opened = model.Connection(body.key or "trial", spec, sites.with_defaults(spec, config), secrets)
    calls = client.Client(auth.MemoryTokens(), pacing.LocalPacer())
    try:
        return await connection_api.probed(calls, opened)
    finally:
        await calls.aclose()


async def _stored(hub: services.Services, key: str, connector: str) -> dict[str, str]:
    async with hub.ledger.read() as db:
        row = await connections.get(db, key)
    if row is None or row.connector != connector:
        raise problems.Problem("not_found", f"没有连接 {key}", f"no connection {key}")
    return dict(row.opened(hub.sealer))
