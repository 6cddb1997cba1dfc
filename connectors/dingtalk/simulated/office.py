"""The simulated corp's own CRM and its to-dos. No HTTP here."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.dingtalk.simulated import corp
from connectors.simulator import world

KINDS = ("crm_customer", "crm_customer_personal")
SUBJECT = 1024
"""Most letters of a to-do's subject."""


class Office:
    """State and rules. ``tell(event)`` pushes, ``commit(kind, key, data)`` journals what becomes final."""

    def __init__(
        self,
        people: world.World,
        now: Callable[[], float],
        commit: Callable[..., Any],
        tell: Callable[[corp.Body], Any],
    ) -> None:
        self.now, self.commit, self.tell = now, commit, tell
        self.userids = {person.ids["staff.userid"] for person in people.staff}
        self.customers: dict[str, corp.Body] = {}
        self.todos: dict[str, corp.Body] = {}

    # Customers.

    def create(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        data = self._data(body, "creatorUserId")
        if not data.get("customer_name"):
            raise corp.Refusal("invalidParameter.data", "customer_name is required")
        phone = data.get("customer_phone")
        if phone and any(one["data"].get("customer_phone") == phone for one in self.customers.values()):
            raise corp.Refusal("same.data.exists", "存在重复的数据")
        at, number = self._local(), str(uuid.uuid4())
        self.customers[number] = {
            "instanceId": number,
            "objectType": body["relationType"],
            "creatorUserId": body["creatorUserId"],
            "data": data,
            "extendData": {},
            "permission": {"ownerStaffIds": [body["creatorUserId"]], "participantStaffIds": []},
            "gmtCreate": at,
            "gmtModified": at,
        }
        self.commit("crm_customer", str(phone or number), data)
        self._told("create", number)
        return {"instanceId": number}

    def update(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        data, number = self._data(body, "modifierUserId"), str(body.get("instanceId") or "")
        found = self.customers.get(number)
        if found is None:
            raise corp.Refusal("invalidParameter.instanceId", "instanceId is invalid")
        if {**found["data"], **data} != found["data"]:
            found["data"] |= data
            found["gmtModified"] = self._local()
            self.commit("crm_customer_changed", f"{number}:{corp.digest_of(data)}", data)
            self._told("update", number)
        return {"instanceId": number}

    def batch(self, body: corp.Body, query: corp.Query) -> corp.Body:
        wanted = [self.customers.get(str(number)) for number in body.get("list", [])]
        if not wanted:
            raise corp.Refusal("invalidParameter", "body is empty")
        return {"result": [one for one in wanted if one is not None and _kind(query) == one["objectType"]]}

    def search(self, _body: corp.Body, query: corp.Query) -> corp.Body:
        size, begin = int(query.get("maxResults") or 0), int(query.get("nextToken") or 0)
        if not 1 <= size <= 100:
            raise corp.Refusal("invalidParameter.maxResults", "maxResults must be within 1 and 100")
        rows = [one for one in self.customers.values() if one["objectType"] == _kind(query)]
        for group in json.loads(query.get("queryDsl") or "{}").get("queryGroupList", []):
            for wish in group["queryObjectList"]:
                rows = [one for one in rows if one["data"].get(wish["fieldId"]) == wish["value"]]
        more = {"nextToken": str(begin + size)} if begin + size < len(rows) else {}
        return {"values": rows[begin : begin + size], **more}

    def _data(self, body: corp.Body, who: str) -> corp.Body:
        if body.get(who) not in self.userids:
            raise corp.Refusal(f"invalidParameter.{who}", f"{who} is invalid")
        _kind(body)
        data = body.get("data")
        if not isinstance(data, dict):
            raise corp.Refusal("invalidParameter.data", "data is required")
        return dict(data)

    def _local(self) -> str:
        return (datetime.fromtimestamp(self.now(), UTC) + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")

    def _told(self, what: str, number: str) -> None:
        kind = self.customers[number]["objectType"]
        self.tell({"EventType": f"ding_paas_object_data_{what}", "ObjectType": kind, "DataId": number})

    # To-dos.

    def todo(self, body: corp.Body, query: corp.Query) -> corp.Body:
        """One ``sourceId`` is one to-do; since 2024 it must lead somewhere."""
        unions = {f"z21{userid}" for userid in self.userids}
        links = body.get("detailUrl") or {}
        if query.get("union_id") not in unions or not set(body.get("executorIds") or []) <= unions:
            raise corp.Refusal("invalidParameter.unionId", "unionId is invalid")
        if not body.get("subject") or len(body["subject"]) > SUBJECT:
            raise corp.Refusal("invalidParameter.subject", "subject is empty or too long")
        if not links.get("appUrl") and not links.get("pcUrl"):
            raise corp.Refusal("invalidParameter.detailUrl", "detailUrl is required")
        key = str(body.get("sourceId") or uuid.uuid4())
        if key not in self.todos:
            self.todos[key] = {**body, "id": uuid.uuid4().hex, "createdTime": int(self.now() * 1000), "done": False}
            self.commit("todo", key, body)
        return self.todos[key]


def _kind(given: Mapping[str, Any]) -> str:
    kind = given.get("relationType")
    if kind not in KINDS:
        raise corp.Refusal("invalidParameter.relationType", "relationType is invalid")
    return str(kind)
