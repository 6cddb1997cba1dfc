"""The admin UI as files: built into ``gateway/static``, served with a strict content policy and long caching.

Scripts come from files only. Styles that components write at run time carry a nonce that is new for every
page load, so nothing that slips into a page as text can style or run anything.
"""

from __future__ import annotations

import mimetypes
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

FOLDER = Path(__file__).parent / "static"
RESERVED = frozenset({"api", "hooks", "metrics", "livez", "readyz"})
"""First parts of addresses that are no pages."""
MARK = b"__NONCE__"
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]
_KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class _File:
    kind: bytes
    plain: bytes
    packed: bytes | None


class Pages:
    """An ASGI app over the built files. Addresses that are no file are pages of the one-page application."""

    def __init__(self, folder: Path) -> None:
        self._index = (folder / "index.html").read_bytes()
        self._files = {f"/{path.relative_to(folder).as_posix()}": path for path in _assets(folder)}
        self._read: dict[str, _File] = {}

    def takes(self, scope: Scope) -> bool:
        """Whether this request is for a page or one of its files."""
        return scope["method"] in ("GET", "HEAD") and scope["path"].split("/")[1] not in RESERVED

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path in self._files:
            await self._file(scope, send, path)
        elif path.startswith("/assets/"):
            await _answer(scope, send, 404, [(b"content-type", b"text/plain")], b"not found")
        else:
            await self._page(scope, send)

    async def _file(self, scope: Scope, send: Send, path: str) -> None:
        kept = self._read.get(path)
        if kept is None:
            kept = self._read[path] = _load(self._files[path])
        headers = [(b"content-type", kept.kind), (b"vary", b"accept-encoding")]
        lasting = b"public, max-age=31536000, immutable" if path.startswith("/assets/") else b"no-cache"
        headers.append((b"cache-control", lasting))
        body = kept.plain
        accepted = dict(scope["headers"]).get(b"accept-encoding", b"")
        if kept.packed is not None and b"gzip" in accepted:
            headers.append((b"content-encoding", b"gzip"))
            body = kept.packed
        await _answer(scope, send, 200, headers, body)

    async def _page(self, scope: Scope, send: Send) -> None:
        nonce = secrets.token_urlsafe(16)
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"content-security-policy", POLICY.format(nonce=nonce).encode()),
        ]
        await _answer(scope, send, 200, headers, self._index.replace(MARK, nonce.encode()))


def built(folder: Path = FOLDER) -> Pages | None:
    """The built UI, or None where it was not built."""
    return Pages(folder) if (folder / "index.html").is_file() else None


def _assets(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".gz", ".html") and not path.name.startswith(".")
    ]


def _load(path: Path) -> _File:
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    packed = path.with_name(path.name + ".gz")
    return _File(kind.encode(), path.read_bytes(), packed.read_bytes() if packed.is_file() else None)


async def _answer(scope: Scope, send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    sized: list[Any] = [*headers, *_ALWAYS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
