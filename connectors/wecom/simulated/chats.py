"""The simulated group chats of the application (appchat): made by it, written into by it. State only, no HTTP.

Every call takes the JSON body and the query and gives the answer without errcode, or raises messages.Refusal.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from connectors.wecom.simulated import messages

Body = dict[str, Any]
Query = Mapping[str, str]

OWN_ID = re.compile(r"[0-9A-Za-z]{1,32}")
NAME = 50
"""Characters of a group's name; the rest is cut."""
MEMBERS = (2, 500)


class Chats:
    """Groups by chatid, as appchat/get shows them; ``told`` is where delivered messages go."""

    def __init__(
        self,
        now: Callable[[], float],
        commit: Callable[..., Any],
        told: messages.Messages,
        members: Mapping[str, Any],
    ) -> None:
        self.now, self.commit, self.told, self.members = now, commit, told, members
        self.found: dict[str, Body] = {}

    def create(self, body: Body, _query: Query) -> Body:
        """A group of at least two members; a chatid of one's own can be used once."""
        chat = str(body.get("chatid") or "") or f"wr{secrets.token_hex(15)}"
        users = list(dict.fromkeys(str(one) for one in body.get("userlist") or []))
        if not OWN_ID.fullmatch(chat):
            raise messages.Refusal(86001, "invalid chatid")
        if chat in self.found:
            raise messages.Refusal(86215, "chatid existed")
        if not MEMBERS[0] <= len(users) <= MEMBERS[1]:
            raise messages.Refusal(86006, "invalid userlist size")
        if any(one.lower() not in self.members for one in users):
            raise messages.Refusal(86007, "invalid userlist")
        owner = str(body.get("owner") or users[0])
        if owner not in users:
            raise messages.Refusal(86207, "owner not in userlist")
        self.found[chat] = {
            "chatid": chat,
            "name": str(body.get("name") or "")[:NAME],
            "owner": owner,
            "userlist": users,
        }
        self.commit("appchat", chat, self.found[chat])
        return {"chatid": chat}

    def _chat(self, chat: str) -> Body:
        found = self.found.get(chat)
        if found is None:
            raise messages.Refusal(86003, "chatid not exist")
        return found

    def get(self, _body: Body, query: Query) -> Body:
        return {"chat_info": self._chat(query.get("chatid", ""))}

    def send(self, body: Body, _query: Query) -> Body:
        """Into a group that the application made; every call is a message of its own."""
        found = self._chat(str(body.get("chatid") or ""))
        digest = messages.checked(body)
        kept = self.told.keep(found["chatid"], "appchat", body, self.now())
        self.commit("group_message", f"{found['chatid']}:{digest}", kept)
        return {}
