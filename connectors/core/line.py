"""The kept way to one system: one pool of connections, one mask, one bound on calls in flight, per connection.

Where the connector has a ``sender.py``, its ``send(request, line)`` carries every request (by mail, into a file, or by
HTTP after all: ``line.http``); everything around it stays as it is. It gives an Answer, and raises NotSent when nothing
can have happened and NoAnswer when that is not certain.

Requests and answers are httpx's, and any of its transports can carry them; ours is ``engine``.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import httpx

from connectors.core import answer, egress, engine, errors, lease, mask, model, registry, scope, signing, tracing

CONNECT_TIMEOUT = 5.0

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_HEADERS = {
    "accept": "application/json, text/xml;q=0.9, */*;q=0.5",
    "accept-encoding": "gzip, deflate",
    "user-agent": "shuniu",
}


class NotSent(Exception):
    """The request never left this machine: nothing can have happened."""


class NoAnswer(Exception):
    """The request left, but no whole answer came back: it may have happened."""


@cache
def _ssl(verify: bool) -> ssl.SSLContext:
    return httpx.create_ssl_context(verify=verify, trust_env=False)


Sender = Callable[[model.Request, "Line"], Awaitable[answer.Answer]]


class Line:
    """One connection, ready for calls. ``connection`` has the declared defaults filled into its config."""

    def __init__(
        self,
        connection: model.Connection,
        transport: httpx.AsyncBaseTransport | None = None,
        files: Path | None = None,
    ) -> None:
        self.given = connection
        self.room = files / connection.key if files is not None else None
        """The one folder in which this connection may read and write files; None where there are none."""
        sender = registry.sender(connection.declaration.id)
        self._sender: Sender | None = sender.send if sender is not None else None
        self.connection = replace(connection, config=scope.settings(connection))
        self.scope = scope.of(self.connection)
        self.mask = mask.Mask(value for value in connection.secrets.values() if value)
        self.busy = asyncio.Semaphore(connection.declaration.pacing.concurrency)
        self.users = 0
        self._masks: dict[tuple[str, ...], mask.Mask] = {}
        self._own = transport is None
        self._transport = transport or engine.Engine(_ssl(self.connection.config.get("tls_verify") is not False))

    def serves(self, connection: model.Connection) -> bool:
        """Whether this line was built from the same settings."""
        if connection is self.given:
            return True
        given = self.given
        if (
            connection.declaration is not given.declaration
            or dict(connection.config) != dict(given.config)
            or dict(connection.secrets) != dict(given.secrets)
        ):
            return False
        self.given = connection
        return True

    def masks(self, also: tuple[str, ...]) -> mask.Mask:
        """The mask for one exchange, which also hides its token."""
        if not also:
            return self.mask
        found = self._masks.get(also)
        if found is None:
            if len(self._masks) > 8:
                self._masks.clear()
            found = self._masks[also] = self.mask.and_also(also)
        return found

    async def send(self, request: model.Request) -> answer.Answer:
        """One exchange, by the connector's own sender where it has one, else by HTTP. Raises as ``http`` does."""
        if self._sender is None:
            return await self.http(request)
        if lease.lost():
            raise NotSent(lease.WORDS)
        try:
            async with asyncio.timeout(request.timeout):
                return await self._sender(request, self)
        except TimeoutError:
            raise NoAnswer(f"no answer within {request.timeout:g} s") from None
        except egress.Blocked as error:
            raise error.misdeclared() from None
        except OSError as error:
            raise NoAnswer(f"{type(error).__name__}: {error}"[:300]) from None

    async def http(self, request: model.Request) -> answer.Answer:
        """One HTTP exchange. Raises NotSent, NoAnswer, or errors.Misdeclared for a request nobody could send."""
        built = build(request)
        try:
            async with asyncio.timeout(request.timeout):
                response = await self._transport.handle_async_request(built)
                try:
                    return await _read(response)
                finally:
                    await response.aclose()
        except (httpx.TransportError, aiohttp.ClientError) as error:  # some of them are timeouts as well
            raise _told(error) from None
        except TimeoutError:
            raise NoAnswer(f"no answer within {request.timeout:g} s") from None
        except OSError as error:
            raise _told(error) from None
        except UnicodeError:
            raise _bad_address() from None

    async def aclose(self) -> None:
        """Close the sockets."""
        if self._own:
            await self._transport.aclose()


def _told(error: Exception) -> NotSent | NoAnswer | errors.Misdeclared:
    """Before or after sending? The engine's own exception says it; those of other transports often do not."""
    named = not isinstance(error, aiohttp.ClientError) and isinstance(error.__cause__, aiohttp.ClientError | ValueError)
    cause = error.__cause__ if named else error
    blocked = getattr(cause, "os_error", None)
    if isinstance(blocked, egress.Blocked):
        return blocked.misdeclared()
    if isinstance(cause, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError | httpx.UnsupportedProtocol):
        return _bad_address()
    words = f"{type(cause).__name__}: {cause}"[:300]
    if isinstance(cause, engine.Late | aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return NotSent(words)
    if cause is error and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return NotSent(words)
    return NoAnswer(words)


_URL = re.compile(
    r"(https?://[^/?#]+)(/(?!\.)(?:[A-Za-z0-9_~-]|[./](?![./])|%[0-9A-F]{2})*)(?:\?((?:[A-Za-z0-9_.~=&-]|%[0-9A-F]{2})*))?"
)
"""Origin, path and query in which there is nothing to be encoded or put straight."""


@lru_cache(maxsize=512)
def _origin(text: str) -> httpx.URL:
    return httpx.URL(text + "/")


def address(text: str) -> httpx.URL:
    """``httpx.URL(text)``, which costs as much as to map an order; here each origin is read once."""
    found = _URL.fullmatch(text)
    if found is None:
        return httpx.URL(text)
    origin, path, query = found.groups()
    made = httpx.URL(_origin(origin))
    made._uri_reference = made._uri_reference._replace(path=path, query=query)
    return made


def build(request: model.Request) -> httpx.Request:
    """The wire form of a request. Raises errors.Misdeclared when it has none."""
    url = request.url
    if not url.startswith(("http://", "https://")):
        raise _unsendable(
            "the address does not begin with http:// or https://", "接口地址应以 http:// 或 https:// 开头"
        )
    if request.query:
        url += ("&" if "?" in url else "?") + urlencode(request.query, quote_via=quote, safe="")
    headers = dict(_HEADERS)
    if request.form is not None:
        headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8"
    for name, value in request.headers.items():
        headers[name.lower()] = value
    if parent := tracing.PARENT.get():
        headers.setdefault(tracing.HEADER, parent)
    if request.cookies:
        headers["cookie"] = "; ".join(f"{name}={value}" for name, value in request.cookies.items())
    wait = min(CONNECT_TIMEOUT, request.timeout)
    extensions = {"timeout": {"connect": wait, "pool": wait, "read": request.timeout, "write": request.timeout}}
    try:
        # Values with a line break would smuggle a header in; those outside Latin text cannot travel in one.
        wire = [(name.encode("ascii"), _header(value)) for name, value in headers.items()]
        # As a stream, or httpx would put lengths and names on it that the engine puts there anyway.
        body = httpx.ByteStream(signing.payload(request))
        return httpx.Request(request.method, address(url), headers=wire, stream=body, extensions=extensions)
    except (ValueError, TypeError, httpx.InvalidURL) as error:
        raise _unsendable(
            f"the request cannot be sent: {type(error).__name__}", "请求内容不合法，请检查地址和请求头"
        ) from None


def _header(value: str) -> bytes:
    if _CONTROL.search(value):
        raise ValueError("control character in a header")
    return value.encode()


def _bad_address() -> errors.Misdeclared:
    return _unsendable("the address is not one that can be called", "接口地址不合法，请检查连接里的地址")


def _unsendable(en: str, zh: str) -> errors.Misdeclared:
    return errors.Misdeclared(en, hint={"zh": zh, "en": en})


async def _read(response: httpx.Response) -> answer.Answer:
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in response.headers.raw:
        key = name.decode("latin-1").lower()
        if key == "set-cookie":
            cookies.append(value.decode("latin-1"))
        headers[key] = value.decode("latin-1")
    chunks: list[bytes] = []
    size = 0
    stream: Any = response.stream
    async for chunk in stream:
        size += len(chunk)
        if size > answer.MAX_BYTES:
            return answer.Answer(response.status_code, headers, b"", cookies, broken=_too_large())
        chunks.append(chunk)
    return _opened(response.status_code, headers, chunks, cookies)


def _opened(status: int, headers: Mapping[str, str], chunks: list[bytes], cookies: list[str]) -> answer.Answer:
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity") or not chunks:
        return answer.Answer(status, headers, b"".join(chunks), cookies)
    try:
        return answer.Answer(status, headers, answer.inflate(chunks, encoding), cookies)
    except answer.TooLarge:
        return answer.Answer(status, headers, b"", cookies, broken=_too_large())
    except ValueError as error:
        return answer.Answer(status, headers, b"", cookies, broken=str(error))


def _too_large() -> str:
    return f"the answer is larger than {answer.MAX_BYTES // (1024 * 1024)} MiB"
