"""The simulated mass messages (群发): tasks that a member must confirm by hand, and what became of them.

Every call takes the JSON body and the query and gives the answer without errcode, or raises messages.Refusal.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from connectors.wecom.simulated import contacts, messages

Body = dict[str, Any]
Query = Mapping[str, str]

MONTHLY = 4
"""Mass messages a customer receives in a month, all members together."""
SENT, STRANGER, ENOUGH = 1, 2, 3
"""What became of one receiver: reached, no friend (any more), has had enough of them."""


class Mass:
    """Tasks by ``msgid``; ``told`` is where delivered messages go."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        now: Callable[[], float],
        commit: Callable[..., Any],
        told: messages.Messages,
        people: contacts.Contacts,
        groups: Mapping[str, Body],
    ) -> None:
        self.settings, self.now, self.commit, self.told = settings, now, commit, told
        self.people, self.groups = people, groups
        self.tasks: dict[str, Body] = {}
        self.received: dict[str, int] = {}

    def create(self, body: Body, _query: Query) -> Body:
        """add_msg_template: a task per member; customers get it when the member confirms."""
        text = body.get("text") or {}
        if not text.get("content") and not body.get("attachments"):
            raise messages.Refusal(44004, "empty content")
        kind = str(body.get("chat_type") or "single")
        wanted = [str(one) for one in body.get("chat_id_list" if kind == "group" else "external_userid") or []]
        if not wanted or (kind == "group" and not body.get("sender")):
            raise messages.Refusal(40058, "external_userid or sender missing")
        owners = {one: self._owner(kind, one, body.get("sender")) for one in dict.fromkeys(wanted)}
        failed = [one for one, owner in owners.items() if owner is None]
        if len(failed) == len(owners) and self.settings["mass_refuses"]:
            raise messages.Refusal(40096, "invalid external userid")
        if len(failed) == len(owners):
            return {"fail_list": failed, "msgid": ""}
        msgid = f"msg{secrets.token_hex(16)}"
        self.tasks[msgid] = {
            "msgid": msgid,
            "kind": kind,
            "creator": str(body.get("sender") or ""),
            "create_time": int(self.now()),
            "text": text,
            "digest": messages.digest_of(text, body.get("attachments")),
            "owners": {one: owner for one, owner in owners.items() if owner is not None},
            "confirmed": {},
            "results": {},
        }
        if self.settings["staff_confirms"]:
            for userid in dict.fromkeys(self.tasks[msgid]["owners"].values()):
                self.confirm(msgid, userid)
        return {"fail_list": failed, "msgid": msgid}

    def _owner(self, kind: str, receiver: str, sender: Any) -> str | None:
        """The member through whom a receiver is reached."""
        if kind == "group":
            group = self.groups.get(receiver)
            owner = str(group.get("owner", "")) if group else ""
            return owner if owner == sender else None
        found = self.people.get(receiver)
        if found is None:
            return None
        followers = [str(one["userid"]) for one in found["follow_user"]]
        return str(sender) if sender in followers else (None if sender else followers[0])

    def confirm(self, msgid: str, userid: str) -> int:
        """The member taps "send"; how many it reached. Raises LookupError."""
        task, reached = self.tasks[msgid], 0
        if userid not in task["owners"].values():
            raise LookupError(f"{userid} has no part in {msgid}")
        task["confirmed"][userid] = int(self.now())
        for receiver, owner in task["owners"].items():
            if owner != userid or receiver in task["results"]:
                continue
            if task["kind"] == "single" and self.people.follow(receiver, userid) is None:
                status = STRANGER
            elif task["kind"] == "single" and self.received.get(receiver, 0) >= MONTHLY:
                status = ENOUGH
            else:
                status, reached = SENT, reached + 1
                self.received[receiver] = self.received.get(receiver, 0) + 1
                message = {"msgtype": "text", "text": task["text"]}
                kept = self.told.keep(receiver, "mass", message, self.now())
                self.commit("customer_message", f"{receiver}:{task['digest']}", kept)
            task["results"][receiver] = (status, int(self.now()))
        return reached

    def _task(self, body: Body) -> Body:
        found = self.tasks.get(str(body.get("msgid", "")))
        if found is None:
            raise messages.Refusal(40058, "invalid msgid")
        return found

    def progress(self, body: Body, _query: Query) -> Body:
        """get_groupmsg_task: who has confirmed (2) and who has not (0)."""
        task = self._task(body)
        rows = [
            {"userid": userid, "status": 2 if userid in task["confirmed"] else 0}
            | ({"send_time": task["confirmed"][userid]} if userid in task["confirmed"] else {})
            for userid in dict.fromkeys(task["owners"].values())
        ]
        return messages.page(rows, body, "task_list", int(self.settings["page_size"]))

    def results(self, body: Body, _query: Query) -> Body:
        """get_groupmsg_send_result: what became of one member's receivers."""
        task = self._task(body)
        name = "chat_id" if task["kind"] == "group" else "external_userid"
        rows = []
        for receiver, owner in task["owners"].items():
            if owner == body.get("userid"):
                status, at = task["results"].get(receiver, (0, 0))
                rows.append({name: receiver, "userid": owner, "status": status} | ({"send_time": at} if at else {}))
        return messages.page(rows, body, "send_list", int(self.settings["page_size"]))

    def listed(self, body: Body, _query: Query) -> Body:
        """get_groupmsg_list_v2: tasks created in a window of at most a month."""
        begin, end = int(body.get("start_time") or 0), int(body.get("end_time") or 0)
        if end - begin > 31 * 86400 or end < begin:
            raise messages.Refusal(40058, "invalid start_time or end_time")
        rows = [
            {"msgid": one["msgid"], "creator": one["creator"], "create_time": one["create_time"], "text": one["text"]}
            for one in self.tasks.values()
            if one["kind"] == str(body.get("chat_type") or "single") and begin <= one["create_time"] <= end
        ]
        return messages.page(rows, body, "group_msg_list", int(self.settings["page_size"]))
