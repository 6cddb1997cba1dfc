"""The vendor's own Stream SDK, in a process of its own: it reads its address when it is imported and cannot be stopped.

``DINGTALK_OPENAPI_ENDPOINT=http://... python -m tests.conformance.dingtalk_peer``: credentials as one line of JSON on
stdin, a line of JSON on stdout for every event and callback. Never ends by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import dingtalk_stream


def _said(kind: str, data: Any) -> None:
    print(json.dumps({"kind": kind, "data": data}), flush=True)


class Events(dingtalk_stream.EventHandler):
    """Takes every event."""

    async def process(self, event: Any) -> tuple[int, str]:  # house: refused-word because the SDK calls it so
        _said(event.headers.event_type, event.data)
        return dingtalk_stream.AckMessage.STATUS_OK, "OK"


class Robot(dingtalk_stream.CallbackHandler):
    """Takes messages to the robot."""

    async def process(self, callback: Any) -> tuple[int, str]:  # house: refused-word because the SDK calls it so
        _said("robot", callback.data)
        return dingtalk_stream.AckMessage.STATUS_OK, "OK"


def main() -> None:
    given = json.loads(sys.stdin.readline())
    client = dingtalk_stream.DingTalkStreamClient(
        dingtalk_stream.Credential(given["app_key"], given["app_secret"]), logging.getLogger("peer")
    )
    client.register_all_event_handler(Events())
    client.register_callback_handler(dingtalk_stream.ChatbotMessage.TOPIC, Robot())
    asyncio.run(client.start())


if __name__ == "__main__":
    main()
