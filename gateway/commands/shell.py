"""What every command shares: settings, an opened ledger, and saying things to people or to programs.

Results go to stdout, everything else to stderr. Exit codes: 0 well, 1 what was checked is wrong, 2 the command
itself could not be used (settings, arguments).
"""

from __future__ import annotations

import asyncio
import json
import locale
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

from gateway import settings

if TYPE_CHECKING:  # loaded where a ledger is opened: ``serve`` starts its processes without
    from retry_queue.ledger import secrets, session

ResultT = TypeVar("ResultT")
Json = Annotated[bool, typer.Option("--json", help="输出 JSON / print JSON")]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Opened:
    """A ledger opened for one command."""

    settings: settings.Settings
    ledger: session.Ledger
    sealer: secrets.Sealer


def language() -> str:
    """``en`` on a machine that speaks English, else ``zh``."""
    spoken = locale.getlocale(locale.LC_MESSAGES)[0] or ""
    return "en" if spoken.lower().startswith("en") else "zh"


def say(zh: str, en: str) -> None:
    """A line for people, to stderr, in both languages."""
    err.print(f"{zh} / {en}" if zh != en else zh, markup=False)


def fail(zh: str, en: str, code: int = 2) -> typer.Exit:
    """Says why and ends the command with ``code``: ``raise shell.fail(…)``."""
    say(zh, en)
    return typer.Exit(code)


def away(error: session.LedgerUnavailable, code: int = 2) -> typer.Exit:
    """Says that the ledger is away: ``raise shell.away(error) from None``."""
    return fail(f"台账不可用：{error}", f"the ledger is not available: {error}", code)


def show(data: Any) -> None:
    """JSON to stdout."""
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))


def load(**overrides: Any) -> settings.Settings:
    """The settings, or the end of the command with the reason."""
    try:
        return settings.load(**overrides)
    except settings.Unusable as error:
        raise fail(error.zh, error.en) from None


@asynccontextmanager
async def opened() -> AsyncIterator[Opened]:
    """The ledger of this machine's settings, its schema brought up to date first when it is embedded."""
    from connectors.core import egress
    from gateway import migrate, outside
    from retry_queue.ledger import keyring, session

    found = load()
    egress.allow(found.egress_allow)
    if not found.production:
        await migrate.upgrade(found.database_url)
    sealer = outside.sealer(found)
    async with session.opened(found.database_url, owner="cli", pool=2) as ledger:
        await keyring.load(ledger, sealer)
        yield Opened(found, ledger, sealer)


def run(step: Callable[[Opened], Awaitable[ResultT]]) -> ResultT:
    """Runs one step over an opened ledger; a ledger that is away ends the command."""
    from sqlalchemy import exc

    from retry_queue.ledger import secrets, session

    async def whole() -> ResultT:
        async with opened() as hub:
            return await step(hub)

    try:
        return asyncio.run(whole())
    except session.LedgerUnavailable as error:
        raise away(error) from None
    except secrets.SecretUnreadable as error:
        raise fail("主密钥与台账不符", str(error)) from None
    except exc.ProgrammingError:
        zh, en = "台账结构不是最新：请运行 shuniu migrate", "the ledger's schema is not current: run shuniu migrate"
        raise fail(zh, en) from None
