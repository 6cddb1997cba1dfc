"""A simulated Weibo account: followers, private messages, signed pushes, the page on which it lets an app in.

Controls under ``/_sim/weibo``: ``POST people/{uid}/{follow|unfollow|say}`` (body: text) · ``POST token/expire`` ·
``POST check`` (the check of the push address).
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.core import jsontext
from connectors.simulator import consent, control, engine, push
from connectors.weibo import signer

ME = 1902538057
FIRST = 2489518277
ACTIVE = 48 * 3600
CODE = 600.0


class Simulator(engine.Simulator):
    """See the module; ``access_token`` is the one that people copy, ``token_lifetime`` that of an authorised one."""

    id = "weibo"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "app_key": "1234567890",
        "app_secret": "simulated-app-secret",
        "access_token": "2.00simulatedToken",
        "code": "",
        "redirect_uri": "",
        "token_lifetime": 2592000,
        "push_url": "",
        # What a question about somebody who does not follow is answered with: "shown" or "refused".
        "strangers": "shown",
    }
    # Three attempts in all.
    PUSH_RETRIES = (5, 5)

    def seed(self) -> None:
        self.expired = False
        self.tokens: dict[str, float] = {}
        self.codes = consent.Codes(self.now, CODE)
        self.sent_to: dict[str, str] = {}
        self._agreed()
        self.echo = ""
        self.followers: set[int] = set()
        self.acted: dict[int, float] = {}
        self.people = {FIRST + one.index: one for one in self.world.customers}

    def configure(self, settings: dict[str, Any]) -> None:
        super().configure(settings)
        if "code" in settings:
            self._agreed()

    def _agreed(self) -> None:
        code = str(self.settings["code"])
        if code:
            self.sent_to[self.codes.give(code)] = str(self.settings["redirect_uri"])

    def snapshot(self) -> Any:
        return {"followers": len(self.followers)}

    def refused(self, request: Request, code: int, words: str, status: int = 403) -> Response:
        """The code is text in some answers and a number in others."""
        path = request.url.path.partition("/weibo")[2]
        return JSONResponse({"request": path, "error_code": str(code), "error": words}, status)

    def throttled(self, request: Request) -> Response:
        return self.refused(request, 10023, "User requests out of rate limit!")

    def banned(self, request: Request) -> Response:
        return self.refused(request, 10022, "IP requests out of rate limit!")

    def broken(self, request: Request) -> Response:
        return self.refused(request, 10001, "System error!", 503)

    def acknowledged(self, response: httpx.Response) -> bool:
        wanted = self.echo if response.request.method == "GET" else ""
        return response.status_code == 200 and response.text == wanted

    def _proof(self) -> dict[str, str]:
        stamp, nonce = str(int(self.now() * 1000)), str(secrets.randbelow(10**8))
        signed = signer.push_signature(str(self.settings["app_secret"]), stamp, nonce)
        return {**signed, "timestamp": stamp, "nonce": nonce}

    def announce(self, sender: int, kind: str, text: str, data: dict[str, Any]) -> None:
        at = datetime.fromtimestamp(self.now(), UTC).astimezone(timezone(timedelta(hours=8)))
        when = at.strftime("%a %b %d %H:%M:%S %z %Y")
        head = {"type": kind, "receiver_id": ME, "sender_id": sender, "created_at": when}
        raw, url = jsontext.dumps({**head, "text": text, "data": data}), self.settings["push_url"]
        headers = {"content-type": "application/json"}
        self.push(url, compose=lambda _number: push.Post(url, raw, headers, self._proof()), label=kind)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/oauth2/authorize", self.consent, methods=["GET"]),
            Route("/oauth2/access_token", self.token, methods=["POST"]),
            Route("/oauth2/get_token_info", self.token_info, methods=["POST"]),
            Route("/2/eps/user/info.json", self.user, methods=["GET"]),
            Route("/2/messages/reply.json", self.reply, methods=["POST"]),
        ]

    async def consent(self, request: Request) -> Response:
        """The page on which the account lets an app in."""
        asked, agreed = consent.query(request), consent.decided(request)
        address = asked.get("redirect_uri", "")
        if (asked.get("client_id"), asked.get("response_type")) != (self.settings["app_key"], "code"):
            return consent.refused("invalid_client")
        if self.settings["redirect_uri"] and address != self.settings["redirect_uri"]:
            return consent.refused("redirect_uri_mismatch")
        if agreed is None:
            return consent.page(request, asked["client_id"])
        if not agreed:
            return consent.back(address, error="access_denied", error_code="21330", state=asked.get("state", ""))
        code = self.codes.give()
        self.sent_to[code] = address
        return consent.back(address, code=code, state=asked.get("state", ""))

    async def token(self, request: Request) -> Response:
        """A token for a code, once, and only with the address that the code was sent to."""
        given = {**request.query_params, **await _form(request)}
        if (given.get("client_id"), given.get("client_secret")) != (
            self.settings["app_key"],
            self.settings["app_secret"],
        ):
            return self.refused(request, 21324, "invalid_client", 401)
        if given.get("grant_type") != "authorization_code":
            return self.refused(request, 21328, "unsupported_grant_type", 400)
        code = given.get("code", "")
        if given.get("redirect_uri", "") != self.sent_to.get(code, ""):
            return self.refused(request, 21322, "redirect_uri_mismatch", 400)
        if not self.codes.take(code):
            return self.refused(request, 21325, "invalid_grant", 400)
        made, seconds = f"2.00{secrets.token_hex(12)}", int(self.settings["token_lifetime"])
        self.tokens[made] = self.now() + seconds
        # The newest page shows the seconds as text.
        told = {"access_token": made, "remind_in": str(seconds), "expires_in": str(seconds), "uid": str(ME)}
        return control.answer(told)

    def _problem(self, request: Request, token: str) -> Response | None:
        copied = token == self.settings["access_token"]
        if not copied and token not in self.tokens:
            return self.refused(request, 21332, "invalid_access_token")
        over = self.expired if copied else self.tokens[token] <= self.now()
        return self.refused(request, 21327, "expired_token") if over else None

    async def token_info(self, request: Request) -> Response:
        form = await _form(request)
        problem = self._problem(request, form.get("access_token", ""))
        left = int(self.tokens.get(form.get("access_token", ""), self.now() + 31536000) - self.now())
        told = {"uid": str(ME), "appkey": self.settings["app_key"], "expire_in": left}
        return problem or control.answer(told)

    async def user(self, request: Request) -> Response:
        problem = self._problem(request, request.query_params.get("access_token", ""))
        if problem:
            return problem
        uid = int(request.query_params.get("uid") or 0)
        if uid not in self.people:
            return self.refused(request, 20003, "User does not exists!", 400)
        known = int(uid in self.followers)
        if not known and self.settings["strangers"] == "refused":
            return self.refused(request, 28409, "the user is not a follower", 400)
        sex = 1 if self.people[uid].gender == "male" else 2
        told = {"subscribe": known, "follow": known, "uid": uid, "nickname": self.people[uid].nick, "sex": sex}
        return control.answer({**told, "province": "", "city": ""})

    async def reply(self, request: Request) -> Response:
        form = await _form(request)
        problem = self._problem(request, form.get("access_token", ""))
        if problem:
            return problem
        uid = int(form.get("receiver_id") or 0)
        if uid not in self.followers or self.now() - self.acted.get(uid, -ACTIVE) >= ACTIVE:
            return self.refused(request, 28406, "no right to send message to this user", 400)
        try:
            said = jsontext.loads(unquote(form["data"]))["text"]
        except (KeyError, TypeError, jsontext.JsonError):
            return self.refused(request, 10008, "Param error, see doc for more info.", 400)
        if not 0 < len(said) <= 300:
            return self.refused(request, 28407, "message content invalid", 400)
        self.commit("reply", f"{uid}:{said}", said)
        return control.answer({"result": True})

    def controls(self) -> list[BaseRoute]:
        return [
            Route("/people/{uid:int}/{what}", control.guarded(self.act), methods=["POST"]),
            Route("/token/expire", control.guarded(self.expire), methods=["POST"]),
            Route("/check", control.guarded(self.check), methods=["POST"]),
        ]

    async def act(self, request: Request) -> Response:
        uid, what = request.path_params["uid"], request.path_params["what"]
        self.acted[uid] = self.now()
        if what == "say":
            self.announce(uid, "text", str((await control.body(request)).get("text", "你好")), {})
        else:
            (self.followers.add if what == "follow" else self.followers.discard)(uid)
            self.announce(uid, "event", "关注事件消息", {"subtype": what})
        return control.answer({"uid": uid})

    async def expire(self, _request: Request) -> Response:
        self.expired = True
        self.tokens = dict.fromkeys(self.tokens, 0.0)
        return control.answer({"expired": True})

    async def check(self, _request: Request) -> Response:
        self.echo = secrets.token_hex(8)
        query = {**self._proof(), "echostr": self.echo}
        self.push(self.settings["push_url"], params=query, method="GET", label="check", retries=())
        return control.answer({"checking": True})


async def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
