"""The simulated corp itself: what each API call does to its messages. No HTTP here.

Every call takes the JSON body and the query and gives the answer's own part, or raises Refusal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.core import jsontext
from connectors.simulator import world

Body = dict[str, Any]
Query = Mapping[str, str]

CONVERSATIONS = {"cidsimulated01==": "售后群", "cidsimulated02==": "仓库群"}


class Refusal(Exception):
    """A call the platform refuses; ``code`` is an errcode (legacy host) or a name (new host, with ``status``)."""

    def __init__(self, code: int | str, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.status = status


def digest_of(*parts: Any) -> str:
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def sign(secret: str, timestamp: str) -> str:
    """The group robot's signature, written out here on purpose and not shared with the client."""
    text = f"{timestamp}\n{secret}".encode()
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


def _content(body: Body) -> Body:
    """The part of a robot's message that its kind names. Raises Refusal."""
    kind = str(body.get("msgtype", ""))
    content = body.get(kind)
    if kind not in ("text", "markdown", "link", "actionCard", "feedCard"):
        raise Refusal(400105, "unsupported msgtype")
    if not isinstance(content, dict) or not content:
        raise Refusal(40035, f"缺少参数 {kind}")
    return content


class Corp:
    """State and rules. ``commit(kind, key, data)`` journals an effect at the moment it becomes final."""

    def __init__(
        self,
        people: world.World,
        settings: Mapping[str, Any],
        now: Callable[[], float],
        commit: Callable[..., Any],
    ) -> None:
        self.settings = settings
        self.now = now
        self.commit = commit
        self.members = {person.ids["staff.userid"]: person for person in people.staff}
        self.delivered: list[Body] = []
        self.tasks: dict[int, Body] = {}
        self.recalled: set[int] = set()
        self.shown: set[tuple[str, str, str]] = set()
        """(day, user, content) of work notifications: the same content reaches a person once a day."""
        self.uuids: set[str] = set()
        self.sessions: dict[str, tuple[float, str]] = {}
        """Session of a message to the robot -> until when it may be answered, and where."""
        self.robot_calls: deque[float] = deque()
        self.robot_paused_until = 0.0

    def keep(self, receiver: str, kind: str, message: Any) -> Body:
        one = {"seq": len(self.delivered) + 1, "receiver": receiver, "kind": kind, "message": message, "at": self.now()}
        self.delivered.append(one)
        return one

    def read(self, receiver: str | None = None, after: int = 0) -> list[Body]:
        """Delivered messages of one receiver (or all) with a sequence number above ``after``."""
        return [one for one in self.delivered if one["seq"] > after and receiver in (None, one["receiver"])]

    # The custom group robot.

    def robot(self, body: Body, query: Query) -> Body:
        settings = self.settings
        if query.get("access_token") != settings["robot_access_token"]:
            raise Refusal(400101, "token is not exist")
        if settings["robot_secret"]:
            self._signed(query)
        self._pace()
        content = _content(body)
        text = json.dumps(content, ensure_ascii=False)
        if settings["robot_keyword"] and settings["robot_keyword"] not in text:
            raise Refusal(
                310000, "keywords not in content, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]"
            )
        uuid = body.get("msgUuid")
        if uuid and uuid in self.uuids:
            return {}
        if uuid:
            self.uuids.add(uuid)
        self.commit("group_message", uuid or digest_of(content), self.keep("robot", "robot", body))
        return {}

    def listen(self, message: Body) -> Body:
        """Remember where a message to the robot may be answered; gives it with its ``session``."""
        found = str(message["sessionWebhook"]).partition("session=")[2]
        self.sessions[found] = (message["sessionWebhookExpiredTime"] / 1000, message["conversationId"])
        return {**message, "session": found}

    def answer(self, body: Body, query: Query) -> Body:
        """sendBySession: no token and no signature, only the session; every call is a message of its own."""
        until, place = self.sessions.get(query.get("session", ""), (0.0, ""))
        if until <= self.now():
            raise Refusal(300001, "session 不存在或已过期")
        content = _content(body)
        self.commit("group_message", f"{place}:{digest_of(content)}", self.keep(place, "answer", content))
        return {}

    def _signed(self, query: Query) -> None:
        more = "more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]"
        timestamp, given = query.get("timestamp", ""), query.get("sign", "")
        if not timestamp.isdigit() or abs(self.now() - int(timestamp) / 1000) > 3600:
            raise Refusal(310000, f"invalid timestamp, {more}")
        if not hmac.compare_digest(given.encode(), sign(self.settings["robot_secret"], timestamp).encode()):
            raise Refusal(310000, f"sign not match, {more}")

    def _pace(self) -> None:
        """Twenty messages a minute; one more and the robot pauses for ten minutes."""
        now, limit = self.now(), int(self.settings["robot_per_minute"])
        while self.robot_calls and self.robot_calls[0] <= now - 60:
            self.robot_calls.popleft()
        if limit and len(self.robot_calls) >= limit and self.robot_paused_until <= now:
            self.robot_paused_until = now + 600
        if self.robot_paused_until > now:
            raise Refusal(410100, "发送速度太快而限流")
        self.robot_calls.append(now)

    # Work notifications and direct messages.

    def notice(self, body: Body, _query: Query) -> Body:
        """asyncsend_v2: accepted at once; what reached nobody shows only in getsendresult."""
        if str(body.get("agent_id")) != str(self.settings["agent_id"]):
            raise Refusal(400002, "无效的参数 agent_id")
        message = body.get("msg")
        if not isinstance(message, dict) or not isinstance(message.get(str(message.get("msgtype", ""))), dict):
            raise Refusal(400002, "无效的参数 msg")
        wanted = [one for one in str(body.get("userid_list") or "").split(",") if one]
        if body.get("to_all_user"):
            wanted = list(self.members)
        if not wanted and not body.get("dept_id_list"):
            raise Refusal(400002, "无效的参数 userid_list")
        if len(wanted) > 100 and not body.get("to_all_user"):
            raise Refusal(40035, "userid_list 最多 100 个")
        digest = digest_of(message)
        day = datetime.fromtimestamp(self.now() + 8 * 3600, UTC).strftime("%Y-%m-%d")
        result: Body = {
            "invalid_user_id_list": [one for one in wanted if one not in self.members],
            "forbidden_list": [],
            "failed_user_id_list": [],
            "read_user_id_list": [],
            "unread_user_id_list": [],
        }
        for userid in dict.fromkeys(wanted):
            if userid not in self.members:
                continue
            if (day, userid, digest) in self.shown:
                result["forbidden_list"].append({"code": "143106", "count": 1, "userid": userid})
                continue
            self.shown.add((day, userid, digest))
            result["unread_user_id_list"].append(userid)
            self.commit("message", f"{userid}:{digest}", self.keep(userid, "notice", message))
        task = 256271667526 + len(self.tasks)
        self.tasks[task] = result
        return {"task_id": task}

    def notice_result(self, body: Body, _query: Query) -> Body:
        found = self.tasks.get(int(body.get("task_id") or 0))
        if found is None:
            raise Refusal(400002, "无效的参数 task_id")
        return {"send_result": found}

    def notice_recall(self, body: Body, _query: Query) -> Body:
        """recall: a notification that is gone already stays so."""
        task = int(body.get("msg_task_id") or 0)
        if task not in self.tasks or str(body.get("agent_id")) != str(self.settings["agent_id"]):
            raise Refusal(400002, "无效的参数 msg_task_id")
        if task not in self.recalled:
            self.recalled.add(task)
            self.commit("recall", str(task), {"reached": self.tasks[task]["unread_user_id_list"]})
        return {}

    def group(self, body: Body, _query: Query) -> Body:
        """groupMessages/send: into one conversation that the robot is in."""
        self._robot(body)
        place = str(body.get("openConversationId") or "")
        if place not in CONVERSATIONS:
            raise Refusal("invalidParameter.openConversationId", "openConversationId 不存在")
        message = self._said(body)
        self.commit("group_message", f"{place}:{digest_of(message)}", self.keep(place, "group", message))
        return {"processQueryKey": secrets.token_hex(16)}

    def _robot(self, body: Body) -> None:
        if body.get("robotCode") != self.settings["robot_code"]:
            raise Refusal("invalidParameter.robotCode.notExsit", "robot 不存在")

    def _said(self, body: Body) -> Any:
        try:
            return jsontext.loads(str(body.get("msgParam", "")))
        except jsontext.JsonError:
            raise Refusal("invalidParameter.msgParam.invalid", "msgParam 不是合法的 JSON") from None

    def direct(self, body: Body, _query: Query) -> Body:
        """oToMessages/batchSend: invalid and flow-controlled people come back with HTTP 200."""
        self._robot(body)
        users = [str(one) for one in body.get("userIds") or []]
        if not users or len(users) > 20:
            raise Refusal("invalidParameter.userIds", "userIds 数量不合法")
        message = self._said(body)
        controlled = [one for one in users if one in self.settings["flow_controlled"]]
        invalid = [one for one in users if one not in self.members]
        digest = digest_of(body.get("msgKey"), message)
        for userid in dict.fromkeys(users):
            if userid not in controlled and userid not in invalid:
                self.commit("message", f"{userid}:{digest}", self.keep(userid, "direct", message))
        return {
            "processQueryKey": secrets.token_hex(16),
            "invalidStaffIdList": invalid,
            "flowControlledStaffIdList": controlled,
        }
