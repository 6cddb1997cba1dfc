"""The simulated platform's events: their envelopes of both generations, and one HTTP attempt of pushing them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from connectors.core import jsontext
from connectors.feishu import signer
from connectors.simulator import push

Settings = Mapping[str, Any]


def modern(settings: Settings, kind: str, event: Mapping[str, Any], now: float) -> dict[str, Any]:
    """A v2 event."""
    header = {
        "event_id": secrets.token_hex(16),
        "event_type": kind,
        "create_time": str(int(now * 1000)),
        "token": settings["verification_token"],
        "app_id": settings["app_id"],
        "tenant_key": "tenantsimulated",
    }
    return {"schema": "2.0", "header": header, "event": dict(event)}


def classic(settings: Settings, event: Mapping[str, Any], now: float) -> dict[str, Any]:
    """A v1 event, as approvals still send it."""
    return {
        "ts": f"{now:.7f}",
        "uuid": secrets.token_hex(16),
        "token": settings["verification_token"],
        "type": "event_callback",
        "event": {"app_id": settings["app_id"], "tenant_key": "tenantsimulated", **event},
    }


def check(settings: Settings) -> dict[str, Any]:
    """The address check; its challenge must come back."""
    return {"challenge": secrets.token_hex(12), "token": settings["verification_token"], "type": "url_verification"}


def old_card(event: Mapping[str, Any]) -> dict[str, Any]:
    """A click as it is told to an old card's address: flat, with a token for changing the card, without an event id."""
    operator, context = event["operator"], event["context"]
    return {
        "open_id": operator["open_id"],
        "user_id": operator["user_id"],
        "open_message_id": context["open_message_id"],
        "open_chat_id": context["open_chat_id"],
        "tenant_key": "tenantsimulated",
        "token": event["token"],
        "action": event["action"],
    }


def card_post(url: str, settings: Settings, event: Mapping[str, Any], now: float, *, signed: bool = True) -> push.Post:
    """One call of an old card's address: proven by the Verification Token, encrypted where ``card_form`` is sealed."""
    body = jsontext.dumps(event)
    if settings["card_form"] == "sealed":
        body = jsontext.dumps({"encrypt": signer.encrypt(settings["encrypt_key"], body.decode())})
    headers = {"content-type": "application/json;charset=utf-8"}
    if signed:
        stamp, nonce = str(int(now)), secrets.token_hex(8)
        # Written out here on purpose and not shared with the door that checks it.
        text = (stamp + nonce + settings["verification_token"]).encode() + body
        headers |= {
            "x-lark-request-timestamp": stamp,
            "x-lark-request-nonce": nonce,
            "x-lark-signature": hashlib.sha1(text, usedforsecurity=False).hexdigest(),
        }
    return push.Post(url, body, headers)


def post(url: str, settings: Settings, event: Mapping[str, Any], now: float, *, signed: bool = True) -> push.Post:
    """One attempt. With an Encrypt Key it is encrypted and (``signed``) signed with its own time and nonce."""
    key = settings["encrypt_key"]
    # Compact: one of the official SDKs writes the parsed body anew before it checks the signature.
    body = jsontext.dumps(event)
    headers = {"content-type": "application/json;charset=utf-8"}
    if key:
        body = jsontext.dumps({"encrypt": signer.encrypt(key, body.decode())})
        if signed:
            stamp, nonce = str(int(now)), secrets.token_hex(8)
            # Written out here on purpose and not shared with the door that checks it.
            proof = hashlib.sha256((stamp + nonce + key).encode() + body).hexdigest()
            headers |= {
                "x-lark-request-timestamp": stamp,
                "x-lark-request-nonce": nonce,
                "x-lark-signature": proof,
            }
    return push.Post(url, body, headers)
