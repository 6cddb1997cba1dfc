"""The simulated tenant: people, chats, messages. No HTTP here.

Every call takes the path's parameters, the query and the JSON body, and gives the answer's ``data`` (or, where the
platform does so, the whole answer), or raises Refusal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from connectors.core import jsontext
from connectors.simulator import world

Body = dict[str, Any]
Texts = Mapping[str, str]

DEPARTMENTS = {"od-service": "客服部", "od-finance": "财务部", "od-store": "仓储部"}
CHATS = {"oc_group01": "售后群", "oc_group02": "仓库群"}
KINDS = ("text", "post", "interactive", "image", "file", "share_chat", "share_user")
REMEMBERED = 3600
"""Seconds in which a message's uuid is recognised."""


class Refusal(Exception):
    """A call the platform refuses: ``code`` in the body, ``status`` of the answer."""

    def __init__(self, code: int, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.code, self.words, self.status = code, words, status


def digest_of(*parts: Any) -> str:
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def bot_sign(secret: str, timestamp: str) -> str:
    """The group bot's signature, written out here on purpose and not shared with the client."""
    key = (timestamp + "\n" + secret).encode()
    return base64.b64encode(hmac.new(key, digestmod=hashlib.sha256).digest()).decode()


class Tenant:
    """State and rules. ``commit(kind, key, data)`` journals an effect at the moment it becomes final."""

    def __init__(
        self,
        people: world.World,
        settings: Mapping[str, Any],
        now: Callable[[], float],
        commit: Callable[..., Any],
    ) -> None:
        self.settings, self.now, self.commit = settings, now, commit
        self.members = {f"ou_{one.ids['staff.userid']}": one for one in people.staff}
        self.delivered: list[Body] = []
        self.uuids: dict[str, tuple[float, Body]] = {}
        self.cards: dict[str, Body] = {}
        """Message id -> what was delivered, for messages that are cards."""
        self.bot_calls: deque[float] = deque()

    def read(self, receiver: str | None = None, after: int = 0) -> list[Body]:
        """Delivered messages of one receiver (or all) with a sequence number above ``after``."""
        return [one for one in self.delivered if one["seq"] > after and receiver in (None, one["receiver"])]

    def member(self, kind: str, value: str) -> str | None:
        """The open_id of whom an id of some kind means."""
        for open_id, one in self.members.items():
            known = {
                "open_id": open_id,
                "user_id": one.ids["staff.userid"],
                "union_id": f"on_{one.ids['staff.userid']}",
                "email": one.email,
                "mobile": one.phone,
            }
            if known.get(kind) == value:
                return open_id
        return None

    def bot(self, _path: Texts, _query: Texts, _body: Body) -> Body:
        """bot/v3/info: ``bot`` stands beside ``code``, there is no ``data``."""
        return {"bot": {"activate_status": 2, "app_name": "枢纽", "open_id": "ou_bot", "ip_white_list": []}}

    # Messages.

    def send(self, _path: Texts, query: Texts, body: Body) -> Body:
        kind, wanted = query.get("receive_id_type", ""), str(body.get("receive_id") or "")
        if kind not in ("open_id", "user_id", "union_id", "email", "chat_id"):
            raise Refusal(99992402, "field validation failed: receive_id_type")
        receiver = (wanted if wanted in CHATS else None) if kind == "chat_id" else self.member(kind, wanted)
        if receiver is None and kind == "chat_id":
            raise Refusal(230002, "Bot/User can NOT be out of the chat.")
        if receiver is None or receiver in self.settings["unavailable"]:
            raise Refusal(230013, "Bot has NO availability to this user.")
        return self._keep(receiver, body)

    def reply(self, path: Texts, _query: Texts, body: Body) -> Body:
        if path["message_id"] not in self.settings["asked"]:
            raise Refusal(230011, "The message was withdrawn or does not exist.")
        return self._keep("oc_group01", body, path["message_id"])

    def _keep(self, receiver: str, body: Body, parent: str = "") -> Body:
        """Deliver once per uuid within an hour; a repeat gives the first message back."""
        kind, content = body.get("msg_type"), body.get("content")
        if kind not in KINDS or not isinstance(content, str):
            raise Refusal(230001, "Your request contains an invalid request parameter, ext=content is not a string.")
        try:
            said = jsontext.loads(content)
        except jsontext.JsonError:
            raise Refusal(230001, "Your request contains an invalid request parameter, ext=invalid json.") from None
        if not isinstance(said, dict) or (kind == "text" and not said.get("text")):
            raise Refusal(230001, "Your request contains an invalid request parameter, ext=text is empty.")
        if len(content.encode()) > (150_000 if kind == "text" else 30_000):
            raise Refusal(230025, "The length of the message content reaches its limit.")
        uuid = str(body.get("uuid") or "")
        if len(uuid) > 50:
            raise Refusal(99992402, "field validation failed: uuid")
        known = self.uuids.get(uuid)
        if uuid and known and self.now() - known[0] < REMEMBERED:
            return known[1]
        at = str(int(self.now() * 1000))
        message = {
            "message_id": f"om_{secrets.token_hex(16)}",
            "root_id": parent,
            "parent_id": parent,
            "msg_type": kind,
            "create_time": at,
            "update_time": at,
            "deleted": False,
            "updated": False,
            "chat_id": receiver if receiver in CHATS else f"oc_p2p{receiver[3:]}",
            "sender": {"id": self.settings["app_id"], "id_type": "app_id", "sender_type": "app"},
            "body": {"content": content},
        }
        if uuid:
            self.uuids[uuid] = (self.now(), message)
        kept = {"seq": len(self.delivered) + 1, "receiver": receiver, "kind": kind, "message": said, "parent": parent}
        self.delivered.append(kept)
        if kind == "interactive":
            self.cards[message["message_id"]] = kept
        self.commit("message", uuid or digest_of(receiver, said), kept)
        return message

    def update(self, path: Texts, _query: Texts, body: Body) -> Body:
        """Another card in the place of one of the bot's own."""
        kept = self.cards.get(path["message_id"])
        if kept is None:
            raise Refusal(230011, "The message was withdrawn or does not exist.")
        try:
            said = jsontext.loads(str(body.get("content") or ""))
        except jsontext.JsonError:
            said = None
        if not isinstance(said, dict) or not said.get("elements"):
            raise Refusal(230099, "Failed to create card content, ext=invalid json.")
        if said != kept["message"]:
            kept["message"] = said
            self.commit("card", f"{path['message_id']}:{digest_of(said)}", said)
        return {}

    def click(self, message: str, userid: str, key: str) -> Body:
        """Somebody taps a button of a card: the event's own members. Raises LookupError, ValueError."""
        kept = self.cards[message]
        parts = [one for one in kept["message"]["elements"] if one.get("tag") == "action"]
        values = [button.get("value") for one in parts for button in one["actions"]]
        if {"key": key} not in values:
            raise ValueError(f"no button '{key}'")
        chat = kept["receiver"] if kept["receiver"] in CHATS else f"oc_p2p{kept['receiver'][3:]}"
        return {
            "operator": {"open_id": f"ou_{userid}", "user_id": userid, "union_id": f"on_{userid}"},
            "token": f"c-{secrets.token_hex(16)}",
            "action": {"tag": "button", "value": {"key": key}},
            "context": {"open_message_id": message, "open_chat_id": chat},
        }

    def group_bot(self, path: Texts, _query: Texts, body: Body) -> Body:
        """The custom bot of a group: known by its address, proven by its signature, kept slow."""
        if path["hook"] != self.settings["bot_hook"]:
            raise Refusal(19001, "param invalid: incoming webhook access token invalid", 200)
        if self.settings["bot_secret"]:
            stamp = str(body.get("timestamp") or "")
            right = stamp.isdigit() and abs(self.now() - int(stamp)) <= 3600
            told = str(body.get("sign") or "").encode()
            if not right or not hmac.compare_digest(told, bot_sign(self.settings["bot_secret"], stamp).encode()):
                raise Refusal(19021, "sign match fail or timestamp is not within one hour from current time", 200)
        while self.bot_calls and self.bot_calls[0] <= self.now() - 60:
            self.bot_calls.popleft()
        if len(self.bot_calls) >= int(self.settings["bot_per_minute"]):
            raise Refusal(11232, "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]", 200)
        kind = body.get("msg_type")
        content = body.get("card" if kind == "interactive" else "content")
        if kind not in ("text", "post", "interactive", "image", "share_chat") or not isinstance(content, dict):
            raise Refusal(9499, "Bad Request", 400)
        if self.settings["bot_keyword"] and self.settings["bot_keyword"] not in json.dumps(content, ensure_ascii=False):
            raise Refusal(19024, "Key Words Not Found", 200)
        self.bot_calls.append(self.now())
        kept = {"seq": len(self.delivered) + 1, "receiver": "bot", "kind": kind, "message": content, "parent": ""}
        self.delivered.append(kept)
        self.commit("group_message", digest_of(content), kept)
        return {"StatusCode": 0, "StatusMessage": "success", "data": {}}

    # The directory.

    def find(self, _path: Texts, query: Texts, body: Body) -> Body:
        kind, rows = query.get("user_id_type", "open_id"), []
        for name, given in (("mobile", body.get("mobiles")), ("email", body.get("emails"))):
            for value in given or []:
                open_id = self.member(name, str(value))
                # Whom nobody knows comes back without an id.
                rows.append({name: value, **({"user_id": self._shown(open_id, kind)} if open_id else {})})
        if len(rows) > 100 or not rows:
            raise Refusal(99992402, "field validation failed: mobiles, emails")
        return {"user_list": rows}

    def _shown(self, open_id: str, kind: str) -> str:
        userid = self.members[open_id].ids["staff.userid"]
        return {"open_id": open_id, "user_id": userid, "union_id": f"on_{userid}"}[kind]

    def user(self, path: Texts, query: Texts, _body: Body) -> Body:
        open_id = self.member(query.get("user_id_type", "open_id"), path["user_id"])
        if open_id is None:
            raise Refusal(99992351, "not a valid {user_id}")
        one = self.members[open_id]
        shown = {"open_id": open_id, "union_id": f"on_{one.ids['staff.userid']}", "user_id": one.ids["staff.userid"]}
        return {"user": {**shown, "name": one.name, "department_ids": ["od-service"], "status": {"is_activated": True}}}

    def departments(self, path: Texts, query: Texts, _body: Body) -> Body:
        if path["department_id"] != "0":
            raise Refusal(99992351, "not a valid {department_id}")
        size = min(int(query.get("page_size") or 10), 50, int(self.settings["page_size"]))
        rows = [
            {"open_department_id": key, "name": name, "parent_department_id": "0"} for key, name in DEPARTMENTS.items()
        ]
        return page(rows, size, query.get("page_token") or "", "items")


def page(rows: list[Any], size: int, token: str, name: str) -> Body:
    """One page of ``rows``; ``page_token`` only while there is more. Raises Refusal for a token nobody gave."""
    begin = int(token, 36) if token.isalnum() else 0
    if begin >= max(len(rows), 1):
        raise Refusal(99992402, "field validation failed: page_token")
    more = begin + size < len(rows)
    return {
        name: rows[begin : begin + size],
        "has_more": more,
        **({"page_token": _base36(begin + size)} if more else {}),
    }


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    out = ""
    while number:
        number, rest = divmod(number, 36)
        out = digits[rest] + out
    return out or "0"
