"""What a caller's line may cost: uvicorn's HTTP protocol with an end to what it waits for and to what it keeps.

uvicorn bounds neither the time nor the size of a request's head, nor how long somebody goes on sending a body that was
answered already: silent lines would pile up until no honest sender gets one. Bodies themselves are bounded where they
are read (``webhooks.router``, ``problems``), which is where the answer can be given in the caller's form.
"""

from __future__ import annotations

import asyncio
import resource

import structlog
from uvicorn.protocols.http import httptools_impl

HEAD_SECONDS = 15.0
"""From the opened line, or the first byte of a further request, to the end of its head."""
HEAD_BYTES = 64 * 1024
"""Of everything in a request that is no body: head, trailers and what frames the chunks; besides that, eight times
the body, which is more than any framing costs."""
LINGER_SECONDS = 2.0
"""For so long a body that was answered may go on coming: cut at once, the sender would miss the answer."""
FILES = 65_536
"""Open files a process asks for: a line is one."""

log = structlog.get_logger()


class Line(httptools_impl.HttpToolsProtocol):
    """One caller's line."""

    _waiting: asyncio.TimerHandle | None = None
    _head_open = True
    """Whether the next thing to come is a head, or the rest of one."""
    _body_open = False
    _ended = False
    """Whether a request came to its end in the piece that is read, and nothing came after it."""
    _framing = 0
    """Bytes of the request that were no body; the body counts against it."""
    _messages = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._framing += len(data)
        self._ended = False
        super().data_received(data)
        if self._framing > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._ended and not self._busy():  # the rest of a body that was answered: now it may rest
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        elif self._head_open and self._waiting is None and not self._busy():
            self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._messages += 1
        self._ended = False
        self._framing = 0  # of what came in the same piece a little is not counted
        self._body_open = True

    def on_headers_complete(self) -> None:
        self._calm()
        self._head_open = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._framing -= 9 * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_open, self._body_open, self._ended = True, False, True
        self._framing = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._body_open and not self.transport.is_closing():
            self.loop.call_later(LINGER_SECONDS, self._leave, self._messages)

    def _busy(self) -> bool:
        return getattr(self.cycle, "response_complete", True) is False  # None before the first request

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _calm(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if not self.transport.is_closing():
            self._refuse(b"408 Request Timeout" if self._messages else b"")

    def _leave(self, message: int) -> None:
        if self._body_open and self._messages == message and not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: bytes) -> None:
        """Ends the line, with a word for who began to say something and has no answer yet."""
        if status != b"" and not self._busy():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


def room() -> int:
    """Lets this process open as many files as the machine allows it, up to ``FILES``; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError) as error:  # a kernel that says no: what there is has to do
            log.warning("files.limited", soft=soft, error=str(error))
            return soft
        return wanted
    return soft
