"""A tenant on a simulated Feishu: bot messages, the directory, approvals, events by HTTP or by the long connection.

Events go to ``push_url`` where one is set, else to the long connections. Controls under ``/_sim/feishu``:
``GET messages?receiver=&after=`` (what people received), ``POST ask`` (somebody writes to the bot),
``POST cards/{message}/click`` (somebody taps a button: sender, key; setting ``card_form`` plain or sealed tells it in
the old form), ``POST cards`` (a card with a button hangs in a group), ``POST subscribe`` (to a definition's approvals),
``POST approvals`` (somebody fills in a form),
``POST approvals/{instance}/{approve|reject|cancel|delete|revert}``, ``POST events`` (any v2 event: kind, event),
``POST tokens/expire``, ``POST check`` (the address check), ``POST cut`` (ends every long connection).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import httpx
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from connectors.core import jsontext
from connectors.feishu.simulated import approvals, channel, oauth, pushes, tenant
from connectors.simulator import control, engine

Call = Callable[[tenant.Texts, tenant.Texts, tenant.Body], tenant.Body]
DEFINITION = "7C468A54-TEST-TEST-TEST-08B7C63E7A85"


class Simulator(engine.Simulator):
    """See the module; ``settings`` are the credentials of the one application and the hub's callback."""

    id = "feishu"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "app_id": "cli_simulated0001",
        "app_secret": "feishu-app-secret",
        "verification_token": "feishuverificationtoken",
        "encrypt_key": "feishu-encrypt-key",
        "push_url": "",
        "card_form": "modern",
        "bot_hook": "feishu-bot-hook-0001",
        "bot_secret": "feishu-bot-secret",
        "bot_keyword": "",
        "bot_per_minute": 100,
        "approval_definitions": {
            DEFINITION: {
                "widget1": {"type": "input", "name": "订单号"},
                "widget2": {"type": "amount", "name": "金额"},
                "widget3": {"type": "textarea", "name": "原因"},
            }
        },
        "numeric_times": False,
        "uuid_capitals": False,
        "by_uuid": True,
        "token_lifetime": 7200,
        "page_size": 100,
        "part_size": 0,
        "ping_interval": 120,
        "unavailable": [],
        "asked": [],
        "scopes_missing": [],
        "sign_check": False,
    }
    PUSH_RETRIES = (15, 300, 3600, 21600)
    PUSH_TIMEOUT = 3.0

    def seed(self) -> None:
        self.tokens: dict[str, float] = {}
        self.challenges: set[str] = set()
        self.tenant = tenant.Tenant(self.world, self.settings, self.now, self.commit)
        self.approvals = approvals.Approvals(self.settings, self.now, self.commit, self._approval, self.tenant.member)
        self.channel = channel.Channel(self, self.PUSH_TIMEOUT, self.PUSH_RETRIES, lambda name: self.settings[name])

    async def stop(self) -> None:
        await self.channel.close()

    def snapshot(self) -> Any:
        return {
            "messages": len(self.tenant.delivered),
            "approvals": {key: one["status"] for key, one in self.approvals.instances.items()},
            "tokens": len(self.tokens),
            "connections": len(self.channel.open),
            "events": [{"label": one.label, "state": one.state, "tries": one.tries} for one in self.channel.events],
        }

    # Events.

    def announce(self, event: dict[str, Any], label: str) -> None:
        """Push one whole event; not acknowledged in 3 s it comes again after 15 s, 5 min, 1 h and 6 h."""
        url = self.settings["push_url"]
        if not url:
            self.channel.tell(label, jsontext.dumps(event))
            return
        self.push(url, compose=lambda _number: pushes.post(url, self.settings, event, self.now()), label=label)

    def _approval(self, event: dict[str, Any]) -> None:
        self.announce(pushes.classic(self.settings, event, self.now()), "approval_instance")

    def check_url(self) -> None:
        """Saving a callback address sends a challenge; whether it is signed depends on the platform's day."""
        url, event = self.settings["push_url"], pushes.check(self.settings)
        self.challenges.add(event["challenge"])
        signed = bool(self.settings["sign_check"])
        post = pushes.post if self.settings["card_form"] == "modern" else pushes.card_post
        self.push(
            url,
            compose=lambda _number: post(url, self.settings, event, self.now(), signed=signed),
            label="url_verification",
            retries=(),
            timeout=1,
        )

    def acknowledged(self, response: httpx.Response) -> bool:
        """An event wants a 200, an address check its challenge."""
        if response.status_code != 200:
            return False
        try:
            told = jsontext.loads(response.content).get("challenge")
        except (jsontext.JsonError, AttributeError):
            return True
        return told is None or told in self.challenges

    # Answers.

    def refused(self, refusal: tenant.Refusal) -> Response:
        body: dict[str, Any] = {"code": refusal.code, "msg": refusal.words}
        if refusal.code == 99991672:
            body["error"] = {"permission_violations": [{"type": "action_scope_required", "subject": "im:message"}]}
        headers = {"x-tt-logid": secrets.token_hex(16)}
        return JSONResponse(body, refusal.status, headers)

    def throttled(self, request: Request) -> Response:
        if "/bot/v2/hook/" in request.url.path:
            return self.refused(tenant.Refusal(11232, "frequency limited", 200))
        headers = {"x-ogw-ratelimit-limit": "100", "x-ogw-ratelimit-reset": "1"}
        return JSONResponse({"code": 99991400, "msg": "request trigger frequency limit"}, 429, headers)

    def banned(self, request: Request) -> Response:
        return HTMLResponse("<html><body>403 Forbidden</body></html>", 403)

    def broken(self, request: Request) -> Response:
        return self.refused(tenant.Refusal(1500, "internal error", 500))

    # The way in.

    def routes(self) -> list[BaseRoute]:
        api = "/open-apis"
        calls: list[tuple[str, str, Call]] = [
            ("GET", "/bot/v3/info", self.part("tenant", "bot")),
            ("POST", "/im/v1/messages", self.part("tenant", "send")),
            ("POST", "/im/v1/messages/{message_id}/reply", self.part("tenant", "reply")),
            ("PATCH", "/im/v1/messages/{message_id}", self.part("tenant", "update")),
            ("POST", "/contact/v3/users/batch_get_id", self.part("tenant", "find")),
            ("GET", "/contact/v3/users/{user_id}", self.part("tenant", "user")),
            ("GET", "/contact/v3/departments/{department_id}/children", self.part("tenant", "departments")),
            ("POST", "/approval/v4/instances", self.part("approvals", "create")),
            ("GET", "/approval/v4/instances", self.part("approvals", "codes")),
            ("POST", "/approval/v4/instances/cancel", self.part("approvals", "cancel")),
            ("GET", "/approval/v4/instances/{instance_id}", self.part("approvals", "detail")),
            ("POST", "/approval/v4/approvals/{approval_code}/subscribe", self.part("approvals", "subscribe")),
        ]
        return [
            Route(f"{api}/auth/v3/tenant_access_token/internal", self.token, methods=["POST"]),
            Route("/oauth/v3/token", self.oauth_token, methods=["POST"]),
            Route(f"{api}/bot/v2/hook/{{hook}}", self.group_bot, methods=["POST"]),
            Route("/callback/ws/endpoint", self.endpoint, methods=["POST"]),
            WebSocketRoute("/ws/v2", self.channel_opened),
            *(Route(f"{api}{path}", self.call(one), methods=[how]) for how, path, one in calls),
        ]

    def part(self, owner: str, name: str) -> Call:
        """A call of the tenant or the approvals there are at that moment: a reset makes others."""

        def asked(path: tenant.Texts, query: tenant.Texts, body: tenant.Body) -> tenant.Body:
            given: tenant.Body = getattr(getattr(self, owner), name)(path, query, body)
            return given

        return asked

    def call(self, call: Call) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """One API path: token, JSON body, then the call itself."""

        async def answer(request: Request) -> Response:
            try:
                self.authorised(request)
                body = await self.body(request)
                given = call(request.path_params, request.query_params, body)
            except tenant.Refusal as refusal:
                return self.refused(refusal)
            shape = given if "bot" in given else {"data": given}
            return control.answer({"code": 0, "msg": "success", **shape})

        return answer

    async def body(self, request: Request) -> dict[str, Any]:
        raw = await request.body()
        try:
            body = jsontext.loads(raw) if raw else {}
        except jsontext.JsonError:
            body = None
        if not isinstance(body, dict):
            raise tenant.Refusal(9499, "Bad Request")
        return body

    def authorised(self, request: Request) -> None:
        token = request.headers.get("authorization", "")
        if not token:
            raise tenant.Refusal(99991661, "Missing access token for authorization")
        if not token.startswith(("Bearer t-", "Bearer eyJ")):
            raise tenant.Refusal(99991671, "Invalid access token: must be prefixed with 't-', 'u-' or 'a-'")
        if self.tokens.get(token.removeprefix("Bearer "), 0.0) <= self.now():
            raise tenant.Refusal(99991663, "Invalid access token for authorization. Please make a request with token.")
        if any(part in request.url.path for part in self.settings["scopes_missing"]):
            raise tenant.Refusal(99991672, "Access denied. One of the following scopes is required: [im:message]", 400)

    async def token(self, request: Request) -> Response:
        """The same token while 30 minutes are left; then a new one, and both are good."""
        try:
            body = await self.body(request)
        except tenant.Refusal as refusal:
            return self.refused(refusal)
        if body.get("app_id") != self.settings["app_id"]:
            return self.refused(tenant.Refusal(10003, "invalid param"))
        if body.get("app_secret") != self.settings["app_secret"]:
            return self.refused(tenant.Refusal(10014, "app secret invalid", 200))
        key, expire = self.living("t-", f"t-{secrets.token_hex(20)}")
        return control.answer({"code": 0, "msg": "ok", "tenant_access_token": key, "expire": expire})

    def living(self, form: str, new: str) -> tuple[str, int]:
        """The token of a form (how it begins) and the seconds it has left; ``new`` where less than 30 minutes are."""
        living = {
            key: until for key, until in self.tokens.items() if key.startswith(form) and until - self.now() > 1800
        }
        if not living:
            living = {new: self.now() + float(self.settings["token_lifetime"])}
            self.tokens |= living
        key, until = next(iter(living.items()))
        return key, round(until - self.now())

    async def oauth_token(self, request: Request) -> Response:
        """The newer form, of the accounts service."""
        wrong = oauth.judged(self.settings, request.headers.get("authorization", ""), await request.body())
        status, body = wrong or oauth.given(*self.living("eyJ", oauth.token()))
        return JSONResponse(body, status)

    async def group_bot(self, request: Request) -> Response:
        try:
            given = self.tenant.group_bot(request.path_params, request.query_params, await self.body(request))
        except tenant.Refusal as refusal:
            return self.refused(refusal)
        return control.answer({**given, "code": 0, "msg": "success"})

    async def endpoint(self, request: Request) -> Response:
        """Where to open the long connection; wants the application's own credentials and no token."""
        try:
            body = await self.body(request)
        except tenant.Refusal as refusal:
            return self.refused(refusal)
        if body.get("AppID") != self.settings["app_id"] or body.get("AppSecret") != self.settings["app_secret"]:
            return control.answer({"code": 514, "msg": "app id or secret is invalid"})
        base = str(request.url).split("/callback/", 1)[0].replace("http", "ws", 1)
        return control.answer({"code": 0, "msg": "", "data": self.channel.endpoint(base)})

    async def channel_opened(self, socket: WebSocket) -> None:
        await self.channel.connected(socket)

    # What people over there do.

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            Route("/messages", self.inbox, methods=["GET"]),
            post("/ask", self.ask),
            post("/cards", self.hang),
            post("/cards/{message}/click", self.click),
            post("/subscribe", self.subscribe),
            post("/approvals", self.hand_in),
            post("/approvals/{instance}/{decision}", self.decide),
            post("/events", self.tell),
            post("/tokens/expire", self.expire),
            post("/check", self.check),
            post("/cut", self.cut),
        ]

    async def inbox(self, request: Request) -> Response:
        query = request.query_params
        return control.answer({"messages": self.tenant.read(query.get("receiver"), int(query.get("after", "0")))})

    async def ask(self, request: Request) -> Response:
        """Somebody writes to the bot; body: ``text``, ``sender`` (a userid)."""
        wish = await control.body(request)
        userid, text = str(wish.get("sender", "sales01")), str(wish.get("text", "查订单"))
        message = f"om_{secrets.token_hex(16)}"
        self.settings["asked"] = [*self.settings["asked"], message]
        event = {
            "sender": {
                "sender_id": {"open_id": f"ou_{userid}", "user_id": userid, "union_id": f"on_{userid}"},
                "sender_type": "user",
            },
            "message": {
                "message_id": message,
                "create_time": str(int(self.now() * 1000)),
                "chat_id": "oc_group01",
                "chat_type": "group",
                "message_type": "text",
                "content": jsontext.dumps({"text": text}).decode(),
            },
        }
        self.announce(pushes.modern(self.settings, "im.message.receive_v1", event, self.now()), "im.message.receive_v1")
        return control.answer({"message_id": message})

    async def hang(self, _request: Request) -> Response:
        """A card with a button hangs in a group."""
        button = {"tag": "button", "text": {"tag": "plain_text", "content": "同意"}, "value": {"key": "agree"}}
        content = jsontext.dumps({"elements": [{"tag": "action", "actions": [button]}]}).decode()
        given = {"receive_id": "oc_group01", "msg_type": "interactive", "content": content}
        sent = self.tenant.send({}, {"receive_id_type": "chat_id"}, given)
        return control.answer({"message_id": sent["message_id"]})

    async def click(self, request: Request) -> Response:
        """Somebody taps a button of a card; body: ``sender`` (a userid), ``key``."""
        wish = await control.body(request)
        event = self.tenant.click(request.path_params["message"], str(wish["sender"]), str(wish["key"]))
        if self.settings["card_form"] != "modern":
            old, url = pushes.old_card(event), self.settings["push_url"]
            # Somebody is looking at the button: what is not taken in three seconds is told to them and not sent again.
            self.push(
                url,
                compose=lambda _number: pushes.card_post(url, self.settings, old, self.now()),
                label="card",
                retries=(),
            )
            return control.answer(old)
        whole = pushes.modern(self.settings, "card.action.trigger", event, self.now())
        self.announce(whole, "card.action.trigger")
        return control.answer(whole)

    async def subscribe(self, request: Request) -> Response:
        """The events of a definition are subscribed to, as an administrator does once; body: ``approval_code``."""
        code = str((await control.body(request)).get("approval_code", DEFINITION))
        return control.answer(self.approvals.subscribe({"approval_code": code}, {}, {}))

    async def hand_in(self, request: Request) -> Response:
        """Somebody fills in a form; body: ``form`` (widget id -> text), ``approval_code``, ``sender`` (a userid)."""
        wish = await control.body(request)
        widgets = [{"id": key, "type": "input", "value": str(value)} for key, value in wish["form"].items()]
        given = {
            "approval_code": str(wish.get("approval_code", DEFINITION)),
            "open_id": f"ou_{wish.get('sender', 'sales01')}",
            "form": jsontext.dumps(widgets).decode(),
        }
        return control.answer(self.approvals.create({}, {}, given))

    async def decide(self, request: Request) -> Response:
        return control.answer(self.approvals.decide(request.path_params["instance"], request.path_params["decision"]))

    async def tell(self, request: Request) -> Response:
        wish = await control.body(request)
        event = pushes.modern(self.settings, str(wish["kind"]), wish.get("event") or {}, self.now())
        self.announce(event, str(wish["kind"]))
        return control.answer(event)

    async def expire(self, _request: Request) -> Response:
        """End every token early."""
        self.tokens = dict.fromkeys(self.tokens, 0.0)
        return control.answer({"expired": len(self.tokens)})

    async def check(self, _request: Request) -> Response:
        self.check_url()
        return control.answer({"checking": self.settings["push_url"]})

    async def cut(self, _request: Request) -> Response:
        return control.answer({"cut": await self.channel.close()})
