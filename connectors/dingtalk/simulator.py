"""A corp on a simulated DingTalk: both API hosts on one address, robots, approvals, encrypted pushes and the Stream.

Controls under ``/_sim/dingtalk``: ``GET messages?receiver=&after=`` (received), ``POST approvals`` (a form handed in),
``POST approvals/{instance}/{agree|refuse|terminate|delete}`` (pushes the event), ``POST events`` (push any event),
``POST lost`` (one whose push failed), ``POST ask`` (to the robot), ``POST scan`` (a sign-in),
``POST stream/{ping|disconnect|cut}``, ``POST tokens/expire``, ``POST check`` (the address check).
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import httpx
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from connectors.core import jsontext
from connectors.dingtalk.simulated import approvals, book, callbacks, calls, channel, corp, office, scanning
from connectors.simulator import control, engine

HEADER = "x-acs-dingtalk-access-token"
Call = Callable[[corp.Body, corp.Query], corp.Body]
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class Simulator(engine.Simulator):
    """See the module; ``settings`` are the credentials of the one application and the hub's callback."""

    id = "dingtalk"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "app_key": "dingsimulatedappkey",
        "app_secret": "dingtalk-app-secret",
        "corp_id": "dingsimulatedcorp0001",
        "agent_id": 1234,
        "robot_code": "dingsimulatedappkey",
        "token": "dingcallbacktoken",
        "aes_key": "1234567890123456789012345678901234567890123",
        "owner": "app_key",
        "hash_params": ["signature", "msg_signature"],
        "push_url": "",
        "address_check": True,
        "robot_access_token": "dingtalk-robot-token",
        "robot_secret": "SECdingtalk-robot-secret",
        "robot_keyword": "",
        "robot_per_minute": 20,
        "process_codes": [],
        "flow_controlled": [],
        "token_lifetime": 7200,
        "qps": 0,
        "monthly_quota": 0,
        "trusted_ips": [],
        "ban_json": False,
        "ban_page": "<!DOCTYPE html><html><head><title>亲，访问被拒绝</title></head><body></body></html>",
        "terminate_after": 0,
    }
    PUSH_RETRIES = (10, 30)
    PUSH_TIMEOUT = 2.5

    def seed(self) -> None:
        self.tokens: dict[str, float] = {}
        """Token -> until when; each host knows its own only, told apart by how it begins."""
        self.calls: dict[str, deque[float]] = {}
        self.used = 0
        self.events: dict[str, dict[str, Any]] = {}
        self.collected: set[int] = set()
        self.lost: list[dict[str, Any]] = []
        """Events that are on the failed list without having been pushed (a control)."""
        self.corp = corp.Corp(self.world, self.settings, self.now, self.commit)
        self.book = book.Book(self.world, self.commit)
        self.office = office.Office(self.world, self.now, self.commit, self.announce)
        self.approvals = approvals.Approvals(self.settings, self.now, self.commit, self.announce, self.book.members)
        self.scans = scanning.Scanning(self.settings, self.now)
        self.channel = channel.Channel(self, 3.0, (15, 30, 60, 60), self.now, str(self.settings["corp_id"]))

    async def stop(self) -> None:
        await self.channel.close()

    def snapshot(self) -> Any:
        return {
            "messages": len(self.corp.delivered),
            "approvals": {key: one["status"] for key, one in self.approvals.instances.items()},
            "tokens": len(self.tokens),
            "calls": self.used,
            "connections": len(self.channel.open),
            "stream": [{"label": one.label, "state": one.state, "tries": one.tries} for one in self.channel.events],
        }

    def configure(self, settings: dict[str, Any]) -> None:
        """Saving a new callback address checks it, as the console does."""
        super().configure(settings)
        if settings.get("push_url") and self.settings["address_check"]:
            self.check_url()

    # Pushes.

    def check_url(self) -> None:
        self.deliver({"EventType": "check_url"}, "check_url", ())

    def announce(self, event: dict[str, Any]) -> None:
        """Push one event: by HTTP where an address is set, else over the Stream.

        By HTTP it comes again after 10 s and 30 s when it is not acknowledged, then waits in the failed list.
        """
        at, event_id = int(self.now() * 1000), secrets.token_hex(14)
        head = {"EventTime": at, "CorpId": self.settings["corp_id"], "BizId": str(at), "eventId": event_id}
        whole = {**head, **event}
        self.events[event_id] = whole
        if self.settings["push_url"]:
            self.deliver(whole, event_id, None)
        else:
            self.channel.event(whole)

    def deliver(self, event: dict[str, Any], label: str, retries: tuple[float, ...] | None) -> None:
        url = self.settings["push_url"]
        self.push(
            url,
            compose=lambda _number: callbacks.post(url, self.settings, event, self.now()),
            label=label,
            retries=retries,
        )

    def acknowledged(self, response: httpx.Response) -> bool:
        if "sign" in response.request.headers:
            return response.status_code == 200
        return callbacks.received(self.settings, response.status_code, response.content)

    # Answers of both hosts.

    def legacy_refusal(self, refusal: corp.Refusal) -> Response:
        body: dict[str, Any] = {"errcode": refusal.code, "errmsg": refusal.words}
        if isinstance(refusal.code, str):
            # The wrapper whose real code is inside.
            words = f"ding talk error[subcode={refusal.code},submsg={refusal.words}]"
            body = {"errcode": 88, "errmsg": words, "sub_code": refusal.code, "sub_msg": refusal.words}
        return JSONResponse({**body, "request_id": secrets.token_hex(6)})

    def new_refusal(self, refusal: corp.Refusal) -> Response:
        body = {"code": refusal.code, "requestid": secrets.token_hex(16).upper(), "message": refusal.words}
        return JSONResponse(body, refusal.status)

    def is_new(self, request: Request) -> bool:
        return "/v1.0/" in request.url.path

    def throttled(self, request: Request) -> Response:
        if self.is_new(request):
            words = "The request has exceeded the QPS limit of the appkey and api."
            return self.new_refusal(corp.Refusal("Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", words, 403))
        if request.url.path.endswith("/robot/send"):
            return self.legacy_refusal(corp.Refusal(410100, "发送速度太快而限流"))
        words = "您的服务器调用钉钉开放平台当前接口的所有请求都被暂时禁用了"
        return self.legacy_refusal(corp.Refusal(90018, words))

    def banned(self, request: Request) -> Response:
        if self.settings["ban_json"]:
            return JSONResponse({"status": 1111, "wait": 5, "source": "x5", "punish": "deny"})
        return HTMLResponse(str(self.settings["ban_page"]), 403)

    def broken(self, request: Request) -> Response:
        if self.is_new(request):
            return self.new_refusal(corp.Refusal("systemError", "系统错误", 500))
        return self.legacy_refusal(corp.Refusal(-1, "系统繁忙"))

    # The way in: address, token, pace, body, then the call itself.

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1.0/oauth2/accessToken", self.new_token, methods=["POST"]),
            Route("/v1.0/oauth2/userAccessToken", self.personal, methods=["POST"]),
            Route("/v1.0/contact/users/me", self.personal, methods=["GET"]),
            Route("/v1.0/gateway/connections/open", self.open_stream, methods=["POST"]),
            WebSocketRoute("/connect", self.stream_opened),
            Route("/gettoken", self.legacy_token, methods=["GET"]),
            Route("/robot/send", self.legacy(self.part("corp", "robot"), token=False), methods=["POST"]),
            Route("/robot/sendBySession", self.legacy(self.part("corp", "answer"), token=False), methods=["POST"]),
            Route("/call_back/get_call_back_failed_result", self.legacy(self.failed_list), methods=["GET"]),
            *(Route(path, self.legacy(self.part(*call)), methods=["POST"]) for path, call in calls.LEGACY.items()),
            *(Route(path, self.new(self.part(*call)), methods=[how]) for (how, path), call in calls.NEW.items()),
        ]

    def part(self, owner: str, name: str) -> Call:
        """A call of the corp, its book or its approvals as they are at that moment: a reset makes others."""

        def asked(body: corp.Body, query: corp.Query) -> corp.Body:
            given: corp.Body = getattr(getattr(self, owner), name)(body, query)
            return given

        return asked

    async def open_stream(self, request: Request) -> Response:
        """Where to open the Stream; wants the application's own credentials and no token."""
        try:
            body = await self.body(request)
            if not self.right(body.get("clientId"), body.get("clientSecret")):
                raise corp.Refusal("invalidClientIdOrSecret", "无效的clientId或者clientSecret", 401)
            base = str(request.url).split("/v1.0/", 1)[0].replace("http", "ws", 1)
            return control.answer(self.channel.opening(body, base))
        except corp.Refusal as refusal:
            return self.new_refusal(refusal)
        except ValueError as error:
            return self.new_refusal(corp.Refusal("invalidParameter", str(error)))

    async def stream_opened(self, socket: WebSocket) -> None:
        await self.channel.connected(socket)

    def legacy(self, call: Call, *, token: bool = True) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                self.trusted(request, 60020)
                if token:
                    self.living("legacy", request.query_params.get("access_token", ""), "40014", "42001")
                if token and "/v2/" not in request.url.path:
                    self.counted(90020)
                self.paced(request, 90018)
                given = call(await self.body(request), request.query_params)
            except corp.Refusal as refusal:
                return self.legacy_refusal(refusal)
            return control.answer({"errcode": 0, "errmsg": "ok", **given, "request_id": secrets.token_hex(6)})

        return answer

    def new(self, call: Call) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                self.trusted(request, "Forbidden.AccessDenied.IpNotInWhiteList")
                self.living("new", request.headers.get(HEADER, ""), "InvalidAuthentication", "InvalidAuthentication")
                self.counted("Forbidden.AccessDenied.ApiCountLimitForOrg")
                self.paced(request, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi")
                return control.answer(call(await self.body(request), {**request.query_params, **request.path_params}))
            except corp.Refusal as refusal:
                return self.new_refusal(refusal)

        return answer

    async def personal(self, request: Request) -> Response:
        """Calls without an application's token: a code becomes a person's token, the token the person."""
        try:
            if request.method == "POST":
                return control.answer(self.scans.token(await self.body(request)))
            return control.answer(self.scans.person(request.headers.get(HEADER, "")))
        except corp.Refusal as refusal:
            return self.new_refusal(refusal)

    async def body(self, request: Request) -> corp.Body:
        raw = await request.body()
        try:
            body = jsontext.loads(raw) if raw else {}
        except jsontext.JsonError:
            raise corp.Refusal(400002, "无效的 JSON") from None
        if not isinstance(body, dict | list):
            raise corp.Refusal(400002, "无效的 JSON")
        return body if isinstance(body, dict) else {"list": body}

    def trusted(self, request: Request, code: int | str) -> None:
        allowed = self.settings["trusted_ips"]
        if allowed and (request.client is None or request.client.host not in allowed):
            raise corp.Refusal(code, "访问ip不在白名单之中", 403)

    def living(self, host: str, token: str, unknown: str, expired: str) -> None:
        until = self.tokens.get(token) if token.startswith(host) else None
        if until is None:
            raise corp.Refusal(unknown, "不合法的access_token")
        if until <= self.now():
            raise corp.Refusal(expired, "access_token已过期")

    def counted(self, code: int | str) -> None:
        """The month's quota; token and directory calls do not count."""
        self.used += 1
        if self.settings["monthly_quota"] and self.used > self.settings["monthly_quota"]:
            raise corp.Refusal(code, "本月调用次数已用完", 403)

    def paced(self, request: Request, code: int | str) -> None:
        limit, now = self.settings["qps"], self.now()
        recent = self.calls.setdefault(request.url.path, deque())
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if limit and len(recent) >= limit:
            raise corp.Refusal(code, "The request has exceeded the QPS limit of the appkey and api.", 403)
        recent.append(now)

    # Tokens: one per host, the same again inside its life.

    def token(self, host: str) -> tuple[str, int]:
        kept = ((key, until) for key, until in self.tokens.items() if key.startswith(host) and until > self.now())
        living = next(kept, None)
        if living is None:
            living = (f"{host}{secrets.token_hex(16)}", self.now() + float(self.settings["token_lifetime"]))
            self.tokens[living[0]] = living[1]
        return living[0], round(living[1] - self.now())

    def right(self, key: Any, secret: Any) -> bool:
        return bool(key == self.settings["app_key"] and secret == self.settings["app_secret"])

    async def new_token(self, request: Request) -> Response:
        try:
            self.trusted(request, "Forbidden.AccessDenied.IpNotInWhiteList")
            body = await self.body(request)
        except corp.Refusal as refusal:
            return self.new_refusal(refusal)
        if not self.right(body.get("appKey"), body.get("appSecret")):
            return self.new_refusal(corp.Refusal("invalidClientIdOrSecret", "无效的clientId或者clientSecret"))
        token, seconds = self.token("new")
        return control.answer({"accessToken": token, "expireIn": seconds})

    async def legacy_token(self, request: Request) -> Response:
        query = request.query_params
        if not self.right(query.get("appkey"), query.get("appsecret")):
            return self.legacy_refusal(corp.Refusal(40089, "不合法的corpid或corpsecret"))
        token, seconds = self.token("legacy")
        return control.answer({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": seconds})

    def failed_list(self, _body: corp.Body, _query: corp.Query) -> corp.Body:
        """Events given up after three tries; reading takes them off the list."""
        lost, self.lost = self.lost, []
        return callbacks.failed(self.pushes, self.events, self.collected, lost)

    # What people over there do.

    def controls(self) -> list[BaseRoute]:
        return [
            Route("/messages", self.inbox, methods=["GET"]),
            Route("/approvals", control.guarded(self.hand_in), methods=["POST"]),
            Route("/approvals/{instance}/{result}", control.guarded(self.decide), methods=["POST"]),
            Route("/events", control.guarded(self.tell), methods=["POST"]),
            Route("/lost", control.guarded(self.lose), methods=["POST"]),
            Route("/scan", control.guarded(self.scan), methods=["POST"]),
            Route("/ask", control.guarded(self.ask), methods=["POST"]),
            Route("/stream/{topic}", control.guarded(self.stream_says), methods=["POST"]),
            Route("/tokens/expire", self.expire, methods=["POST"]),
            Route("/check", self.check, methods=["POST"]),
        ]

    async def inbox(self, request: Request) -> Response:
        query = request.query_params
        return control.answer({"messages": self.corp.read(query.get("receiver"), int(query.get("after", "0")))})

    async def hand_in(self, request: Request) -> Response:
        """Somebody fills in a form; body: ``form`` (label -> text), ``processCode``, ``sender`` (a userId)."""
        wish = await control.body(request)
        given = {
            "processCode": str(wish.get("processCode", "")),
            "originatorUserId": str(wish.get("sender", "sales01")),
            "deptId": -1,
            "formComponentValues": [{"name": key, "value": str(value)} for key, value in wish["form"].items()],
        }
        return control.answer(self.approvals.start(given, {}))

    async def decide(self, request: Request) -> Response:
        return control.answer(self.approvals.decide(request.path_params["instance"], request.path_params["result"]))

    async def tell(self, request: Request) -> Response:
        if not (event := await control.body(request)).get("EventType"):
            raise ValueError("an event needs its EventType")
        self.announce(event)
        return control.answer(event)

    async def lose(self, request: Request) -> Response:
        """An event whose push failed for good; body: its members."""
        at = int(self.now() * 1000)
        self.lost.append({"EventTime": at, "eventId": secrets.token_hex(14), **(await control.body(request))})
        return control.answer(self.lost[-1])

    async def scan(self, request: Request) -> Response:
        """Body: ``userid`` of who scans the code of the sign-in page."""
        return control.answer(self.scans.scan(str((await control.body(request))["userid"])))

    async def ask(self, request: Request) -> Response:
        """Somebody writes to the robot; body: ``text``, ``sender`` (a userId), ``msgtype``."""
        message = channel.asked(await control.body(request), str(self.settings["robot_code"]), int(self.now() * 1000))
        if url := self.settings["push_url"]:
            self.push(
                url, compose=lambda _number: callbacks.asked(url, self.settings, message, self.now()), label="robot"
            )
        else:
            self.channel.callback(channel.ROBOT, message)
        return control.answer(self.corp.listen(message))

    async def stream_says(self, request: Request) -> Response:
        """``ping``, ``disconnect`` (every socket is closed soon after) or ``cut`` (at once)."""
        if (topic := request.path_params["topic"]) == "cut":
            return control.answer({"cut": await self.channel.close()})
        if topic not in ("ping", "disconnect"):
            raise ValueError(f"no '{topic}'; there are ping, disconnect, cut")
        await self.channel.system(topic, {"opaque": secrets.token_hex(8)})
        return control.answer({"said": topic})

    async def expire(self, _request: Request) -> Response:
        self.tokens = dict.fromkeys(self.tokens, 0.0)
        return control.answer({"expired": len(self.tokens)})

    async def check(self, _request: Request) -> Response:
        self.check_url()
        return control.answer({"checking": self.settings["push_url"]})
