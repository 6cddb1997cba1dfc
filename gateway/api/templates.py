"""Templates: the words of messages that routes send."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from gateway import problems, schema, security
from gateway.api import paging, services
from retry_queue.ledger import audit, configuration
from retry_queue.sync import route as sync_route

routes = APIRouter(prefix="/templates", tags=["templates"])
MOST = 500
Key = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]


class Templates(paging.Page):
    items: list[sync_route.Template]


async def _all(hub: services.Services) -> dict[str, sync_route.Template]:
    async with hub.ledger.read() as db:
        found = await configuration.setting(db, "templates") or []
    return {one["key"]: sync_route.Template.model_validate(one) for one in found}


@routes.get("", operation_id="template_list", summary="消息模板列表 Templates")
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Templates:
    """Every template, by key."""
    found = await _all(services.of(request))
    page, more = paging.sliced(list(found.values()), limit, cursor, lambda one: one.key)
    return Templates(items=list(page), next_cursor=more)


@routes.put("/{key}", operation_id="template_put", summary="保存消息模板 Save")
async def put(request: Request, key: Key, body: sync_route.Template) -> sync_route.Template:
    """Makes or replaces a template."""
    if body.key != key:
        wrong = problems.Fault("key", "与地址中的 key 不一致", "not the key of the address", ("key",))
        raise problems.Problem("invalid", faults=[wrong])
    await _change(request, key, body)
    return body


@routes.delete("/{key}", operation_id="template_delete", summary="删除消息模板 Remove", status_code=204,
               responses=schema.responses(404, 409))  # fmt: skip
async def remove(request: Request, key: Key) -> None:
    """Removes a template that no route uses."""
    await _change(request, key, None)


async def _change(request: Request, key: str, body: sync_route.Template | None) -> None:
    hub, who = services.of(request), security.principal(request)
    async with hub.change() as db:
        found = {one["key"]: one for one in await configuration.setting(db, "templates") or []}
        if body is None:
            if key not in found:
                raise problems.Problem("not_found", f"没有消息模板 {key}", f"no template {key}")
            users = [
                row.key
                for row in await configuration.routes(db)
                if any(target.get("template") == key for target in row.spec.get("to", []))
            ]
            if users:
                shown = ", ".join(users[:10])
                raise problems.Problem("in_use", f"这些路由仍在使用它：{shown}", f"these routes use it: {shown}")
            del found[key]
        else:
            if key not in found and len(found) >= MOST:
                raise problems.Problem("conflict", f"最多 {MOST} 个模板", f"at most {MOST} templates")
            found[key] = body.model_dump(mode="json", exclude_none=True)
        await configuration.put_setting(db, "templates", [found[one] for one in sorted(found)])
        action = "template.delete" if body is None else "template.put"
        await audit.append(db, hub.sealer, hub.clock(), who.name, action, f"template/{key}")
