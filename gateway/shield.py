"""What every answer of the API says to browsers: run nothing, show it in no frame, keep no copy, guess no type."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
LONG = "max-age=31536000"
"""How long browsers use nothing but TLS, where people reach the hub by it."""


class Shield:
    """Puts the headers on; what an operation said itself stays."""

    def __init__(self, app: ASGIApp, *, encrypted: bool = False) -> None:
        """``encrypted``: people reach the hub by https."""
        self._app, self._encrypted = app, encrypted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/v1/"):
                    headers.setdefault("cache-control", "no-store")
                if self._encrypted:
                    headers.setdefault("strict-transport-security", LONG)
            await send(message)

        await self._app(scope, receive, shielded)
