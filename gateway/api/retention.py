"""How long what is kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from gateway import security
from gateway.api import paging, services
from retry_queue.ledger import audit, retention

routes = APIRouter(prefix="/settings", tags=["settings"])
Days = Annotated[int | None, Field(ge=1, le=36500, description="Days; null keeps it for ever")]


class Retention(paging.Part):
    """Days that each class of data is kept. What is owed, parked or under way always stays."""

    raw: Annotated[Days, Field(description="Bodies of events as they came, with edits of them")]
    canonicals: Annotated[Days, Field(description="Bodies of events as they were mapped")]
    attempts: Annotated[Days, Field(description="Attempts of deliveries with what was said")]
    exchanges: Annotated[Days, Field(description="What was said in attempts; null: as long as they are kept")]
    dead_letters: Annotated[Days, Field(description="All of these, of what was given up and may be replayed")]
    quarantine: Annotated[Days, Field(description="Calls refused at the door")]
    comparisons: Annotated[Days, Field(description="Finished reconciliations and their findings")]
    audit: Annotated[Days, Field(description="Entries of the audit log; its chain is anchored anew")]


@routes.get("/retention", operation_id="retention_get", summary="数据保留期 Retention")
async def one(request: Request) -> Retention:
    """The policy in force."""
    async with services.of(request).ledger.read() as db:
        return Retention(**asdict(await retention.read(db)))


@routes.put("/retention", operation_id="retention_put", summary="修改数据保留期 Change")
async def put(request: Request, body: Retention) -> Retention:
    """Sets the policy as a whole. What it makes too old goes with the next sweeps and does not come back."""
    hub, who = services.of(request), security.principal(request)
    async with hub.change(touch=False) as db:
        before = asdict(await retention.read(db))
        policy = retention.Policy(**body.model_dump())
        await retention.put(db, policy)
        changed = {name: days for name, days in asdict(policy).items() if before[name] != days}
        await audit.append(db, hub.sealer, hub.clock(), who.name, "retention.put", "settings/retention", changed)
    return body
