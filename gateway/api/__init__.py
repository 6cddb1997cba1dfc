"""The admin API: one file per noun, one gate before all of them."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from gateway import schema, security
from gateway.api import (
    audits,
    conflicts,
    connections,
    connectors,
    declarations,
    deliveries,
    events,
    ledger,
    links,
    mappings,
    problem_codes,
    quarantine,
    routes,
    services,
    sessions,
    tokens,
    users,
)

PREFIX = "/api/v1"
NOUNS = (
    sessions, users, tokens, connectors, declarations,
    connections, mappings, routes, events, deliveries, links, ledger, quarantine,
    conflicts, audits, problem_codes,
)  # fmt: skip


def build(hub: services.Services) -> APIRouter:
    """The router of the admin API over an opened hub; the app must have had ``problems.install``."""
    top = APIRouter(
        prefix=PREFIX,
        dependencies=[Depends(security.gate(hub))],
        responses=schema.responses(400, 401, 403, 413, 422, 503),
    )
    for noun in NOUNS:
        top.include_router(noun.routes)
    return top
