"""The simulated directory of the corp: its departments and members, and the external contacts. No HTTP here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from connectors.dingtalk.simulated import corp
from connectors.simulator import world

DEPARTMENTS = {2: "客服部", 3: "财务部", 4: "仓储部"}
WRITTEN = (
    "name",
    "mobile",
    "state_code",
    "company_name",
    "title",
    "address",
    "remark",
    "label_ids",
    "follower_user_id",
)


class Book:
    """State and rules. ``commit(kind, key, data)`` journals an effect at the moment it becomes final."""

    def __init__(self, people: world.World, commit: Callable[..., Any]) -> None:
        self.commit = commit
        self.members = {person.ids["staff.userid"]: person for person in people.staff}
        self.contacts: dict[str, dict[str, Any]] = {}

    def user(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        return {"result": _member(self._member(body))}

    def _member(self, body: corp.Body) -> world.Employee:
        member = self.members.get(str(body.get("userid", "")))
        if member is None:
            raise corp.Refusal(60121, "找不到该用户")
        return member

    def by_mobile(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        for userid, member in self.members.items():
            if member.phone == str(body.get("mobile", "")):
                return {"result": {"userid": userid}}
        raise corp.Refusal(60121, "找不到该用户")

    def by_unionid(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        """Staff have contact_type 0, external contacts 1."""
        union = str(body.get("unionid", ""))
        for userid in self.members:
            if union == union_of(userid):
                return {"result": {"contact_type": 0, "userid": userid}}
        for userid in self.contacts:
            if union == union_of(userid):
                return {"result": {"contact_type": 1, "userid": userid}}
        raise corp.Refusal(60121, "找不到该用户")

    def users(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        """One page of a department's members; everybody is in the root and in the first department."""
        if body.get("cursor") is None or not 1 <= int(body.get("size") or 0) <= 100:
            raise corp.Refusal(40035, "缺少参数 cursor 或 size")
        known = {1, 2}
        if int(body.get("dept_id") or 0) not in known | set(DEPARTMENTS):
            raise corp.Refusal(60003, "部门不存在")
        rows = [_member(one) for one in self.members.values()] if int(body["dept_id"]) in known else []
        begin, size = int(body["cursor"]), int(body["size"])
        more = begin + size < len(rows)
        page: dict[str, Any] = {"has_more": more, "list": rows[begin : begin + size]}
        return {"result": page | ({"next_cursor": begin + size} if more else {})}

    def departments(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        if str(body.get("dept_id", 1)) != "1":
            raise corp.Refusal(60003, "部门不存在")
        return {"result": [{"dept_id": key, "name": name, "parent_id": 1} for key, name in DEPARTMENTS.items()]}

    # External contacts.

    def contact_create(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        given = _contact(body)
        for name in ("name", "mobile", "state_code", "label_ids", "follower_user_id"):
            if not given.get(name):
                raise corp.Refusal(40035, f"缺少参数 {name}")
        if given["follower_user_id"] not in self.members:
            raise corp.Refusal(33012, "无效的USERID")
        if any(one["mobile"] == given["mobile"] for one in self.contacts.values()):
            raise corp.Refusal(22005, "外部联系人已存在")
        userid = f"ext{secrets.token_hex(8)}"
        self.contacts[userid] = {"user_id": userid, **given}
        self.commit("contact", given["mobile"], self.contacts[userid])
        return {"userid": userid}

    def contact_update(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        given = _contact(body)
        found = self._contact(str((body.get("contact") or {}).get("user_id") or ""))
        if {**found, **given} != found:
            found.update(given)
            self.commit("contact_changed", f"{found['user_id']}:{corp.digest_of(given)}", given)
        return {}

    def _contact(self, userid: str) -> dict[str, Any]:
        found = self.contacts.get(userid)
        if found is None:
            raise corp.Refusal(33012, "无效的USERID")
        return found

    def contact_get(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        return {"result": self._contact(str(body.get("user_id") or ""))}

    def contact_delete(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        gone = self.contacts.pop(self._contact(str(body.get("user_id") or ""))["user_id"])
        self.commit("contact_deleted", gone["user_id"], {})
        return {}

    def contact_list(self, body: corp.Body, _query: corp.Query) -> corp.Body:
        begin, size = int(body.get("offset") or 0), int(body.get("size") or 20)
        if size > 100:
            raise corp.Refusal(40035, "size 最大 100")
        return {"results": list(self.contacts.values())[begin : begin + size]}


def _contact(body: corp.Body) -> dict[str, Any]:
    given = body.get("contact")
    if not isinstance(given, Mapping):
        raise corp.Refusal(40035, "缺少参数 contact")
    return {name: given[name] for name in WRITTEN if given.get(name) is not None}


def union_of(userid: str) -> str:
    """Who somebody is across corps."""
    return f"z21{userid}"


def _member(member: world.Employee) -> dict[str, Any]:
    userid = member.ids["staff.userid"]
    return {
        "userid": userid,
        "unionid": union_of(userid),
        "name": member.name,
        "mobile": member.phone,
        "email": member.email,
        "job_number": member.ids["staff.number"],
        "title": "客服",
        "dept_id_list": [2],
        "active": True,
        "admin": False,
    }
