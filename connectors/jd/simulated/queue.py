"""The vendor's message queue (JCQ) over HTTP: batches per topic, confirmed as a whole, else given again.

Written from the protocol alone, with a signature check of its own, so that it shares nothing with the connector.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

CLOCK = 600
"""Seconds a ``dateTime`` may be off."""
LEASE = 60.0
"""Vendor seconds until an unconfirmed batch is given again."""


@dataclass(slots=True)
class Message:
    """One message; ``due`` is a Unix time of the real clock."""

    id: str
    topic: str
    body: str
    business: str
    due: float = 0.0
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What the queue is told about its surroundings, read anew whenever it is asked."""

    access_key: Callable[[], str]
    secret_key: Callable[[], str]
    group: Callable[[], str]
    scale: Callable[[], float]


class Queue:
    """Messages by topic, in order of arrival, until they are confirmed."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.waiting: dict[str, Message] = {}
        self._batches: dict[str, list[str]] = {}

    def append(self, topic: str, content: dict[str, Any], business: str, copies: int = 1) -> None:
        number = str(uuid.uuid4())
        for copy in range(copies):
            message = Message(number, topic, json.dumps(content), business)
            self.waiting[f"{number}/{copy}"] = message

    async def consume(self, request: Request) -> Response:
        given = dict(request.query_params)
        if (problem := self._problem(request, given)) is not None:
            return problem
        topic, now = given.get("topic", ""), time.time()
        most = min(32, max(1, int(given.get("size") or 1)))
        due = [key for key, one in self.waiting.items() if one.topic == topic and one.due <= now][:most]
        result: dict[str, Any] = {"topicName": topic}
        if due:
            index = f"0|{int(now * 1000)}{len(self._batches)}"
            self._batches[index] = due
            rows = []
            for key in due:
                one = self.waiting[key]
                properties = {"BUSINESS_ID": one.business, "PROPERTY_RETRY_TIMES": str(one.tries)}
                rows.append({"messageId": one.id, "messageBody": one.body, "properties": properties})
                one.due, one.tries = now + LEASE * self.terms.scale(), one.tries + 1
            result |= {"ackIndex": index, "messages": rows}
        return _answer({"requestId": uuid.uuid4().hex, "result": result})

    async def ack(self, request: Request) -> Response:
        raw = await request.body()
        given = {str(name): str(value) for name, value in dict(json.loads(raw or b"{}")).items()}
        if (problem := self._problem(request, given)) is not None:
            return problem
        batch = self._batches.pop(given.get("ackIndex", ""), None)
        if batch is None or given.get("ackAction") != "SUCCESS":
            return _refusal(400, "INVALID_ARGUMENT", "ackIndex is not known")
        for key in batch:
            self.waiting.pop(key, None)
        return _answer({"requestId": uuid.uuid4().hex, "result": {}})

    def _problem(self, request: Request, given: dict[str, str]) -> Response | None:
        headers = request.headers
        proven = given | {"accessKey": headers.get("accesskey", ""), "dateTime": headers.get("datetime", "")}
        text = "&".join(f"{name}={value}" for name, value in sorted(proven.items()))
        digest = hmac.new(self.terms.secret_key().encode(), text.encode(), hashlib.sha1).digest()
        try:
            at = datetime.strptime(proven["dateTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return _refusal(400, "INVALID_ARGUMENT", "dateTime")
        signed = base64.b64encode(digest).decode() == headers.get("signature", "")
        if not signed or proven["accessKey"] != self.terms.access_key() or abs(at - time.time()) > CLOCK:
            return _refusal(401, "UNAUTHENTICATED", "signature does not match")
        if given.get("consumerGroupId") != self.terms.group():
            return _refusal(403, "PERMISSION_DENIED", "consumer group")
        return None


def _answer(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), media_type="application/json")


def _refusal(status: int, code: str, words: str) -> Response:
    error = {"code": status, "status": code, "message": words}
    return Response(json.dumps({"requestId": uuid.uuid4().hex, "error": error}), status, media_type="application/json")
