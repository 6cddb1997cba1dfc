"""The keys that seal credentials: which there are, and changing them while everything runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from gateway import security
from gateway.api import paging, services
from retry_queue.ledger import keyring

routes = APIRouter(prefix="/keys", tags=["keys"])


class DataKey(paging.Part):
    """A data key; the key itself never leaves the hub. ``rows`` hold something that it sealed."""

    id: Annotated[str, Field(examples=["5f3c9a10"])]
    state: Literal["coming", "current", "leaving"]
    since: datetime | None = None
    master: Annotated[str, Field(description="Id of the master key that wraps it")]
    rows: int


class MasterKey(paging.Part):
    """A master key this hub was given. One that is not needed can leave SHUNIU_OLD_SECRET_KEYS."""

    id: str
    current: bool
    needed: bool


class Keys(paging.Part):
    """Data keys and master keys; ``left`` rows still wait for the new key while a rotation is under way."""

    rotating: bool
    left: int
    keys: list[DataKey]
    masters: list[MasterKey]


@routes.get("", operation_id="key_list", summary="加密密钥 Keys")
async def every(request: Request) -> Keys:
    """Which keys seal what, and how far a rotation is."""
    hub = services.of(request)
    async with hub.ledger.read() as connection:
        hub.sealer.take(await keyring.read(connection))
        found = await keyring.listed(connection, hub.sealer)
        needed = await keyring.masters_needed(connection, hub.sealer)
    rotating = any(one.state != "current" for one in found)
    return Keys(
        rotating=rotating,
        left=sum(one.rows for one in found if one.state == "leaving"),
        keys=[
            DataKey(
                id=one.id, state=one.state, since=paging.moment(one.since or None), master=one.master, rows=one.rows
            )
            for one in found
        ],
        masters=[
            MasterKey(id=mid, current=mid == hub.sealer.master, needed=mid in needed or mid == hub.sealer.master)
            for mid in hub.sealer.masters
        ],
    )  # fmt: skip


@routes.post("/rotate", operation_id="key_rotate", summary="轮换密钥 Rotate", status_code=202)
async def rotate(request: Request) -> Keys:
    """Begins a rotation, or finds the one under way; the hub's processes finish it, also after a restart."""
    hub, who = services.of(request), security.principal(request)
    async with hub.change() as connection:
        await keyring.begin(connection, hub.sealer, hub.clock(), who.name)
    return await every(request)
