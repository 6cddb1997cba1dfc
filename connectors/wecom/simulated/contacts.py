"""The external contacts of the simulated corp: who knows whom, with remarks and tags. State only, no HTTP."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from connectors.simulator import world

Contact = dict[str, Any]
"""``{"external_contact": {...}, "follow_user": [{...}, ...]}`` as externalcontact/get shows it."""

GENDERS = {"male": 1, "female": 2}


class Contacts:
    """Customers by external_userid; every invented person is already followed by their salesperson."""

    def __init__(self, people: world.World, created_at: int) -> None:
        self.people = people
        self.found: dict[str, Contact] = {
            person.ids["wecom.external_userid"]: _contact(person, created_at) for person in people.customers
        }

    def get(self, external: str) -> Contact | None:
        return self.found.get(external)

    def follow(self, external: str, userid: str) -> dict[str, Any] | None:
        """The relation itself (remarks and tags are written through it), None where there is none."""
        contact = self.found.get(external)
        for follow in contact["follow_user"] if contact else []:
            if follow["userid"].lower() == userid.lower():
                found: dict[str, Any] = follow
                return found
        return None

    def add(self, external: str, userid: str, state: str, at: int) -> Contact:
        """The customer added the member (again): a stranger becomes known, a relation is made where missing."""
        contact = self.found.setdefault(external, _stranger(external))
        if self.follow(external, userid) is None:
            contact["follow_user"].append(
                {
                    "userid": userid,
                    "remark": contact["external_contact"]["name"],
                    "description": "",
                    "createtime": at,
                    "tags": [],
                    "oper_userid": userid,
                    "add_way": 1,
                    "state": state,
                }
            )
        return contact

    def drop(self, external: str, userid: str) -> bool:
        """End a relation; the customer goes with the last one. False when there was none."""
        contact = self.found.get(external)
        if contact is None:
            return False
        rest = [follow for follow in contact["follow_user"] if follow["userid"] != userid]
        gone = len(rest) < len(contact["follow_user"])
        contact["follow_user"] = rest
        if not rest:
            del self.found[external]
        return gone

    def of(self, userid: str) -> list[str]:
        """The external_userids one member follows."""
        return [
            external
            for external, contact in self.found.items()
            if any(follow["userid"].lower() == userid.lower() for follow in contact["follow_user"])
        ]

    def page(self, userids: list[str], cursor: str, limit: int) -> tuple[list[dict[str, Any]], str]:
        """One page of batch/get_by_user and the next cursor, empty at the end. Raises ValueError on a bad cursor."""
        rows = [
            {"external_contact": self.found[external]["external_contact"], "follow_info": _info(follow)}
            for userid in userids
            for external in self.of(userid)
            if (follow := self.follow(external, userid)) is not None
        ]
        begin = int(base64.urlsafe_b64decode(cursor.encode()).decode()) if cursor else 0
        end = begin + limit
        following = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(rows) else ""
        return rows[begin:end], following

    def mark(self, follow: dict[str, Any], add: list[str], remove: list[str]) -> None:
        """Add and take away tags of a relation; a tag is there once."""
        kept = [tag for tag in follow["tags"] if tag["tag_id"] not in remove]
        have = {tag["tag_id"] for tag in kept}
        follow["tags"] = kept + [_tag(name, name) for name in add if name not in have]


def _tag(name: str, tag_id: str) -> dict[str, Any]:
    return {"group_name": "客户标签", "tag_name": name, "tag_id": tag_id, "type": 1}


def _info(follow: dict[str, Any]) -> dict[str, Any]:
    """A relation as the bulk call shows it: tag ids instead of tags."""
    rest = {key: value for key, value in follow.items() if key != "tags"}
    return {**rest, "tag_id": [tag["tag_id"] for tag in follow["tags"]]}


def _contact(person: world.Person, at: int) -> Contact:
    tags = [_tag(name, f"et{hashlib.sha256(name.encode()).hexdigest()[:26]}") for name in person.tags]
    return {
        "external_contact": {
            "external_userid": person.ids["wecom.external_userid"],
            "name": person.name,
            "avatar": "",
            "type": 1,
            "gender": GENDERS.get(person.gender, 0),
            "unionid": person.ids["unionid"],
        },
        "follow_user": [
            {
                "userid": person.owner,
                "remark": person.name,
                "description": person.level,
                "createtime": at,
                "tags": tags,
                "remark_corp_name": "",
                "remark_mobiles": [person.phone],
                "oper_userid": person.owner,
                "add_way": 1,
                "state": "",
            }
        ],
    }


def _stranger(external: str) -> Contact:
    known = {"external_userid": external, "name": f"微信用户{external[-4:]}", "avatar": "", "type": 1, "gender": 0}
    return {"external_contact": known, "follow_user": []}
