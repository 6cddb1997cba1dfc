"""What the simulated corp's members and customers have received. State only, no HTTP."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable
from typing import Any

Message = dict[str, Any]

BODIES = (
    "text",
    "markdown",
    "markdown_v2",
    "textcard",
    "news",
    "image",
    "file",
    "voice",
    "video",
    "miniprogram_notice",
    "template_card",
)
LIMIT = 2048
"""Bytes of a text or markdown message."""


class Refusal(Exception):
    """A call the platform refuses. ``code`` is its errcode."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class Messages:
    """The inboxes. ``delivered`` is in order of arrival."""

    def __init__(self) -> None:
        self.delivered: list[Message] = []
        self.seq = 0
        self._sent: dict[tuple[str, str], float] = {}
        self._rate: dict[str, deque[float]] = {}

    def repeated(self, body: Message, receivers: str, digest: str, now: float) -> bool:
        """Whether the platform's duplicate check drops this call; remembers it otherwise."""
        if str(body.get("enable_duplicate_check", 0)) != "1":
            return False
        interval = min(int(body.get("duplicate_check_interval", 1800)), 14400)
        key = (receivers, digest)
        before = self._sent.get(key)
        if before is not None and now - before < interval:
            return True
        self._sent[key] = now
        return False

    def allowed(self, userid: str, limit: int, now: float) -> bool:
        """Whether this member may get one more message this minute; 0 means no limit."""
        if not limit:
            return True
        recent = self._rate.setdefault(userid, deque())
        while recent and recent[0] <= now - 60:
            recent.popleft()
        if len(recent) >= limit:
            return False
        recent.append(now)
        return True

    def keep(self, receiver: str, kind: str, body: Message, now: float) -> Message:
        self.seq += 1
        message = {
            "seq": self.seq,
            "receiver": receiver,
            "msgtype": body["msgtype"],
            "kind": kind,
            "content": body[body["msgtype"]],
            "at": now,
        }
        self.delivered.append(message)
        return message

    def read(self, receiver: str | None = None, after: int = 0) -> list[Message]:
        """Delivered messages of one receiver (or all) with a sequence number above ``after``."""
        return [one for one in self.delivered if one["seq"] > after and receiver in (None, one["receiver"])]


def checked(body: Message) -> str:
    """The digest of a message's content; long text is cut as the platform does. Raises Refusal."""
    kind = body.get("msgtype", "")
    if kind not in BODIES:
        raise Refusal(40008, "invalid message type")
    content = body.get(kind)
    if not isinstance(content, dict) or not content:
        raise Refusal(44004, "empty content")
    if kind in ("text", "markdown", "markdown_v2"):
        text = content.get("content", "")
        if not text:
            raise Refusal(44004, "empty content")
        raw = text.encode()
        limit = LIMIT if kind != "markdown_v2" else 2 * LIMIT
        if len(raw) > limit:
            if kind != "text":
                raise Refusal(45002, "content size out of limit")
            content["content"] = raw[:limit].decode("utf-8", "ignore")
    if kind == "textcard" and not all(content.get(key) for key in ("title", "description", "url")):
        raise Refusal(41016, "missing title, description or url")
    return digest_of(kind, content)


def digest_of(*parts: Any) -> str:
    """Short digest of a message, for journal keys and the duplicate check."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def several(text: Any) -> list[str]:
    """``a|b`` as a list, empty parts dropped."""
    return [part for part in str(text or "").split("|") if part]


def joined(names: Iterable[str]) -> str:
    return "|".join(names)


def page(rows: list[Any], body: Message, name: str, most: int) -> Message:
    """One page of ``rows`` by ``cursor`` and ``limit``; ``next_cursor`` is empty at the end. Raises Refusal."""
    cursor = str(body.get("cursor") or "")
    if cursor and not cursor.isdigit():
        raise Refusal(40058, "invalid cursor")
    begin, size = int(cursor or 0), min(int(body.get("limit") or 50), most)
    more = begin + size < len(rows)
    return {name: rows[begin : begin + size], "next_cursor": str(begin + size) if more else ""}
