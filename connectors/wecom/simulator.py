"""A corp on a simulated WeCom: tokens per application, messages, robots, customers and encrypted callbacks.

Controls under ``/_sim/wecom``: ``GET messages?receiver=&after=`` (what people received),
``POST contacts/{external_userid}/add|edit|del`` (a customer or member acts; pushes the event),
``POST approvals`` (an approval form changes its state), ``POST groups`` (a customer group is made or changed),
``POST cards`` (a template card reaches people), ``POST cards/{task}/click`` (one of them taps a button; pushes the
event), ``POST mass/{msgid}/confirm`` (a member sends a mass message), ``POST scan`` (somebody signs in to a site),
``POST tokens/expire``, ``POST check`` (URL check).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.core import jsontext
from connectors.simulator import control, engine
from connectors.wecom.simulated import callbacks, corp, media, messages

TEMPLATE = "3TkTESTtemplate0000000000000000000000000001"


class Simulator(engine.Simulator):
    """See the module; ``settings`` are the credentials of the one application and the hub's callback."""

    id = "wecom"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "corp_id": "ww1234567890abcdef",
        "agent_id": 1000002,
        "app_secret": "wecom-app-secret",
        "robot_key": "wecom-robot-key",
        "token": "QDG6eK",
        "encoding_aes_key": "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
        "push_url": "",
        "token_lifetime": 7200,
        "trusted_ips": [],
        "unlicensed": [],
        "member_per_minute": 0,
        "robot_per_minute": 20,
        "staff_confirms": True,
        "mass_refuses": True,
        "page_size": 1000,
        "approval_templates": {
            TEMPLATE: {
                "Text-1700000000001": ["Text", "订单号"],
                "Money-1700000000002": ["Money", "退款金额"],
                "Textarea-1700000000003": ["Textarea", "原因"],
            }
        },
    }
    # Three attempts in all; the spacing is not published.
    PUSH_RETRIES = (10, 30)

    def seed(self) -> None:
        self.tokens: dict[str, float] = {}
        self.echo = ""
        self.corp = corp.Corp(self.world, self.settings, self.now, self.commit)

    def snapshot(self) -> Any:
        return {
            "contacts": len(self.corp.contacts.found),
            "messages": len(self.corp.messages.delivered),
            "tokens": len(self.tokens),
            "approvals": self.corp.approvals.found,
            "mass": {key: len(one["confirmed"]) for key, one in self.corp.mass.tasks.items()},
        }

    def configure(self, settings: dict[str, Any]) -> None:
        """Saving a new callback address checks it, as the admin console does."""
        super().configure(settings)
        if settings.get("push_url"):
            self.check_url()

    # Callbacks.

    def check_url(self) -> None:
        """The GET with ``echostr``; its answer must be exactly the plaintext."""
        self.echo = str(secrets.randbelow(10**19))
        params = callbacks.check(self.settings, self.echo, self.now())
        self.push(self.settings["push_url"], params=params, method="GET", label="url_check", retries=(), timeout=1)

    def announce(self, event: dict[str, Any]) -> None:
        """Push one event, encrypted anew for each of the three attempts."""
        head = {
            "ToUserName": self.settings["corp_id"],
            "FromUserName": "sys",
            "CreateTime": int(self.now()),
            "MsgType": "event",
        }
        plaintext = callbacks.xml({**head, **event})
        url = self.settings["push_url"]
        self.push(
            url,
            compose=lambda _number: callbacks.post(url, self.settings, plaintext, self.now()),
            label=event.get("ChangeType") or event["Event"],
        )

    def acknowledged(self, response: httpx.Response) -> bool:
        if response.request.method == "GET":
            return response.status_code == 200 and response.text == self.echo
        return response.status_code == 200 and response.text in ("", "success")

    # Answers.

    def refused(self, code: int, words: str, request: Request) -> Response:
        """The envelope of every failure: HTTP 200, errcode, and where to look it up."""
        trace = f"{int(self.now())}{secrets.randbelow(10**15):015d}"
        address = request.client.host if request.client else "127.0.0.1"
        more = f"https://open.work.weixin.qq.com/devtool/query?e={code}"
        text = f"{words}, hint: [{trace}], from ip: {address}, more info at {more}"
        return JSONResponse({"errcode": code, "errmsg": text})

    def throttled(self, request: Request) -> Response:
        return self.refused(45009, "api freq out of limit", request)

    def banned(self, request: Request) -> Response:
        return self.refused(45009, "reach max api daily quota limit", request)

    def broken(self, request: Request) -> Response:
        return self.refused(-1, "system busy", request)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/cgi-bin/gettoken", self.gettoken, methods=["GET"]),
            *(Route(f"/cgi-bin/{path}", self.endpoint(path), methods=[how]) for path, (how, _) in corp.CALLS.items()),
        ]

    def endpoint(self, path: str) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """One API path: trusted address, token, JSON body (whatever its content type), then the call itself."""
        _, call = corp.CALLS[path]

        async def answer(request: Request) -> Response:
            try:
                self.trusted(request)
                # A group robot is known by its key alone.
                if path != "webhook/send":
                    self.authorised(request.query_params.get("access_token", ""))
                raw = await request.body()
                kind = request.headers.get("content-type", "")
                body: Any = (media.part(kind, raw) if path == "media/upload" else jsontext.loads(raw)) if raw else {}
                if not isinstance(body, dict):
                    raise messages.Refusal(47001, "data format error")
                given = call(self.corp, body, request.query_params)
                self.tell_submitted()
                return control.answer({"errcode": 0, "errmsg": "ok", **given})
            except messages.Refusal as refusal:
                return self.refused(refusal.code, refusal.words, request)
            except jsontext.JsonError:
                return self.refused(47001, "data format error", request)

        return answer

    def trusted(self, request: Request) -> None:
        allowed = self.settings["trusted_ips"]
        if allowed and (request.client is None or request.client.host not in allowed):
            raise messages.Refusal(60020, "not allow to access from your ip")

    def authorised(self, token: str) -> None:
        if not token:
            raise messages.Refusal(41001, "access_token missing")
        expires = self.tokens.get(token)
        if expires is None:
            raise messages.Refusal(40014, "invalid access_token")
        if expires <= self.now():
            raise messages.Refusal(42001, "access_token expired")

    async def gettoken(self, request: Request) -> Response:
        query = request.query_params
        try:
            self.trusted(request)
        except messages.Refusal as refusal:
            return self.refused(refusal.code, refusal.words, request)
        if query.get("corpid") != self.settings["corp_id"]:
            return self.refused(40013, "invalid corpid", request)
        if query.get("corpsecret") != self.settings["app_secret"]:
            return self.refused(40001, "invalid credential", request)
        living = {token: until for token, until in self.tokens.items() if until > self.now()}
        # Asking again inside the window gives the same token.
        if not living:
            living = {f"wecom{secrets.token_urlsafe(24)}": self.now() + float(self.settings["token_lifetime"])}
            self.tokens |= living
        token, until = next(iter(living.items()))
        return control.answer(
            {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": int(until - self.now())}
        )

    # What people over there do.

    def controls(self) -> list[BaseRoute]:
        return [
            Route("/messages", self.inbox, methods=["GET"]),
            Route("/contacts/{external}", self.contact, methods=["GET"]),
            Route("/contacts/{external}/{action}", control.guarded(self.change_contact), methods=["POST"]),
            Route("/approvals", control.guarded(self.change_approval), methods=["POST"]),
            Route("/cards", control.guarded(self.show_card), methods=["POST"]),
            Route("/cards/{task}/click", control.guarded(self.click_card), methods=["POST"]),
            Route("/mass/{msgid}/confirm", control.guarded(self.confirm_mass), methods=["POST"]),
            Route("/groups", control.guarded(self.make_group), methods=["POST"]),
            Route("/scan", control.guarded(self.scan), methods=["POST"]),
            Route("/tokens/expire", self.expire, methods=["POST"]),
            Route("/check", self.check, methods=["POST"]),
        ]

    async def inbox(self, request: Request) -> Response:
        query = request.query_params
        return control.answer(
            {"messages": self.corp.messages.read(query.get("receiver"), int(query.get("after", "0")))}
        )

    async def contact(self, request: Request) -> Response:
        found = self.corp.contacts.get(request.path_params["external"])
        return control.answer(found if found is not None else {"error": "no such contact"}, 200 if found else 404)

    async def change_contact(self, request: Request) -> Response:
        """``add`` (userid, state, half, welcome), ``edit`` (userid, follow fields), ``del``, ``leave``, ``audit``."""
        external, action = request.path_params["external"], request.path_params["action"]
        given = await control.body(request)
        known = self.corp.contacts.get(external)
        if action == "audit":
            return control.answer(self.consent(external, given))
        userid = str(given.get("userid") or (known["follow_user"][0]["userid"] if known else "sales01"))
        event: dict[str, Any] = {
            "Event": "change_external_contact",
            "ChangeType": "",
            "UserID": userid,
            "ExternalUserID": external,
        }
        if action == "add":
            self.corp.contacts.add(external, userid, str(given.get("state", "")), int(self.now()))
            event["ChangeType"] = "add_half_external_contact" if given.get("half") else "add_external_contact"
            event["State"] = str(given.get("state", ""))
            if given.get("welcome", True):
                event["WelcomeCode"] = self.corp.welcome_code(external)
        elif action == "edit":
            follow = self.corp.relation({"external_userid": external, "userid": userid})
            follow.update({key: value for key, value in given.items() if key != "userid"})
            event["ChangeType"] = "edit_external_contact"
        elif action in ("del", "leave"):
            if not self.corp.contacts.drop(external, userid):
                raise ValueError(f"{userid} does not follow {external}")
            event["ChangeType"] = "del_external_contact" if action == "del" else "del_follow_user"
        else:
            raise ValueError(f"no action '{action}'; there are add, edit, del, leave")
        self.announce(event)
        return control.answer(event)

    def consent(self, external: str, given: dict[str, Any]) -> dict[str, Any]:
        """A customer agrees to the archive of chats; the event may carry a welcome code as well."""
        event = {
            "Event": "change_external_contact",
            "ChangeType": "msg_audit_approved",
            "UserID": str(given.get("userid") or self.corp.contacts.found[external]["follow_user"][0]["userid"]),
            "ExternalUserID": external,
            "WelcomeCode": self.corp.welcome_code(external),
        }
        self.announce(event)
        return event

    async def change_approval(self, request: Request) -> Response:
        """Body: an approval as oa/getapprovaldetail shows it (at least sp_no and sp_status); pushes the change."""
        given = await control.body(request)
        number = str(given["sp_no"])
        found = self.corp.approvals.found.setdefault(number, {"sp_no": number, "apply_time": int(self.now())})
        found.update({**given, "sp_no": number})
        self.tell_approval(number)
        return control.answer(found)

    def tell_submitted(self) -> None:
        """Forms handed in by the API are told about like any other."""
        waiting, self.corp.approvals.submitted = self.corp.approvals.submitted, []
        for number in waiting:
            self.tell_approval(number)

    def tell_approval(self, number: str) -> None:
        found = self.corp.approvals.found[number]
        applyer = found.get("applyer") or {}
        info = {
            "SpNo": number,
            "SpNoStr": number,
            "SpName": found.get("sp_name", ""),
            "SpStatus": found.get("sp_status", 1),
            "TemplateId": found.get("template_id", ""),
            "ApplyTime": found["apply_time"],
            "Applyer": {"UserId": applyer.get("userid", ""), "Party": applyer.get("partyid", "1")},
            "StatuChangeEvent": found.get("sp_status", 1),
        }
        self.announce({"Event": "sys_approval_change", "AgentID": 3010040, "ApprovalInfo": info})

    async def show_card(self, request: Request) -> Response:
        """A card with buttons reaches people; body: ``task_id``, ``userids``, ``buttons`` (their keys)."""
        given = await control.body(request)
        buttons = [{"text": str(key), "key": str(key)} for key in given["buttons"]]
        card = {"card_type": "button_interaction", "button_list": buttons}
        code = self.corp.cards.show(str(given["task_id"]), [str(one) for one in given["userids"]], card)
        return control.answer({"response_code": code})

    async def click_card(self, request: Request) -> Response:
        """A member taps a button of a template card; body: ``userid``, ``key`` (the button's)."""
        given = await control.body(request)
        event = self.corp.cards.click(request.path_params["task"], str(given["userid"]), str(given["key"]))
        self.announce(event)
        return control.answer(event)

    async def confirm_mass(self, request: Request) -> Response:
        """A member taps "send" on a mass message; body: ``userid``."""
        userid = str((await control.body(request))["userid"])
        return control.answer({"reached": self.corp.mass.confirm(request.path_params["msgid"], userid)})

    async def make_group(self, request: Request) -> Response:
        """Body: a group as groupchat/get shows it; pushes that it was made or changed."""
        given = await control.body(request)
        chat = str(given["chat_id"])
        kind = "update" if chat in self.corp.groups else "create"
        self.corp.groups[chat] = given
        event: dict[str, Any] = {"Event": "change_external_chat", "ChatId": chat, "ChangeType": kind}
        if kind == "update":
            event |= {"UpdateDetail": "change_name", "CurMemVer": secrets.token_hex(16)}
        self.announce(event)
        return control.answer(given)

    async def scan(self, request: Request) -> Response:
        """Body: ``userid`` of who scans the code of the sign-in page; answers with what comes back to the site."""
        return control.answer({"code": self.corp.scan(str((await control.body(request))["userid"]))})

    async def expire(self, _request: Request) -> Response:
        """End every token early, as the platform may."""
        self.tokens = dict.fromkeys(self.tokens, 0.0)
        return control.answer({"expired": len(self.tokens)})

    async def check(self, _request: Request) -> Response:
        self.check_url()
        return control.answer({"checking": self.settings["push_url"]})
