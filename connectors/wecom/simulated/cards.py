"""The simulated template cards: sent with buttons, clicked by members, updated once per code. State only, no HTTP.

Every call takes the JSON body and the query and gives the answer without errcode, or raises messages.Refusal.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from connectors.wecom.simulated import messages

Body = dict[str, Any]
Query = Mapping[str, str]

LIVES = 72 * 3600
"""Seconds in which a code may update its card."""
RECALLABLE = 24 * 3600
"""Seconds in which a message may be recalled."""


class Cards:
    """Cards by task id, the codes that update them, and what was sent under which msgid."""

    def __init__(self, settings: Mapping[str, Any], now: Callable[[], float], commit: Callable[..., Any]) -> None:
        self.settings, self.now, self.commit = settings, now, commit
        self.found: dict[str, Body] = {}
        self.codes: dict[str, tuple[float, str]] = {}
        """Code -> until when, and the card's task id. A code that was used is gone."""
        self.sent: dict[str, tuple[float, list[Body]]] = {}
        """msgid -> when, and the copies that people got."""

    def sending(self, body: Body) -> str:
        """The task id of the card in a message, empty for one without buttons. Raises Refusal."""
        card = body.get("template_card") or {}
        if body["msgtype"] != "template_card" or card.get("card_type") not in (
            "button_interaction",
            "vote_interaction",
        ):
            return ""
        task, keys = str(card.get("task_id") or ""), [one.get("key") for one in card.get("button_list") or []]
        if not task or not (card.get("main_title") or {}).get("title"):
            raise messages.Refusal(40058, "task_id or main_title missing")
        if card["card_type"] == "button_interaction" and (not keys or not all(keys)):
            raise messages.Refusal(40058, "button_list missing")
        return task

    def show(self, task: str, receivers: Iterable[str], card: Body) -> str:
        """A card reaches people; gives the code with which it may be updated for all of them."""
        known = self.found.setdefault(task, {"receivers": [], "card": card, "shown": {}})
        known["receivers"] = list(dict.fromkeys([*known["receivers"], *receivers]))
        return self.code(task)

    def code(self, task: str) -> str:
        made = secrets.token_urlsafe(24)
        self.codes[made] = (self.now() + LIVES, task)
        return made

    def click(self, task: str, userid: str, key: str) -> Body:
        """A member taps a button: the event's own members. Raises LookupError, ValueError."""
        card = self.found[task]
        if userid not in card["receivers"]:
            raise ValueError(f"{userid} has no such card")
        if key not in [one.get("key") for one in card["card"].get("button_list") or []]:
            raise ValueError(f"no button '{key}'")
        return {
            "FromUserName": userid,
            "Event": "template_card_event",
            "EventKey": key,
            "TaskId": task,
            "CardType": card["card"]["card_type"],
            "ResponseCode": self.code(task),
            "AgentID": int(self.settings["agent_id"]),
        }

    def update(self, body: Body, _query: Query) -> Body:
        """update_template_card: the code works once and for 72 hours."""
        if str(body.get("agentid")) != str(self.settings["agent_id"]):
            raise messages.Refusal(40056, "invalid agentid")
        words = (body.get("button") or {}).get("replace_name")
        if not words and not body.get("template_card"):
            raise messages.Refusal(40058, "button and template_card are both missing")
        wanted = [str(one) for one in body.get("userids") or []]
        if not wanted and not body.get("atall"):
            raise messages.Refusal(82001, "userids is empty")
        until, task = self.codes.get(str(body.get("response_code") or ""), (0.0, ""))
        if until <= self.now():
            raise messages.Refusal(60140, "invalid response_code, expired or used")
        del self.codes[body["response_code"]]
        card = self.found[task]
        reached = card["receivers"] if body.get("atall") else [one for one in wanted if one in card["receivers"]]
        card["shown"] |= dict.fromkeys(reached, words or body.get("template_card"))
        self.commit(
            "card", f"{task}:{messages.digest_of(sorted(reached), body.get('button'), body.get('template_card'))}", body
        )
        return {"invaliduser": [one for one in wanted if one not in reached]}

    def remember(self, msgid: str, copies: list[Body]) -> None:
        self.sent[msgid] = (self.now(), copies)

    def recall(self, body: Body, _query: Query) -> Body:
        """message/recall: within 24 hours; a second time changes nothing."""
        msgid = str(body.get("msgid") or "")
        at, copies = self.sent.get(msgid, (0.0, []))
        if self.now() - at > RECALLABLE:
            raise messages.Refusal(40058, "invalid msgid")
        if any(not one.get("recalled") for one in copies):
            for one in copies:
                one["recalled"] = True
            self.commit("recall", msgid, {"receivers": [one["receiver"] for one in copies]})
        return {}
