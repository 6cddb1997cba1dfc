"""The simulated platform's pushes: encrypted events, and whether an answer counts as received."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.core import cipher, jsontext
from connectors.dingtalk.simulated import corp
from connectors.simulator import push


def owner(settings: Mapping[str, Any]) -> str:
    """Whose key ends the plaintext: the application's or the corp's, as the setting ``owner`` names it."""
    return str(settings[settings["owner"]])


def post(url: str, settings: Mapping[str, Any], event: Mapping[str, Any], now: float) -> push.Post:
    """One attempt, signed with its own time (milliseconds) and nonce."""
    text = cipher.encrypt(settings["aes_key"], jsontext.dumps(event), owner(settings))
    timestamp, nonce = str(int(now * 1000)), secrets.token_hex(4)
    signed = cipher.signature(settings["token"], timestamp, nonce, text)
    params = {"timestamp": timestamp, "nonce": nonce, **dict.fromkeys(settings["hash_params"], signed)}
    body = jsontext.dumps({"encrypt": text})
    return push.Post(url, body, {"content-type": "application/json;charset=UTF-8"}, params)


def asked(url: str, settings: Mapping[str, Any], message: Mapping[str, Any], now: float) -> push.Post:
    """A message to the robot: not encrypted, and signed over the time alone."""
    timestamp = str(int(now * 1000))
    head = {"content-type": "application/json; charset=utf-8", "timestamp": timestamp}
    return push.Post(url, jsontext.dumps(message), head | {"sign": corp.sign(settings["app_secret"], timestamp)})


def received(settings: Mapping[str, Any], status: int, content: bytes) -> bool:
    """Only an encrypted ``success`` with our own key and a right signature counts; a plain one does not."""
    if status != 200:
        return False
    try:
        answer = jsontext.loads(content)
        text, given = str(answer["encrypt"]), str(answer["msg_signature"])
        right = cipher.signature(settings["token"], str(answer["timeStamp"]), str(answer["nonce"]), text)
        message, receiver = cipher.decrypt(settings["aes_key"], text)
    except (ValueError, KeyError, TypeError):
        return False
    return given == right and message == b"success" and receiver == owner(settings)


def failed(
    pushes: Sequence[push.Push], events: Mapping[str, Any], collected: set[int], lost: Sequence[Any]
) -> dict[str, Any]:
    """The list of events given up after three tries, and of ``lost`` ones; what was read is ``collected``."""
    found = [one for one in pushes if one.state == "given_up" and one.seq not in collected and one.label in events]
    page = found[:200]
    collected.update(one.seq for one in page)
    rows = []
    for event in [*(events[one.label] for one in page), *lost]:
        tag = event["EventType"]
        rows.append({"call_back_tag": tag, "event_time": event["EventTime"], tag: event})
    return {"has_more": len(found) > len(page), "failed_list": rows}
