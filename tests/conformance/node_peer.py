"""Vendors' own Node packages, run against our simulators or over our bytes. What they said comes back as plain data."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from tests import conftest

SECONDS = 60.0
"""How long a package may take to come up and say its next word."""


@contextlib.asynccontextmanager
async def talking(peer: str, **asked: Any) -> AsyncIterator[asyncio.StreamReader]:
    """The package at work, and the lines it says; it is ended on the way out."""
    # Some of them write the local time of their process, and the vendors' day is Beijing's.
    plain = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        str(conftest.NODE),
        "--no-deprecation",
        "run.cjs",
        cwd=conftest.PEERS,
        env={**plain, "TZ": "Asia/Shanghai"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(json.dumps({"peer": peer, **asked}).encode())
    process.stdin.close()
    try:
        yield process.stdout
        async with asyncio.timeout(SECONDS):
            code = await process.wait()
        assert code == 0, (await process.stderr.read()).decode()[-2000:]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def said(peer: str, **asked: Any) -> list[dict[str, Any]]:
    """Everything that the package says until it is done."""
    found: list[dict[str, Any]] = []
    async with talking(peer, **asked) as lines:
        while line := await heard(lines):
            found.append(line)
    return found


async def heard(lines: asyncio.StreamReader) -> dict[str, Any]:
    """The next line, empty at the end."""
    async with asyncio.timeout(SECONDS):
        line = await lines.readline()
    return dict(json.loads(line)) if line else {}
