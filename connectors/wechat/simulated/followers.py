"""The followers of the simulated Official Account and users of the mini program, and what they received."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from connectors.simulator import world
from connectors.wechat.simulated import gate

Body = dict[str, Any]
Query = Mapping[str, str]
TEMPLATES = {"TEMPLATE0001", "TEMPLATE0002"}
PAGE = 100
LIMITS = {"thing": 20, "character_string": 32, "phrase": 5, "name": 10, "letter": 32, "amount": 20}
"""Characters a keyword may hold, by the letters of its name."""
ACTIVE = 48 * 3600
"""Seconds after a user's own action in which the account may write back."""


def openid_of(person: world.Person) -> str:
    """The person's openid under this AppID: 28 characters, another than under any other AppID."""
    return "o" + hashlib.sha256(f"openid:{person.index}".encode()).hexdigest()[:27]


class Followers:
    """State only. ``commit`` journals a message that was really delivered."""

    def __init__(
        self, people: world.World, now: Callable[[], float], commit: Callable[[str, str, Any], object]
    ) -> None:
        self.now, self.commit = now, commit
        self.people = {openid_of(one): one for one in people.customers}
        self.gone: set[str] = set()
        self.since = int(now())
        self.acted: dict[str, float] = {}
        self.consents: dict[tuple[str, str], int] = {}
        self.sent: dict[str, tuple[float, int]] = {}
        self.inbox: list[Body] = []
        self.number = 200163836

    def user(self, openid: str) -> Body:
        person = self.people.get(openid)
        if person is None:
            raise gate.Refusal(40003, "invalid openid")
        if openid in self.gone:
            return {"subscribe": 0, "openid": openid, "tagid_list": []}
        return {
            "subscribe": 1,
            "openid": openid,
            "nickname": "",
            "sex": 0,
            "language": "zh_CN",
            "headimgurl": "",
            "subscribe_time": self.since,
            "unionid": person.ids["unionid"],
            "remark": "",
            "groupid": 0,
            "tagid_list": [],
            "subscribe_scene": "ADD_SCENE_QR_CODE",
            "qr_scene_str": "",
        }

    def get(self, _body: Body, query: Query) -> Body:
        return self.user(query.get("openid", ""))

    def batch(self, body: Body, _query: Query) -> Body:
        wanted = body.get("user_list") or []
        if not wanted or len(wanted) > 100:
            raise gate.Refusal(40097, "invalid args: user_list")
        return {"user_info_list": [self.user(str(one.get("openid"))) for one in wanted]}

    def rows(self, _body: Body, query: Query) -> Body:
        """Openids in order, after ``next_openid``; the answer after the last one has no ``data`` at all."""
        known = [one for one in self.people if one not in self.gone]
        after = query.get("next_openid", "")
        if after and after not in known:
            raise gate.Refusal(40003, "invalid openid")
        page = known[known.index(after) + 1 if after else 0 :][:PAGE]
        told: Body = {"total": len(known), "count": len(page), "next_openid": page[-1] if page else ""}
        return told | ({"data": {"openid": page}} if page else {})

    # Messages.

    def _receiver(self, body: Body) -> str:
        openid = str(body.get("touser", ""))
        if openid not in self.people:
            raise gate.Refusal(40003, "invalid openid")
        return openid

    def _filled(self, body: Body) -> None:
        if body.get("template_id") not in TEMPLATES:
            raise gate.Refusal(40037, "invalid template_id")
        data = body.get("data")
        if not isinstance(data, dict) or not data:
            raise gate.Refusal(47003, "argument invalid! data is empty")
        for name, one in data.items():
            value = one.get("value") if isinstance(one, dict) else None
            limit = LIMITS.get(re.sub(r"\d+$", "", name), 32)
            if not isinstance(value, str) or not value or len(value) > limit:
                raise gate.Refusal(47003, f"argument invalid! data.{name}.value is empty or too long")

    def _keep(self, kind: str, openid: str, body: Body) -> int:
        self.number += 1
        text = json.dumps(body, ensure_ascii=False, sort_keys=True)
        kept = {"kind": kind, "receiver": openid, "body": body, "at": self.now()}
        self.inbox.append(kept)
        self.commit(kind, f"{openid}:{hashlib.sha256(text.encode()).hexdigest()[:12]}", kept)
        return self.number

    def subscribe(self, body: Body, _query: Query) -> Body:
        """One consent, one message."""
        openid = self._receiver(body)
        self._filled(body)
        consent = (openid, str(body["template_id"]))
        if not self.consents.get(consent):
            raise gate.Refusal(43101, "user refuse to accept the msg")
        self.consents[consent] -= 1
        self._keep("subscribe_message", openid, body)
        return {}

    def template(self, body: Body, _query: Query) -> Body:
        """The same ``client_msg_id`` within ten minutes is the same message."""
        openid = self._receiver(body)
        self._filled(body)
        if openid in self.gone:
            raise gate.Refusal(43004, "require subscribe")
        mark = f"{openid}:{body.get('client_msg_id')}"
        before = self.sent.get(mark)
        if body.get("client_msg_id") and before and self.now() - before[0] < 600:
            return {"msgid": before[1]}
        self.sent[mark] = (self.now(), self.number + 1)
        return {"msgid": self._keep("template_message", openid, body)}

    def service(self, body: Body, _query: Query) -> Body:
        openid = self._receiver(body)
        if self.now() - self.acted.get(openid, -ACTIVE) >= ACTIVE:
            raise gate.Refusal(45015, "response out of time limit or subscription is canceled")
        if not (body.get("text") or {}).get("content"):
            raise gate.Refusal(44002, "empty post data")
        self._keep("service_message", openid, body)
        return {}
