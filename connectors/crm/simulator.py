"""The simulated CRM: the REST API of ``records.py``, and webhooks signed by Standard Webhooks.

Every change is announced, also those made through the API: a hub that writes here hears its own write
come back. Controls under ``/_sim/crm`` are what people do in the CRM's own pages.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.crm import records
from connectors.simulator import control, engine
from connectors.simulator import push as pushing

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
EVENTS = {"customer.create": "customer.created", "customer.delete": "customer.deleted"}


class Simulator(engine.Simulator):
    """Settings: ``api_key``, ``webhook_secret`` (whsec_ + base64), ``push_url``."""

    id = "crm"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "api_key": "crm-demo-key",
        "webhook_secret": "whsec_Y3JtLWRlbW8td2ViaG9vay1zZWNyZXQtMzItYnl0ZXM=",
        "push_url": "",
    }
    PUSH_RETRIES = (5, 300, 1800, 7200, 18000, 36000)

    def seed(self) -> None:
        self.records = records.seeded(iter(self.world.customers), self.now())
        self._events = 0

    def snapshot(self) -> Any:
        activities = [one["activity"] for one in self.records.activities.values()]
        return {"customers": list(self.records.customers.values()), "activities": activities}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/me", self._open(self.me)),
            Route("/customers", self._open(self.list_changed)),
            Route("/customers", self._open(self.save), methods=["PUT"]),
            Route("/customers/search", self._open(self.search)),
            Route("/customers/{id}", self._open(self.read)),
            Route("/customers/{id}/last-order", self._open(self.set_last_order), methods=["PATCH"]),
            Route("/activities", self._open(self.add_activity), methods=["POST"]),
        ]

    def controls(self) -> list[BaseRoute]:
        return [
            Route("/customers", self._answering(self.human_create), methods=["POST"]),
            Route("/customers/{id}", self._answering(self.human_edit), methods=["POST"]),
            Route("/customers/{id}", self._answering(self.human_delete), methods=["DELETE"]),
            Route("/customers/{id}/notes", self._answering(self.human_note), methods=["POST"]),
        ]

    # The API.

    async def me(self, _request: Request) -> Response:
        return control.answer({"account": "参考 CRM 演示企业", "customers": len(self.records.customers)})

    async def list_changed(self, request: Request) -> Response:
        query = request.query_params
        page, size = int(query.get("page", "1")), int(query.get("size", "50"))
        if page < 1 or not 1 <= size <= 200:
            raise records.Refused(422, "validation_failed", "page 从 1 开始，size 为 1 到 200", {"size": str(size)})
        since, until = records.moment(query.get("modified_since")), records.moment(query.get("modified_until"))
        found = self.records.changed(since, until)
        rows = found[(page - 1) * size : page * size]
        return control.answer({"items": rows, "page": page, "size": size, "total": len(found)})

    async def read(self, request: Request) -> Response:
        return control.answer(self.records.get(request.path_params["id"]))

    async def search(self, request: Request) -> Response:
        return control.answer({"items": self.records.find(dict(request.query_params))})

    async def save(self, request: Request) -> Response:
        given = await control.body(request)
        change = self.records.save(given, self.now())
        self._announce(change, key=str(given.get("external_id") or change.customer["id"]))
        created = change.kind == "customer.create"
        return control.answer(_receipt(change) | {"created": created}, 201 if created else 200)

    async def set_last_order(self, request: Request) -> Response:
        given = await control.body(request)
        change = self.records.set_last_order(request.path_params["id"], given, self.now())
        self._announce(change, key=f"{given['number']}:{given.get('tracking_number', '')}")
        return control.answer(_receipt(change) | {"last_order": change.customer["last_order"]})

    async def add_activity(self, request: Request) -> Response:
        given = await control.body(request)
        key = request.headers.get("idempotency-key", "")
        activity, new = self.records.add_activity(key, given, self.now())
        if new:
            self.commit("activity.create", key or activity["id"], activity)
        return control.answer(activity, 201 if new else 200)

    # What people do.

    async def human_create(self, request: Request) -> Response:
        return self._told(self.records.save(await control.body(request), self.now()))

    async def human_edit(self, request: Request) -> Response:
        given = await control.body(request)
        return self._told(self.records.save({**given, "id": request.path_params["id"]}, self.now()))

    async def human_delete(self, request: Request) -> Response:
        return self._told(self.records.delete(request.path_params["id"], self.now()))

    async def human_note(self, request: Request) -> Response:
        given = await control.body(request)
        customer = self.records.get(request.path_params["id"])
        self._events += 1
        note = {
            "id": f"N{self._events:06d}",
            "order_number": str(given.get("order_number", "")),
            "text": str(given.get("text", "")),
            "author": str(given.get("author", customer.get("owner_id", ""))),
            "created_at": records.stamp(self.now()),
            "customer": customer,
        }
        self._send("order.noted", note)
        return control.answer(note)

    def _told(self, change: records.Change) -> Response:
        self._announce(change, key="human:" + change.customer["id"])
        return control.answer(change.customer)

    # Pushes.

    def _announce(self, change: records.Change, key: str) -> None:
        if change.kind:
            facts = {name: change.customer.get(name) for name in ("id", "version", "last_order")}
            self.commit(change.kind, key, facts)
            self._send(EVENTS.get(change.kind, "customer.updated"), change.customer)

    def _send(self, kind: str, content: dict[str, Any]) -> None:
        self._events += 1
        event = f"evt_{int(self.now() * 1000):x}{self._events:06d}"
        body = {"id": event, "type": kind, "timestamp": records.stamp(self.now()), "data": content}
        raw = json.dumps(body, ensure_ascii=False).encode()
        url = self.settings["push_url"]

        def compose(_number: int) -> pushing.Post:
            return pushing.Post(url, raw, signed(self.settings["webhook_secret"], event, int(self.now()), raw))

        self.push(url, compose=compose, label=f"{kind} {content['id']}")

    # Answers.

    def _open(self, endpoint: Endpoint) -> Endpoint:
        async def call(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self.settings['api_key']}".encode()):
                raise records.Refused(401, "invalid_token", "API 密钥无效或已停用")
            return await endpoint(request)

        return self._answering(call)

    def _answering(self, endpoint: Endpoint) -> Endpoint:
        async def call(request: Request) -> Response:
            try:
                return await endpoint(request)
            except records.Refused as no:
                return _refusal(no)
            except (json.JSONDecodeError, TypeError, ValueError):
                return _refusal(records.Refused(400, "bad_request", "请求内容不是合法的 JSON 对象或参数"))

        return call

    def throttled(self, request: Request) -> Response:
        answer = _refusal(records.Refused(429, "rate_limited", "请求过于频繁，请稍后再试"))
        answer.headers["Retry-After"] = "2"
        return answer

    def banned(self, request: Request) -> Response:
        return _refusal(records.Refused(403, "forbidden", "该 IP 已被封禁"))

    def broken(self, request: Request) -> Response:
        return _refusal(records.Refused(500, "internal", "系统内部错误"))


def signed(secret: str, message: str, at: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks 1.0: HMAC-SHA256 over ``id.timestamp.body``, base64, prefix ``v1,``."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    proof = hmac.new(key, b".".join([message.encode(), str(at).encode(), body]), hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": "v1," + base64.b64encode(proof).decode(),
    }


def _receipt(change: records.Change) -> dict[str, Any]:
    return {key: change.customer.get(key) for key in ("id", "external_id", "updated_at", "version")}


def _refusal(no: records.Refused) -> Response:
    error: dict[str, Any] = {"code": no.code, "message": no.message}
    if no.fields:
        error["fields"] = [{"field": name, "message": text} for name, text in no.fields.items()]
    return control.answer({"error": error}, no.status)
