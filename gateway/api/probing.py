"""The connection test: one probe call, and what came of it in the system's own words."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from pydantic import Field

from connectors.core import client, errors, model
from gateway.api import paging

TEST_SECONDS = 40.0


class Exchange(paging.Part):
    """One HTTP exchange, secrets masked."""

    operation: str
    method: str
    url: str
    request: str
    status: int | None
    response: str
    duration: Annotated[float, Field(description="Seconds")]


class TestResult(paging.Part):
    """How the connection test went: the system's own words, and what to do."""

    __test__ = False  # pytest takes it for a test otherwise

    ok: bool
    kind: Annotated[str, Field(examples=["credential"], description="ok, or the class of the failure")]
    code: str | None = None
    message: Annotated[str, Field(description="The system's own words")] = ""
    hint: paging.Words | None = None
    duration: float
    exchanges: list[Exchange] = Field(default_factory=list)


async def probed(calls: client.Client, opened: model.Connection) -> TestResult:
    """Makes the probe call; a failure is a result, told in the system's own words."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(TEST_SECONDS):
            outcome = await calls.probe(opened)
    except TimeoutError:
        slow = paging.Words(zh="对方系统在限定时间内没有应答", en="the system did not answer in time")
        return TestResult(ok=False, kind="unavailable", hint=slow, duration=time.monotonic() - began)
    except errors.ConnectorError as error:
        return TestResult(
            ok=False,
            kind=error.kind,
            code=error.code,
            message=error.message[:2000],
            hint=paging.Words.model_validate(error.hint) if error.hint else None,
            duration=time.monotonic() - began,
            exchanges=_exchanges(error.exchange),
        )
    return TestResult(
        ok=True, kind="ok", duration=time.monotonic() - began, exchanges=_exchanges(list(outcome.exchanges))
    )


def _exchanges(found: Any) -> list[Exchange]:
    seen = found if isinstance(found, list) else [found] if isinstance(found, model.Exchange) else []
    return [
        Exchange(
            operation=one.operation, method=one.method, url=one.url, request=one.request, status=one.status,
            response=one.response, duration=one.duration,
        )
        for one in seen
    ]  # fmt: skip
