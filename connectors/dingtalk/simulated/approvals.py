"""The simulated OA approvals: started and withdrawn by the API, decided by people, told about by events."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from connectors.dingtalk.simulated import corp

DECISIONS = ("agree", "refuse", "terminate", "delete")
FIRST_TASK = 811165
BEIJING = timezone(timedelta(hours=8))


def minute(at: float) -> str:
    """Times in approval details: no seconds, and Beijing time although they end in Z."""
    return datetime.fromtimestamp(at, BEIJING).strftime("%Y-%m-%dT%H:%MZ")


class Approvals:
    """State and rules; ``announce(event)`` pushes, ``members`` are the people by userId."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        now: Callable[[], float],
        commit: Callable[..., Any],
        announce: Callable[[corp.Body], None],
        members: Mapping[str, Any],
    ) -> None:
        self.settings, self.now, self.commit, self.announce, self.members = settings, now, commit, announce, members
        self.instances: dict[str, corp.Body] = {}
        self.nodes: dict[str, list[corp.Body]] = {}
        """Instance -> who must decide, node after node; the first is the one under way."""
        self.last_task = FIRST_TASK - 1

    def start(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        """A new instance for every call: there is no idempotency key."""
        code = str(body.get("processCode", ""))
        if self.settings["process_codes"] and code not in self.settings["process_codes"]:
            raise corp.Refusal("processCodeError", "processCode错误")
        starter = str(body.get("originatorUserId", ""))
        if starter not in self.members:
            raise corp.Refusal("processInstanceInvalidParameter", "originatorUserId不存在")
        if not body.get("approvers") and body.get("deptId") is None:
            raise corp.Refusal("processInstanceInvalidParameter", "deptId不能为空")
        fields = body.get("formComponentValues") or []
        for field in fields:
            if not isinstance(field.get("value"), str):
                raise corp.Refusal("formConverterError", f"表单控件[{field.get('name')}]的值不是字符串")
        if not fields:
            raise corp.Refusal("processInstanceInvalidParameter", "formComponentValues不能为空")
        instance = secrets.token_urlsafe(16)
        self.instances[instance] = {
            "processCode": code,
            "title": f"{self.members[starter].name}提交的审批",
            "createTime": self.now(),
            "finishTime": None,
            "originatorUserId": starter,
            "originatorDeptId": str(body.get("deptId", -1)),
            "status": "RUNNING",
            "result": "",
            "businessId": f"{datetime.fromtimestamp(self.now(), UTC):%Y%m%d%H%M%S}{len(self.instances):06d}",
            "tasks": [],
            "formComponentValues": [
                {"id": f"TextField-{number}", "componentType": "TextField", **field}
                for number, field in enumerate(fields)
            ],
        }
        self.nodes[instance] = list(body.get("approvers") or [{"actionType": "NONE", "userIds": [starter]}])
        self._begin(instance)
        self.commit("approval", corp.digest_of(code, starter, fields), {"instanceId": instance})
        self._tell(instance, "start")
        return {"instanceId": instance}

    def _begin(self, instance: str) -> list[corp.Body]:
        """The tasks of the node under way, one for each of its people."""
        made = []
        for userid in self.nodes[instance][0]["userIds"]:
            self.last_task += 1
            at = minute(self.now())
            made.append({"taskId": self.last_task, "userId": userid, "status": "RUNNING", "createTime": at})
        self.instances[instance]["tasks"] += made
        return made

    def execute(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        """One person's decision of one task: an agreement opens the next node or ends it, a refusal ends it at once."""
        instance, result = str(body.get("processInstanceId") or ""), str(body.get("result") or "")
        found = self.found(instance)
        task = next((one for one in found["tasks"] if one["taskId"] == body.get("taskId")), None)
        if task is None or task["status"] != "RUNNING" or found["status"] != "RUNNING":
            raise corp.Refusal("processInstanceInvalidParameter", "审批任务不存在或已结束")
        if task["userId"] != body.get("actionerUserId"):
            raise corp.Refusal("processInstanceInvalidParameter", "actionerUserId不是该任务的审批人")
        if result not in ("agree", "refuse"):
            raise corp.Refusal("processInstanceInvalidParameter", "result只能是agree或refuse")
        task |= {"status": "COMPLETED", "result": result.upper(), "finishTime": minute(self.now())}
        self.commit("decision", f"{instance}:{task['taskId']}", {"result": result, "remark": body.get("remark")})
        self._tell_task(instance, task, "finish", result=result, remark=str(body.get("remark") or ""))
        waits = [one for one in found["tasks"] if one["status"] == "RUNNING"]
        if result == "refuse":
            self.decide(instance, "refuse")
        elif self.nodes[instance][0].get("actionType") != "AND" or not waits:
            for one in waits:
                one["status"] = "CANCELED"
            self.nodes[instance].pop(0)
            if not self.nodes[instance]:
                self.decide(instance, "agree")
            else:
                for one in self._begin(instance):
                    self._tell_task(instance, one, "start")
        return {"result": True, "success": True}

    def template(self, _body: corp.Body, query: corp.Query) -> corp.Body:
        """The labels by which a form is filled in; one template for every code."""
        code = query.get("processCode", "")
        if not code or (self.settings["process_codes"] and code not in self.settings["process_codes"]):
            raise corp.Refusal("processCodeError", "processCode错误")
        labels = (("TextField", "订单号"), ("MoneyField", "金额（元）"), ("TextareaField", "退款原因"))
        items = [
            {"componentName": kind, "props": {"id": f"{kind}-{number}", "label": label, "required": False}}
            for number, (kind, label) in enumerate(labels)
        ]
        return {
            "result": {"formCode": code, "name": "退款审批", "schemaContent": {"title": "退款审批", "items": items}}
        }

    def found(self, instance: str) -> corp.Body:
        found = self.instances.get(instance)
        if found is None or found["status"] == "DELETED":
            raise corp.Refusal("processInstanceInvalidParameter", "审批实例不存在")
        return found

    def detail(self, _body: corp.Body, query: corp.Query) -> corp.Body:
        instance = query.get("processInstanceId", "")
        found = self.found(instance)
        tasks = [{**one, "processInstanceId": instance} for one in found["tasks"]]
        shown = {key: value for key, value in found.items() if key not in ("processCode", "finishTime")}
        shown |= {"createTime": minute(found["createTime"]), "tasks": tasks}
        if found["finishTime"] is not None:
            shown["finishTime"] = minute(found["finishTime"])
        return {"result": shown, "success": "true"}

    def ids(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        """One page of the ids started in a window of at most 120 days; no nextToken at the end."""
        try:
            begin, end, token = int(body["startTime"]), int(body["endTime"]), int(body["nextToken"])
            size = int(body["maxResults"])
        except (KeyError, TypeError, ValueError):
            raise corp.Refusal("invalidParameter", "startTime, endTime, nextToken, maxResults") from None
        if end - begin > 120 * 86400_000 or not 1 <= size <= 20:
            raise corp.Refusal("invalidParameter", "时间跨度不能超过120天")
        rows = [
            key
            for key, one in self.instances.items()
            if one["processCode"] == body.get("processCode") and begin <= one["createTime"] * 1000 <= end
        ]
        page: corp.Body = {"list": rows[token : token + size]}
        return {"result": page | ({"nextToken": token + size} if token + size < len(rows) else {}), "success": True}

    def terminate(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        """Not within 15 seconds of the start, and only while it runs."""
        instance = str(body.get("processInstanceId") or "")
        found = self.found(instance)
        if found["status"] != "RUNNING":
            raise corp.Refusal("processInstanceInvalidParameter", "审批实例已结束")
        if self.now() - found["createTime"] < float(self.settings["terminate_after"]):
            raise corp.Refusal("request.too.frequent", "审批发起15秒内不能撤销")
        self.commit("terminate", instance, {"status": "TERMINATED"})
        self.decide(instance, "terminate")
        return {"result": True, "success": True}

    def decide(self, instance: str, result: str) -> corp.Body:
        """``agree`` and ``refuse`` finish an instance, ``terminate`` withdraws it, ``delete`` removes it.

        Raises LookupError, ValueError.
        """
        found = self.instances[instance]
        if result not in DECISIONS:
            raise ValueError(f"no decision '{result}'; there are {', '.join(DECISIONS)}")
        ended = {"terminate": "TERMINATED", "delete": "DELETED"}
        found["status"] = ended.get(result, "COMPLETED")
        found["result"] = "" if result in ended else result
        found["finishTime"] = self.now()
        for task in found["tasks"]:
            if task["status"] == "RUNNING":
                task["status"] = "CANCELED" if result in ended else "COMPLETED"
        self._tell(instance, result if result in ended else "finish")
        return found

    def _tell_task(self, instance: str, task: corp.Body, kind: str, **more: str) -> None:
        found = self.instances[instance]
        event = {
            "EventType": "bpms_task_change",
            "processInstanceId": instance,
            "processCode": found["processCode"],
            "businessId": found["businessId"],
            "title": found["title"],
            "type": kind,
            "taskId": task["taskId"],
            "staffId": task["userId"],
            "createTime": int(self.now() * 1000),
        }
        self.announce(event | more)

    def _tell(self, instance: str, kind: str) -> None:
        found = self.instances[instance]
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
