"""The simulated corp's callbacks: encrypted events and the URL check, as they go over the wire."""

from __future__ import annotations

import html
import secrets
from collections.abc import Mapping
from typing import Any

from connectors.core import cipher
from connectors.simulator import push


def element(name: str, value: Any) -> str:
    """Texts as CDATA, numbers plain, objects nested, lists as repeated elements."""
    if isinstance(value, Mapping):
        inner = "".join(element(key, child) for key, child in value.items())
    elif isinstance(value, list):
        return "".join(element(name, child) for child in value)
    elif isinstance(value, int):
        inner = str(value)
    elif "]]>" in value:
        inner = html.escape(value, quote=False)
    else:
        inner = f"<![CDATA[{value}]]>"
    return f"<{name}>{inner}</{name}>"


def xml(event: Mapping[str, Any]) -> bytes:
    return element("xml", event).encode()


def proof(settings: Mapping[str, Any], text: str, now: float) -> dict[str, str]:
    """The query that proves ``text`` (a ciphertext) comes from the platform."""
    timestamp, nonce = str(int(now)), str(secrets.randbelow(10**10))
    signed = cipher.signature(settings["token"], timestamp, nonce, text)
    return {"msg_signature": signed, "timestamp": timestamp, "nonce": nonce}


def check(settings: Mapping[str, Any], echo: str, now: float) -> dict[str, str]:
    """The query of the URL check; ``echo`` must come back in plain text."""
    text = cipher.encrypt(settings["encoding_aes_key"], echo.encode(), settings["corp_id"])
    return {**proof(settings, text, now), "echostr": text}


def post(url: str, settings: Mapping[str, Any], plaintext: bytes, now: float) -> push.Post:
    """One attempt: the envelope around the ciphertext, signed with this attempt's own time and nonce."""
    text = cipher.encrypt(settings["encoding_aes_key"], plaintext, settings["corp_id"])
    envelope = xml({"ToUserName": settings["corp_id"], "Encrypt": text, "AgentID": str(settings["agent_id"])})
    return push.Post(url, envelope, {"content-type": "text/xml; charset=utf-8"}, proof(settings, text, now))
