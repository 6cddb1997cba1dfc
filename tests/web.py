"""A small HTTP server in a thread, for what has no simulator: an identity provider, a vault, a collector."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Page(BaseHTTPRequestHandler):
    """What answers: a subclass gives ``do_GET`` and ``do_POST``."""

    def asked(self) -> bytes:
        """The body of the call."""
        return self.rfile.read(int(self.headers.get("content-length", "0")))

    def say(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given: object) -> None:
        """Quiet."""


@contextlib.contextmanager
def serving(page: type[Page]) -> Iterator[str]:
    """The server on a free port, for the length of a block; yields its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)
