"""A platform's page on which a person agrees, and the codes that come of it.

The page has two links, each to itself with the decision. A code works once and only for a while.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

DECISION = "_decision"
"""Ours; no platform's parameter, and never part of what is signed."""


class Codes:
    """Codes of one platform. ``now`` gives Unix time, ``lifetime`` is in seconds."""

    def __init__(self, now: Callable[[], float], lifetime: float, prefix: str = "code-") -> None:
        self._now, self._lifetime, self._prefix = now, lifetime, prefix
        self._ends: dict[str, float] = {}

    def give(self, code: str = "") -> str:
        """A fresh code, or the one that somebody wishes for."""
        made = code or self._prefix + secrets.token_hex(16)
        self._ends[made] = self._now() + self._lifetime
        return made

    def take(self, code: object) -> bool:
        """Whether the code is good now; it is not any more afterwards."""
        return self._ends.pop(str(code), 0.0) > self._now()


def query(request: Request) -> dict[str, str]:
    """What the page was asked with, without the person's decision."""
    return {name: value for name, value in request.query_params.items() if name != DECISION}


def decided(request: Request) -> bool | None:
    """Whether the person agreed; None while the page waits for them."""
    said = request.query_params.get(DECISION)
    return None if said is None else said == "agree"


def page(request: Request, asking: str) -> Response:
    """The page itself; ``asking``: which application wants to be let in."""
    links = {
        name: html.escape(f"{request.url.path}?{urlencode({**query(request), DECISION: name})}")
        for name in ("agree", "refuse")
    }
    return HTMLResponse(
        f'<!doctype html><html lang="zh"><meta charset="utf-8"><title>授权 Authorise</title>'
        f"<p>应用 {html.escape(asking)} 请求授权 asks to be authorised</p>"
        f'<p><a id="agree" href="{links["agree"]}">同意 Agree</a> '
        f'<a id="refuse" href="{links["refuse"]}">拒绝 Refuse</a></p></html>'
    )


def back(address: str, **said: str) -> Response:
    """To where the application is called back, with what the platform says."""
    if urlsplit(address).scheme not in ("http", "https"):
        return refused("redirect_uri")
    return RedirectResponse(f"{address}{'&' if '?' in address else '?'}{urlencode(said)}", 302)


def refused(what: str) -> Response:
    """The page for an application that may not ask: it stays here, nobody is led anywhere."""
    return PlainTextResponse(f"error: {what}", 400)
