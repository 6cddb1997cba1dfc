"""The admin API: one file per noun, one gate before all of them."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from gateway import schema, security
from gateway.api import (
    alarms,
    alerts,
    audits,
    authorisations,
    backfills,
    backups,
    breakers,
    comparisons,
    conflicts,
    connections,
    connectors,
    customers,
    declarations,
    deliveries,
    edits,
    entities,
    events,
    explaining,
    failures,
    installation,
    keys,
    ledger,
    links,
    live,
    mapping_versions,
    mappings,
    models,
    overview,
    problem_codes,
    quarantine,
    recipes,
    reconciliations,
    replays,
    retention,
    routes,
    samples,
    sandboxes,
    scan_sign_on,
    services,
    sessions,
    single_sign_on,
    templates,
    timers,
    tokens,
    trials,
    users,
)

PREFIX = "/api/v1"
NOUNS = (
    sessions, single_sign_on, scan_sign_on, users, tokens, connectors, declarations, authorisations,
    connections, sandboxes, breakers, mappings, mapping_versions, routes, recipes, events, edits, explaining,
    deliveries, replays, timers, links, customers, entities, conflicts, comparisons, reconciliations, backfills,
    ledger, quarantine, audits, alerts, alarms, keys, retention, backups, installation, problem_codes, overview,
    live, failures, trials, models, samples, templates,
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
