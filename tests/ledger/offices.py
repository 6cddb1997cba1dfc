"""Two small systems nobody wrote a connector for: an order list over REST, and books that speak JSON-RPC."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests import web

API_KEY = "canary-key-of-the-office"
CLIENT = ("hub", "canary-secret-of-the-books")


class Offices:
    """What both know, and everything they were asked."""

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.booked: dict[str, Any] = {}
        self.refusals = 0
        self.tokens: dict[str, str] = {}
        """Access token -> the refresh token that came with it; a refresh token is good once."""
        self.grants: list[str] = []
        self.codes = {"C0"}
        self.lifetime = 3600
        self.lock = threading.Lock()
        self.url = ""

    @contextlib.contextmanager
    def open(self) -> Iterator[str]:
        """Both on one socket, for the length of a block; yields their address."""
        with web.serving(type("Desk", (_Desk,), {"offices": self})) as self.url:
            yield self.url

    def token(self, form: dict[str, str], client: tuple[str, str]) -> tuple[int, dict[str, Any]]:
        """RFC 6749: client credentials, authorisation code, refresh with rotation."""
        kind = form.get("grant_type", "")
        with self.lock:
            self.grants.append(kind)
            if client != CLIENT:
                return 401, {"error": "invalid_client"}
            if kind == "refresh_token" and form.get("refresh_token") not in ("R0", *self.tokens.values()):
                return 400, {"error": "invalid_grant"}
            if kind == "authorization_code":
                if form.get("code") not in self.codes:
                    return 400, {"error": "invalid_grant"}
                self.codes.remove(form["code"])
            if kind not in ("client_credentials", "refresh_token", "authorization_code"):
                return 400, {"error": "unsupported_grant_type"}
            for access in [one for one, newer in self.tokens.items() if newer == form.get("refresh_token")]:
                del self.tokens[access]
            access, refresh = f"access-{len(self.grants):04}", f"refresh-{len(self.grants):04}"
            self.tokens[access] = refresh
        more = {} if kind == "client_credentials" else {"refresh_token": refresh}
        return 200, {"access_token": access, "token_type": "Bearer", "expires_in": self.lifetime, **more}

    def rpc(self, body: dict[str, Any]) -> dict[str, Any]:
        top = {"jsonrpc": "2.0", "id": body.get("id")}
        given = body.get("params") or {}
        match body.get("method"):
            case "book.put":
                if given.get("amount_fen") is None:
                    return {**top, "error": {"code": -32602, "message": "amount_fen is missing"}}
                self.booked[given["no"]] = given
                return {**top, "result": {"book": {"no": given["no"]}}}
            case "book.get":
                return {**top, "result": {"book": self.booked.get(given.get("no"))}}
        return {**top, "error": {"code": -32601, "message": "no such method"}}


class _Desk(web.Page):
    offices: ClassVar[Offices]
    protocol_version = "HTTP/1.1"

    def _say(self, status: int, body: Any) -> None:
        self.say(status, json.dumps(body).encode(), {"content-type": "application/json"})

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.headers.get("X-Office-Key") != API_KEY:
            self.offices.refusals += 1
            return self._say(200, {"code": 401, "message": "who are you"})
        if parts.path != "/api/orders":
            return self._say(404, {"code": 404, "message": "no such place"})
        found = [one for one in self.offices.orders if query["since"] <= one["changed"] <= query["until"]]
        page, size = int(query["page"]), int(query["size"])
        return self._say(
            200, {"code": 0, "data": {"list": found[(page - 1) * size : page * size], "total": len(found)}}
        )

    def do_POST(self) -> None:
        raw = self.asked()
        if self.path == "/token":
            form = {name: values[0] for name, values in parse_qs(raw.decode()).items()}
            kind, _, text = self.headers.get("Authorization", "").partition(" ")
            name, _, password = base64.b64decode(text).decode().partition(":") if kind == "Basic" else ("", "", "")
            client = (name, password) if kind == "Basic" else (form.get("client_id", ""), form.get("client_secret", ""))
            return self._say(*self.offices.token(form, client))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.offices.tokens:
            self.offices.refusals += 1
            return self._say(401, {"error": "invalid_token"})
        return self._say(200, self.offices.rpc(json.loads(raw)))
