"""What this installation is and how it was set up from outside; every value is changed where the hub is started."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import unquote

from fastapi import APIRouter, Request
from pydantic import Field

from gateway import __version__
from gateway.api import paging, services
from retry_queue.ledger import workers

routes = APIRouter(prefix="/settings", tags=["settings"])
ALIVE = 30.0
"""Seconds since its last heartbeat within which a process counts as running."""


class Installation(paging.Part):
    """Facts for people; no secret among them. ``networks``: private networks that connections may call."""

    version: str
    public_url: Annotated[str, Field(examples=["https://hub.example.com"])]
    database: Literal["sqlite", "postgresql"]
    embedded_redis: bool
    data_dir: str
    running: Annotated[list[str], Field(description="Kinds of processes that are at work", examples=[["api"]])]
    networks: list[str]
    max_body: Annotated[int, Field(description="Bytes of the largest push that is taken")]
    single_sign_on: bool
    sandbox: Annotated[bool, Field(description="Simulators can stand in for systems")]
    traces: bool


@routes.get("/installation", operation_id="installation_get", summary="安装信息 Installation")
async def one(request: Request) -> Installation:
    """How this hub is set up."""
    hub = services.of(request)
    config = hub.settings
    async with hub.ledger.read() as db:
        running = await workers.alive(db, ALIVE)
    return Installation(
        version=__version__, public_url=config.public_url, database="postgresql" if config.production else "sqlite",
        embedded_redis=str(config.valkey_socket) in unquote(config.redis),  # the supervisor names it to its children
        data_dir=str(config.data_dir), running=sorted(running),
        networks=[str(one) for one in config.egress_allow], max_body=config.max_body,
        single_sign_on=bool(config.oidc_issuer), sandbox=bool(config.sandbox_url), traces=bool(config.otlp_endpoint),
    )  # fmt: skip
