"""A system without a connector of its own: takes JSON at any path, keeps records, pushes what it is told to.

``POST|PUT|PATCH`` anywhere is a message, taken once per Idempotency-Key; ``PUT /records/{id}`` keeps a record.
The control ``POST /_sim/http/emit`` pushes its JSON body to ``push_url`` with the proof of ``push_style``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.simulator import control, engine
from connectors.simulator import push as pushing


class Simulator(engine.Simulator):
    """Settings: ``authorization`` demanded of callers (empty: none), ``push_url``, ``push_style`` and its names."""

    id = "http"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "authorization": "",
        "push_url": "",
        "push_style": "none",
        "push_secret": "",
        "push_header": "X-Signature",
        "push_prefix": "",
        "push_algorithm": "sha256",
        "push_encoding": "hex",
        "push_timestamp_header": "",
    }
    PUSH_RETRIES = (5, 60, 600)

    def seed(self) -> None:
        self.records: dict[str, Any] = {}
        self.messages: dict[str, Any] = {}
        self._events = 0

    def snapshot(self) -> Any:
        return {"records": self.records, "messages": list(self.messages.values())}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.hello),
            Route("/records/{id:path}", self.read),
            Route("/records/{id:path}", self.put, methods=["PUT"]),
            Route("/{path:path}", self.take, methods=["POST", "PUT", "PATCH"]),
        ]

    def controls(self) -> list[BaseRoute]:
        return [Route("/emit", control.guarded(self.emit), methods=["POST"])]

    async def hello(self, request: Request) -> Response:
        return self._stranger(request) or control.answer({"ok": True})

    async def read(self, request: Request) -> Response:
        found = self.records.get(request.path_params["id"])
        return (
            control.answer({"code": "not_found", "message": "没有这条记录"}, 404)
            if found is None
            else control.answer(found)
        )

    async def put(self, request: Request) -> Response:
        refusal, given = await self._opened(request)
        if refusal is not None:
            return refusal
        key = request.path_params["id"]
        if self.records.get(key) != given:
            self.records[key] = given
            self.commit("record.put", key, given)
        return control.answer({"id": key, "accepted": True})

    async def take(self, request: Request) -> Response:
        refusal, given = await self._opened(request)
        if refusal is not None:
            return refusal
        key = request.headers.get("idempotency-key", "")
        if key and key in self.messages:
            return control.answer({"id": self.messages[key]["id"], "accepted": True, "replayed": True})
        number = f"in-{len(self.messages) + 1}"
        self.messages[key or number] = {
            "id": number,
            "method": request.method,
            "path": "/" + request.path_params["path"],
            "headers": dict(request.headers),
            "body": given,
        }
        self.commit("message.take", key or number, given)
        return control.answer({"id": number, "accepted": True})

    async def emit(self, request: Request) -> Response:
        raw = await request.body()
        json.loads(raw)
        self._events += 1
        event = f"msg_{self._events:08d}"
        self.push(self.settings["push_url"], compose=lambda _number: self._post(event, raw), label=event)
        return control.answer({"id": event})

    def _post(self, event: str, raw: bytes) -> pushing.Post:
        settings, headers, params = self.settings, {"content-type": "application/json"}, {}
        secret, style = str(settings["push_secret"]), settings["push_style"]
        at = str(int(self.now()))
        if style == "standard_webhooks":
            key = base64.b64decode(secret.removeprefix("whsec_"))
            proof = base64.b64encode(hmac.digest(key, f"{event}.{at}.".encode() + raw, "sha256")).decode()
            headers |= {"webhook-id": event, "webhook-timestamp": at, "webhook-signature": f"v1,{proof}"}
        elif style == "hmac":
            text = raw
            if settings["push_timestamp_header"]:
                headers[settings["push_timestamp_header"]] = at
                text = f"{at}.".encode() + raw
            found = hmac.new(secret.encode(), text, getattr(hashlib, settings["push_algorithm"])).digest()
            shown = base64.b64encode(found).decode() if settings["push_encoding"] == "base64" else found.hex()
            headers[settings["push_header"]] = settings["push_prefix"] + shown
        elif style == "token":
            headers[settings["push_header"]] = secret
        elif style == "token_query":
            params[settings["push_header"]] = secret
        return pushing.Post(settings["push_url"], raw, headers, params)

    async def _opened(self, request: Request) -> tuple[Response | None, Any]:
        refusal = self._stranger(request)
        if refusal is not None:
            return refusal, None
        try:
            return None, json.loads(await request.body())
        except ValueError:
            return control.answer({"code": "bad_json", "message": "正文不是 JSON"}, 400), None

    def _stranger(self, request: Request) -> Response | None:
        wanted = str(self.settings["authorization"])
        if wanted and not hmac.compare_digest(request.headers.get("authorization", "").encode(), wanted.encode()):
            return control.answer({"code": "unauthorized", "message": "凭证不对"}, 401)
        return None

    def throttled(self, request: Request) -> Response:
        answer = control.answer({"code": "too_many", "message": "请求过于频繁"}, 429)
        answer.headers["Retry-After"] = "1"
        return answer
