"""Callbacks of an office platform for the bench: the same 1.9 KB as an order, but inside AES and a SHA-1 signature."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlencode

from connectors.core import cipher

CONNECTOR = "wecom"  # house: vendor-word because its callback cipher is what is measured beside HMAC
CORP = "ww0000000000bench0"
TOKEN = "benchTokenGuardsNothing"  # of a hook that lives for a minute on loopback
KEY = "BenchKeyThatGuardsNothing0123456789abcdefgh"
CONFIG = {"corp_id": CORP, "agent_id": 1000002}
SECRETS = {"app_secret": "bench", "token": TOKEN, "encoding_aes_key": KEY}
_FILL = "备注" * 220


def requests(path: str, host: str, start: int, count: int) -> Iterator[bytes]:
    """Changes of so many customers, ready to be written."""
    moment = int(time.time())
    return iter([_request(path, host, number, moment) for number in range(start, start + count)])


def _request(path: str, host: str, number: int, moment: int) -> bytes:
    event = (
        f"<xml><ToUserName><![CDATA[{CORP}]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName>"
        f"<CreateTime>{moment}</CreateTime><MsgType><![CDATA[event]]></MsgType>"
        "<Event><![CDATA[change_external_contact]]></Event><ChangeType><![CDATA[edit_external_contact]]></ChangeType>"
        f"<UserID><![CDATA[kefu01]]></UserID><ExternalUserID><![CDATA[wmBench{number:020d}]]></ExternalUserID>"
        f"<State><![CDATA[{_FILL}]]></State></xml>"
    )
    sealed = cipher.encrypt(KEY, event.encode(), CORP)
    stamp, nonce = str(moment), str(number)
    proof = cipher.signature(TOKEN, stamp, nonce, sealed)
    query = urlencode({"msg_signature": proof, "timestamp": stamp, "nonce": nonce})
    body = (
        f"<xml><ToUserName><![CDATA[{CORP}]]></ToUserName><AgentID><![CDATA[1000002]]></AgentID>"
        f"<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    ).encode()
    head = (
        f"POST {path}?{query} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
