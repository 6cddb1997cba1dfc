"""Comparisons that are made again and again: the schedules of reconciliations, kept as hub.yaml keeps them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from gateway import current, problems, schedules, schema, security
from gateway.api import paging, reconciliations, services
from retry_queue.ledger import audit, configuration
from retry_queue.sync import schedule as plans

routes = APIRouter(prefix="/reconciliations", tags=["reconciliations"])
MOST = 200
Key = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]


@routes.put("/schedules/{key}", operation_id="reconciliation_schedule_put", summary="保存对账计划 Save",
            responses=schema.responses(409))  # fmt: skip
async def put(request: Request, key: Key, body: plans.Schedule) -> reconciliations.ScheduleDetail:
    """Makes or replaces a schedule; a new one makes its newest turn at once."""
    if body.key != key:
        wrong = problems.Fault("key", "与地址中的 key 不一致", "not the key of the address", ("key",))
        raise problems.Problem("invalid", faults=[wrong])
    await _change(request, key, body)
    due = paging.moment(body.next(services.of(request).clock()))
    return reconciliations.ScheduleDetail.model_validate({**body.model_dump(), "next_at": due})


@routes.delete("/schedules/{key}", operation_id="reconciliation_schedule_delete", summary="删除对账计划 Remove",
               status_code=204, responses=schema.responses(404))  # fmt: skip
async def remove(request: Request, key: Key) -> None:
    """Removes a schedule; what it compared so far stays."""
    await _change(request, key, None)


async def _change(request: Request, key: str, body: plans.Schedule | None) -> None:
    hub, who = services.of(request), security.principal(request)
    async with hub.change() as db:
        now = await current.load(db)
        kept: dict[str, Any] = dict(now.reconciliations)
        if body is None:
            if kept.pop(key, None) is None:
                raise problems.Problem("not_found", f"没有对账计划 {key}", f"no schedule {key}")
        else:
            if found := schedules.faults(body, now.world()):
                raise problems.Problem("invalid", faults=found)
            if key not in kept and len(kept) >= MOST:
                raise problems.Problem("conflict", f"最多 {MOST} 个对账计划", f"at most {MOST} schedules")
            kept[key] = body.model_dump(mode="json", exclude_defaults=True)
        await configuration.put_setting(db, current.RECONCILIATIONS, list(kept.values()))
        action = "reconciliation.schedule_delete" if body is None else "reconciliation.schedule_put"
        await audit.append(db, hub.sealer, hub.clock(), who.name, action, f"reconciliation/{key}")
