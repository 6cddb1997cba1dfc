"""aiohttp's engine behind httpx's transport interface: what is left of both when each call counts.

Nothing is followed, stored or sent again behind our back: no redirects, no cookie jar, no silent second try on a stale
socket (a write would happen twice), no proxy from the environment. aiohttp connects only where ``egress`` lets it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
import yarl

from connectors.core import egress, lease

KEEP_IDLE = 4.0
"""Seconds an idle socket is kept; below what common servers allow, so that we seldom write into a closing one."""
SOCKETS = 512


class Late(aiohttp.ClientError):
    """Nothing left: the work is somebody else's by now."""


class _Request(aiohttp.ClientRequest):
    """Looks whether it may still leave where headers and body are handed to the socket, together, by one callback."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        if lease.lost():
            raise Late(lease.WORDS)
        return await super().send(conn)

    async def write_bytes(self, writer: Any, conn: Any, content_length: int | None = None) -> None:
        if lease.lost():
            conn.protocol.set_exception(Late(lease.WORDS))  # whoever waits for the answer hears of it
        else:
            await super().write_bytes(writer, conn, content_length)


class Engine(httpx.AsyncBaseTransport):
    """One pool of sockets. The request's ``connect`` timeout counts here; how long the whole may take, its caller says.

    Raises aiohttp's own errors: they tell whether the request had left, which httpx's do not.
    """

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        connector = egress.connector(limit=SOCKETS, keepalive_timeout=KEEP_IDLE, ssl=self._trusted)
        made = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, request_class=_Request
        )
        # aiohttp sends GET, PUT and DELETE a second time when a kept socket breaks; some systems write by GET.
        made._retry_connection = False
        return made

    async def handle_async_request(  # house: refused-word because httpx calls it so
        self, request: httpx.Request
    ) -> httpx.Response:
        """One exchange; the answer's body is still to be read. Raises aiohttp.ClientError, OSError."""
        if self._session is None:
            self._session = self._opened()
        answer = await self._session.request(
            request.method,
            _address(str(request.url)),
            headers=[(name.decode("ascii"), value.decode()) for name, value in request.headers.raw],
            data=request.read() or None,
            allow_redirects=False,
            timeout=_timeouts(request.extensions.get("timeout", {}).get("connect")),
        )
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=Body(answer), request=request)

    async def aclose(self) -> None:
        """Close the sockets."""
        if self._session is not None:
            await self._session.close()


class Body(httpx.AsyncByteStream):
    """The body of an answer, in the pieces in which it comes."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._answer.content
        while piece := await content.readany():
            yield piece

    async def aclose(self) -> None:
        """The socket goes back to the pool when all was read, and is closed when not."""
        self._answer.release()


def _address(text: str) -> yarl.URL:
    try:
        # httpx has encoded it: sent as it is, or a signature over it would not be over what is sent.
        made = yarl.URL(text, encoded=True)
        _ = made.explicit_port  # read only when asked for; aiohttp asks where nobody expects that it is none
    except ValueError as error:
        raise aiohttp.InvalidURL(text) from error
    return made


@lru_cache(maxsize=64)
def _timeouts(connect: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect)
