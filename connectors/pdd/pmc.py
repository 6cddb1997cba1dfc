"""The vendor's message service on the wire: the address that proves who connects, and the text frames.

A push is ``{id, commandType: Common, time, sendTime, message: {type, mallID, content}}`` with ``content`` as JSON
text; every frame is answered by one with the same ``id`` and ``sendTime``. Times are Unix milliseconds.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from connectors.core import jsontext

COMMON, ACK, FAIL, HEARTBEAT = "Common", "Ack", "Fail", "HeartBeat"
VERSION = "1.1.6"
"""Of the vendor's own client; heartbeats name it."""


class FrameError(ValueError):
    """A frame that is no JSON object with the members of its kind."""


def digest(client_id: str, client_secret: str, millis: str) -> str:
    """Base64 of the *text* of the lower-case hex MD5 of ``client_id + millis + client_secret``."""
    proof = hashlib.md5(f"{client_id}{millis}{client_secret}".encode(), usedforsecurity=False).hexdigest()
    return base64.b64encode(proof.encode()).decode()


def path(client_id: str, client_secret: str, millis: str) -> str:
    """The path to connect to; the digest's ``=`` is percent-encoded."""
    proof = quote(digest(client_id, client_secret, millis), safe="")
    return f"/message/{quote(client_id, safe='')}/{millis}/{proof}"


def read(text: str | bytes) -> dict[str, Any]:
    """A frame with exact digits. Raises FrameError."""
    if isinstance(text, bytes):
        raise FrameError("a binary frame")
    try:
        frame = jsontext.loads(text.encode())
    except (jsontext.JsonError, UnicodeError):
        raise FrameError("a frame that is no JSON") from None
    if not isinstance(frame, dict):
        raise FrameError("a frame that is no object")
    return frame


def is_push(frame: Mapping[str, Any]) -> bool:
    """Whether a frame carries a message that must be answered. Raises FrameError for half of one."""
    if frame.get("commandType") != COMMON:
        return False
    message = frame.get("message")
    if not isinstance(frame.get("id"), int) or not isinstance(message, dict) or "type" not in message:
        raise FrameError("a push without id or message")
    return True


def answer(command: str, frame: Mapping[str, Any], millis: int) -> str:
    """``Ack`` or ``Fail`` for a push."""
    message = frame["message"]
    said = {
        "commandType": command,
        "time": millis,
        "id": frame["id"],
        "sendTime": frame.get("sendTime"),
        "type": message["type"],
        "mallID": message.get("mallID"),
    }
    return jsontext.dumps(said).decode()


def heartbeat(millis: int) -> str:
    """What keeps the session alive; it ends after three silent minutes."""
    said = {"id": millis, "commandType": HEARTBEAT, "time": millis, "version": VERSION, "timeMetrics": {}}
    return jsontext.dumps(said).decode()
