"""What the simulated CRM knows: customers, activities, and the rules by which it changes them. No HTTP.

Customers are plain dicts in the CRM's own words (``mobile``, ``social.unionid``, ``level``…). Every real
change raises ``version`` by one and sets ``updated_at``; a write that changes nothing changes neither.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

ZONE = timezone(timedelta(hours=8))
SOCIAL = (
    "wecom_external_userid",  # house: vendor-word because the API calls its field so
    "unionid",
    "taobao_open_uid",  # house: vendor-word because the API calls its field so
)
WRITABLE = (
    *("external_id", "name", "type", "gender", "mobile", "email", "company_name", "tax_no", "level", "owner_id"),
    *("tags", "source", "remark", "status", "address", "social", "last_order"),
)
LAST_ORDER = ("number", "status", "tracking_number", "carrier", "at")
_MOBILE = re.compile(r"1[3-9]\d[\d*]{8}")


class Refused(Exception):
    """The CRM says no. ``status`` is the HTTP status, ``fields`` names what is wrong with which field."""

    def __init__(self, status: int, code: str, message: str, fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields or {}


@dataclass(frozen=True, slots=True)
class Change:
    """The outcome of a write: the customer as it now is, and what happened (``kind`` empty: nothing)."""

    customer: dict[str, Any]
    kind: str = ""


@dataclass(slots=True)
class Records:
    """All state of one simulated CRM."""

    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    activities: dict[str, dict[str, Any]] = field(default_factory=dict)
    next_id: int = 900000

    def get(self, key: str) -> dict[str, Any]:
        """One customer; raises Refused 404."""
        found = self.customers.get(key)
        if found is None:
            raise Refused(404, "not_found", f"客户 {key} 不存在")
        return found

    def changed(self, since: datetime | None, until: datetime | None) -> list[dict[str, Any]]:
        """Customers changed in ``[since, until)``, oldest change first."""
        found = [
            one
            for one in self.customers.values()
            if (since is None or datetime.fromisoformat(one["updated_at"]) >= since)
            and (until is None or datetime.fromisoformat(one["updated_at"]) < until)
        ]
        return sorted(found, key=lambda one: (one["updated_at"], one["id"]))

    def find(self, keys: dict[str, str]) -> list[dict[str, Any]]:
        """Customers by external_id, else by a social id, else by mobile: the first key that finds any wins."""
        for name in ("external_id", *SOCIAL, "mobile"):
            wanted = keys.get(name)
            if not wanted or "*" in wanted:
                continue
            found = [one for one in self.customers.values() if wanted in (one.get(name), one["social"].get(name))]
            if found:
                return found
        return []

    def save(self, given: dict[str, Any], now: float) -> Change:
        """Upsert. Members that are not given stay; ``version``, when given, must be the current one."""
        _check(given)
        if given.get("id"):
            existing = self.get(given["id"])
        else:
            found = self.find(
                {**given.get("social", {}), **{key: given.get(key, "") for key in ("external_id", "mobile")}}
            )
            existing = found[0] if found else {}
        if not existing:
            return self._create(given, now)
        if given.get("version") not in (None, existing["version"]):
            raise Refused(409, "version_conflict", f"客户 {existing['id']} 已被修改，当前版本 {existing['version']}")
        wanted = _merged(existing, given)
        if existing.get("external_id"):
            wanted["external_id"] = existing["external_id"]
        return self._replace(existing, wanted, now, "customer.update")

    def set_last_order(self, key: str, given: dict[str, Any], now: float) -> Change:
        """Write what the CRM shows as the newest order."""
        existing = self.get(key)
        if not given.get("number"):
            raise Refused(422, "validation_failed", "订单号必填", {"number": "必填"})
        kept = {name: given[name] for name in LAST_ORDER if given.get(name)}
        return self._replace(existing, {**existing, "last_order": kept}, now, "customer.last_order")

    def delete(self, key: str, now: float) -> Change:
        """Deleted customers stay readable with status ``deleted``."""
        existing = self.get(key)
        return self._replace(existing, {**existing, "status": "deleted"}, now, "customer.delete")

    def add_activity(self, key: str, given: dict[str, Any], now: float) -> tuple[dict[str, Any], bool]:
        """An entry in a customer's history, once per idempotency key; True when it is new."""
        if key and (before := self.activities.get(key)):
            if before["given"] != given:
                raise Refused(422, "idempotency_mismatch", "同一个 Idempotency-Key 用于不同内容")
            return before["activity"], False
        self.get(str(given.get("customer_id", "")))
        if not given.get("text"):
            raise Refused(422, "validation_failed", "内容必填", {"text": "必填"})
        activity = {"id": f"A{len(self.activities) + 1:06d}", **given, "created_at": stamp(now)}
        self.activities[key or activity["id"]] = {"given": given, "activity": activity}
        return activity, True

    def _create(self, given: dict[str, Any], now: float) -> Change:
        if not given.get("name"):
            raise Refused(422, "validation_failed", "客户名称必填", {"name": "必填"})
        self.next_id += 1
        blank = {"id": f"C{self.next_id}", "type": "individual", "tags": [], "status": "active", "social": {}}
        customer = {**_merged(blank, given), "created_at": stamp(now), "updated_at": stamp(now), "version": 1}
        self.customers[customer["id"]] = customer
        return Change(customer, "customer.create")

    def _replace(self, existing: dict[str, Any], wanted: dict[str, Any], now: float, kind: str) -> Change:
        if wanted == existing:
            return Change(existing)
        wanted = {**wanted, "version": existing["version"] + 1, "updated_at": stamp(now)}
        self.customers[existing["id"]] = wanted
        return Change(wanted, kind)


def stamp(now: float) -> str:
    """A Unix time as the CRM writes it: ISO 8601, milliseconds, +08:00."""
    return datetime.fromtimestamp(now, ZONE).isoformat(timespec="milliseconds")


def moment(text: str | None) -> datetime | None:
    """A query's time; raises Refused 422."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(422, "validation_failed", "时间格式应为 ISO 8601", {"modified_since": text}) from None
    return found if found.tzinfo else found.replace(tzinfo=ZONE)


def seeded(people: Iterator[Any], now: float) -> Records:
    """Records of the shared world's people; each last changed some minutes before ``now``, a day ago or more."""
    records = Records()
    for person in people:
        changed = stamp(now - 86400 - 60 * person.index)
        where = person.address
        records.customers[person.ids["crm.id"]] = {
            "id": person.ids["crm.id"],
            "type": "individual",
            "name": person.name,
            "gender": {"male": "M", "female": "F"}[person.gender],
            "mobile": person.phone,
            "email": person.email,
            "level": person.level,
            "owner_id": person.owner,
            "tags": list(person.tags),
            "status": "active",
            "address": {
                "province": where.province,
                "city": where.city,
                "district": where.district,
                "detail": where.street,
                "postcode": where.zip,
            },
            "social": {name: person.ids[kind] for name, kind in zip(SOCIAL, _KINDS, strict=True)},
            "created_at": changed,
            "updated_at": changed,
            "version": 1,
        }
    return records


_KINDS = (
    "wecom.external_userid",  # house: vendor-word because it is a kind of identity
    "unionid",
    "taobao.open_uid",  # house: vendor-word because it is a kind of identity
)


def _merged(existing: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    wanted = copy.deepcopy(existing)
    for name in WRITABLE:
        if name not in given:
            continue
        value = given[name]
        if name in ("address", "social"):
            wanted[name] = {**wanted.get(name, {}), **value}
        elif value is None:
            wanted.pop(name, None)
        else:
            wanted[name] = value
    return wanted


def _check(given: dict[str, Any]) -> None:
    wrong: dict[str, str] = {}
    unknown = sorted(set(given) - {*WRITABLE, "id", "version"})
    wrong.update(dict.fromkeys(unknown, "没有这个字段"))
    for name in ("name", "mobile", "email", "level", "owner_id", "remark", "external_id"):
        if name in given and not isinstance(given[name], str | None):
            wrong[name] = "应为文本"
    if isinstance(given.get("mobile"), str) and given["mobile"] and not _MOBILE.fullmatch(given["mobile"]):
        wrong["mobile"] = "不是手机号"
    if "name" in given and not given["name"]:
        wrong["name"] = "不能为空"
    if not isinstance(given.get("tags", []), list):
        wrong["tags"] = "应为列表"
    for name in ("address", "social", "last_order"):
        if not isinstance(given.get(name, {}), dict):
            wrong[name] = "应为对象"
    if isinstance(given.get("social"), dict):
        wrong.update({f"social.{name}": "没有这个字段" for name in given["social"] if name not in SOCIAL})
    if wrong:
        raise Refused(422, "validation_failed", "字段校验失败：" + "、".join(sorted(wrong)), wrong)
