"""Message push over the wire: JSON or XML, in plain, compatible or secure mode, and the check of the address."""

from __future__ import annotations

import html
import json
import secrets
from collections.abc import Mapping
from typing import Any

from connectors.core import cipher
from connectors.simulator import push
from connectors.wechat import signer

Settings = Mapping[str, Any]


def element(name: str, value: Any) -> str:
    """Texts as CDATA, numbers plain, objects nested."""
    if isinstance(value, Mapping):
        return f"<{name}>{''.join(element(key, child) for key, child in value.items())}</{name}>"
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    text = html.escape(value, quote=False) if "]]>" in value else f"<![CDATA[{value}]]>"
    return f"<{name}>{text}</{name}>"


def written(settings: Settings, fields: Mapping[str, Any]) -> bytes:
    """The message as the account receives it: JSON or XML."""
    if settings["push_format"] == "xml":
        return element("xml", fields).encode()
    return json.dumps(fields, ensure_ascii=False).encode()


def proof(settings: Settings, now: float) -> dict[str, str]:
    timestamp, nonce = str(int(now)), str(secrets.randbelow(10**10))
    signed = signer.url_signature(settings["token"], timestamp, nonce)
    return {"signature": signed, "timestamp": timestamp, "nonce": nonce}


def post(url: str, settings: Settings, fields: Mapping[str, Any], now: float) -> push.Post:
    """One attempt, signed with its own time and nonce."""
    query = proof(settings, now)
    query["openid"] = str(fields.get("FromUserName", ""))
    body = written(settings, fields)
    if settings["encryption"] != "plain":
        text = cipher.encrypt(settings["encoding_aes_key"], body, settings["app_id"])
        query["encrypt_type"] = "aes"
        query["msg_signature"] = cipher.signature(settings["token"], query["timestamp"], query["nonce"], text)
        # Compatible mode: the fields in clear beside the ciphertext.
        clear = dict(fields) if settings["compatible"] else {"ToUserName": fields["ToUserName"]}
        body = written(settings, {**clear, "Encrypt": text})
    kind = "text/xml" if settings["push_format"] == "xml" else "application/json"
    return push.Post(url, body, {"content-type": f"{kind}; charset=utf-8"}, query)
