"""The simulated corp itself: what each API call does to its members, messages and approvals. No HTTP here.

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


def minute(at: float) -> str:
    """Times in approval details: no seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")


class Corp:
    """State and rules. ``commit(kind, key, data)`` journals an effect at the moment it becomes final."""

    def __init__(
        self,
        people: world.World,
        settings: Mapping[str, Any],
        now: Callable[[], float],
        commit: Callable[..., Any],
        announce: Callable[[Body], None],
    ) -> None:
        self.settings = settings
        self.now = now
        self.commit = commit
        self.announce = announce
        self.members = {person.ids["staff.userid"]: person for person in people.staff}
        self.delivered: list[Body] = []
        self.tasks: dict[int, Body] = {}
        self.shown: set[tuple[str, str, str]] = set()
        """(day, user, content) of work notifications: the same content reaches a person once a day."""
        self.uuids: set[str] = set()
        self.robot_calls: deque[float] = deque()
        self.robot_paused_until = 0.0
        self.approvals: dict[str, Body] = {}

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
        kind = str(body.get("msgtype", ""))
        content = body.get(kind)
        if kind not in ("text", "markdown", "link", "actionCard", "feedCard"):
            raise Refusal(400105, "unsupported msgtype")
        if not isinstance(content, dict) or not content:
            raise Refusal(40035, f"缺少参数 {kind}")
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

    def direct(self, body: Body, _query: Query) -> Body:
        """oToMessages/batchSend: invalid and flow-controlled people come back with HTTP 200."""
        if body.get("robotCode") != self.settings["robot_code"]:
            raise Refusal("invalidParameter.robotCode.notExsit", "robot 不存在")
        users = [str(one) for one in body.get("userIds") or []]
        if not users or len(users) > 20:
            raise Refusal("invalidParameter.userIds", "userIds 数量不合法")
        try:
            message = jsontext.loads(str(body.get("msgParam", "")))
        except jsontext.JsonError:
            raise Refusal("invalidParameter.msgParam.invalid", "msgParam 不是合法的 JSON") from None
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

    # Approvals.

    def start(self, body: Body, _query: Query) -> Body:
        """A new instance for every call: there is no idempotency key."""
        code = str(body.get("processCode", ""))
        if self.settings["process_codes"] and code not in self.settings["process_codes"]:
            raise Refusal("processCodeError", "processCode错误")
        starter = str(body.get("originatorUserId", ""))
        if starter not in self.members:
            raise Refusal("processInstanceInvalidParameter", "originatorUserId不存在")
        if not body.get("approvers") and body.get("deptId") is None:
            raise Refusal("processInstanceInvalidParameter", "deptId不能为空")
        fields = body.get("formComponentValues") or []
        for field in fields:
            if not isinstance(field.get("value"), str):
                raise Refusal("formConverterError", f"表单控件[{field.get('name')}]的值不是字符串")
        if not fields:
            raise Refusal("processInstanceInvalidParameter", "formComponentValues不能为空")
        instance = secrets.token_urlsafe(16)
        self.approvals[instance] = {
            "processCode": code,
            "title": f"{self.members[starter].name}提交的审批",
            "createTime": self.now(),
            "finishTime": None,
            "originatorUserId": starter,
            "originatorDeptId": str(body.get("deptId", -1)),
            "status": "RUNNING",
            "result": "",
            "businessId": f"{datetime.fromtimestamp(self.now(), UTC):%Y%m%d%H%M%S}{len(self.approvals):06d}",
            "formComponentValues": [
                {"id": f"TextField-{number}", "componentType": "TextField", **field}
                for number, field in enumerate(fields)
            ],
        }
        self.commit("approval", digest_of(code, starter, fields), {"instanceId": instance})
        self._tell(instance, "start")
        return {"instanceId": instance}

    def detail(self, _body: Body, query: Query) -> Body:
        instance = query.get("processInstanceId", "")
        found = self.approvals.get(instance)
        if found is None:
            raise Refusal("processInstanceInvalidParameter", "审批实例不存在")
        tasks = {"taskId": 811165, "userId": found["originatorUserId"], "status": found["status"]}
        shown = {key: value for key, value in found.items() if key not in ("processCode", "finishTime")}
        shown |= {"createTime": minute(found["createTime"]), "tasks": [{**tasks, "processInstanceId": instance}]}
        if found["finishTime"] is not None:
            shown["finishTime"] = minute(found["finishTime"])
        return {"result": shown, "success": "true"}

    def decide(self, instance: str, result: str) -> Body:
        """``agree`` and ``refuse`` finish an instance, ``terminate`` withdraws it. Raises LookupError, ValueError."""
        found = self.approvals[instance]
        if result not in ("agree", "refuse", "terminate"):
            raise ValueError(f"no decision '{result}'; there are agree, refuse, terminate")
        found["status"] = "TERMINATED" if result == "terminate" else "COMPLETED"
        found["result"] = "" if result == "terminate" else result
        found["finishTime"] = self.now()
        self._tell(instance, "terminate" if result == "terminate" else "finish")
        return found

    def _tell(self, instance: str, kind: str) -> None:
        found = self.approvals[instance]
        event = {
            "EventType": "bpms_instance_change",
            "processInstanceId": instance,
            "processCode": found["processCode"],
            "bizCategoryId": "",
            "businessId": found["businessId"],
            "title": found["title"],
            "type": kind,
            "createTime": int(found["createTime"] * 1000),
            "staffId": found["originatorUserId"],
        }
        if found["finishTime"] is not None:
            event["finishTime"] = int(found["finishTime"] * 1000)
        if found["result"]:
            event["result"] = found["result"]
        self.announce(event)

    # The directory.

    def user(self, body: Body, _query: Query) -> Body:
        member = self.members.get(str(body.get("userid", "")))
        if member is None:
            raise Refusal(60121, "找不到该用户")
        return {"result": _member(member)}

    def by_mobile(self, body: Body, _query: Query) -> Body:
        for userid, member in self.members.items():
            if member.phone == str(body.get("mobile", "")):
                return {"result": {"userid": userid}}
        raise Refusal(60121, "找不到该用户")

    def departments(self, body: Body, _query: Query) -> Body:
        if str(body.get("dept_id", 1)) != "1":
            raise Refusal(60003, "部门不存在")
        names = {2: "客服部", 3: "财务部", 4: "仓储部"}
        return {"result": [{"dept_id": key, "name": name, "parent_id": 1} for key, name in names.items()]}


def _member(member: world.Employee) -> Body:
    userid = member.ids["staff.userid"]
    return {
        "userid": userid,
        "unionid": f"z21{userid}",
        "name": member.name,
        "mobile": member.phone,
        "email": member.email,
        "job_number": member.ids["staff.number"],
        "title": "客服",
        "dept_id_list": [2],
        "active": True,
        "admin": False,
    }


LEGACY: dict[str, Callable[[Corp, Body, Query], Body]] = {
    "/topapi/message/corpconversation/asyncsend_v2": Corp.notice,
    "/topapi/message/corpconversation/getsendresult": Corp.notice_result,
    "/topapi/v2/user/get": Corp.user,
    "/topapi/v2/user/getbymobile": Corp.by_mobile,
    "/topapi/v2/department/listsub": Corp.departments,
}
"""Calls of the legacy host (token in the query, always 200)."""

NEW: dict[tuple[str, str], Callable[[Corp, Body, Query], Body]] = {
    ("POST", "/v1.0/robot/oToMessages/batchSend"): Corp.direct,
    ("POST", "/v1.0/workflow/processInstances"): Corp.start,
    ("GET", "/v1.0/workflow/processInstances"): Corp.detail,
}
"""Calls of the new host (token in a header, the HTTP status says failure)."""
