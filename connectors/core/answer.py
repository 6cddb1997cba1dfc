"""What came back from a system, read once and exactly."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from connectors.core import jsontext, xmltext

MAX_BYTES = 5 * 1024 * 1024
"""Larger answers are cut off, before and after decompression."""


class TooLarge(ValueError):
    """The answer is larger than MAX_BYTES."""


class Answer:
    """Status, lower-case headers and body bytes of one HTTP answer."""

    __slots__ = ("_data", "_text", "body", "broken", "content", "headers", "parsed", "raw_cookies", "status")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        content: bytes,
        raw_cookies: Sequence[str] = (),
        broken: str | None = None,
    ) -> None:
        self.status, self.headers, self.content = status, headers, content
        self.raw_cookies = raw_cookies
        self.broken = broken
        """Why there is no body although one was sent."""
        self._text: str | None = None
        self._data: dict[str, Any] | None = None
        self.parsed, self.body = self._parse()
        """Whether the body is JSON or XML, and what it says; None when it is empty or not parseable."""

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies the answer sets, name to value."""
        found = {}
        for line in self.raw_cookies:
            name, _, value = line.partition(";")[0].partition("=")
            if name.strip():
                found[name.strip()] = value.strip()
        return found

    @property
    def text(self) -> str:
        """The body as text, in the charset it claims; what cannot be read is replaced."""
        if self._text is None:
            self._text = self.content.decode(_charset(self.headers.get("content-type", "")), "replace")
        return self._text

    @property
    def data(self) -> dict[str, Any]:
        """What conditions read."""
        if self._data is None:
            self._data = {"status": self.status, "headers": self.headers, "body": self.body}
            if not self.parsed:
                self._data["text"] = self.text
        return self._data

    def _parse(self) -> tuple[bool, Any]:
        raw = self.content
        if not raw:
            return False, None
        kind = self.headers.get("content-type", "")
        named = _charset(kind) != "utf-8"
        head = raw[:64].lstrip()
        try:
            if head[:1] == b"<":
                # As text where the header names the charset: what the document says of itself is for bytes.
                xml = head[:5] == b"<?xml" or _xml(kind)
                return (True, xmltext.loads(self.text if named else raw)) if xml else (False, None)
            return True, jsontext.loads(self.text.encode() if named else raw, constants=True)
        except ValueError:
            return False, None


def _xml(kind: str) -> bool:
    return "xml" in kind.lower() and "xhtml" not in kind.lower()


@lru_cache(maxsize=256)
def _charset(kind: str) -> str:
    name = kind.lower().partition("charset=")[2].split(";")[0].strip(" \"'")
    if name in ("", "utf8", "us-ascii", "ascii"):
        return "utf-8"
    try:
        b"a".decode(name, "replace")
    except LookupError:
        return "utf-8"
    return name


def inflate(chunks: Iterable[bytes], encoding: str, limit: int = MAX_BYTES) -> bytes:
    """Undo gzip or deflate without ever holding more than ``limit`` bytes. Raises TooLarge or ValueError."""
    if encoding == "gzip":
        reader = zlib.decompressobj(wbits=31)
    elif encoding == "deflate":
        reader = zlib.decompressobj()
    else:
        raise ValueError(f"content encoding '{encoding[:20]}' was not asked for")
    out = bytearray()
    try:
        for chunk in chunks:
            out += reader.decompress(chunk, limit + 1 - len(out))
            if len(out) > limit:
                raise TooLarge(f"more than {limit} bytes")
    except zlib.error as error:
        raise ValueError(f"not {encoding}: {error}") from None
    if not reader.eof:
        raise ValueError(f"{encoding} ends too early")
    return bytes(out)
