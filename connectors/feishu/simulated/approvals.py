"""The simulated approvals: started by the API, decided by people over there, told about by v1 events."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Callable, Mapping
from typing import Any

from connectors.core import jsontext
from connectors.feishu.simulated import tenant

DECISIONS = {
    "approve": "APPROVED",
    "reject": "REJECTED",
    "cancel": "CANCELED",
    "delete": "DELETED",
    "revert": "REVERTED",
}
NUMBERS = ("number", "amount")


class Approvals:
    """State and rules; ``announce(event)`` pushes a v1 event, ``known(kind, id)`` gives a person's open_id."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        now: Callable[[], float],
        commit: Callable[..., Any],
        announce: Callable[[tenant.Body], None],
        known: Callable[[str, str], str | None],
    ) -> None:
        self.settings, self.now, self.commit, self.announce, self.known = settings, now, commit, announce, known
        self.instances: dict[str, tenant.Body] = {}
        self.subscribed: set[str] = set()

    def create(self, _path: tenant.Texts, _query: tenant.Texts, body: tenant.Body) -> tenant.Body:
        """One instance per uuid; a second use is refused and tells nothing of the first."""
        code = self._defined(str(body.get("approval_code") or ""))
        starter = self.known("open_id", str(body.get("open_id") or "")) or self.known(
            "user_id", str(body.get("user_id") or "")
        )
        if starter is None:
            raise tenant.Refusal(1390001, "param is invalid: open_id")
        widgets = self._form(code, body.get("form"))
        uuid = str(body.get("uuid") or "")
        if uuid and self._by_uuid(uuid):
            raise tenant.Refusal(60012, "uuid conflict")
        instance, at = str(uuids.uuid4()).upper(), str(int(self.now() * 1000))
        self.instances[instance] = {
            "approval_name": "退款审批",
            "approval_code": code,
            "start_time": at,
            "end_time": "0",
            "user_id": starter.removeprefix("ou_"),
            "open_id": starter,
            "serial_number": f"{at[:9]}{len(self.instances):03d}",
            "department_id": "od-service",
            "status": "PENDING",
            "uuid": uuid.upper() if self.settings["uuid_capitals"] else uuid,
            "form": jsontext.dumps(widgets).decode(),
            "task_list": [],
            "comment_list": [],
            "timeline": [{"type": "START", "create_time": at, "open_id": starter}],
            "instance_code": instance,
        }
        self.commit("approval", uuid or tenant.digest_of(code, starter, widgets), {"instance_code": instance})
        self._tell(instance)
        return {"instance_code": instance}

    def _defined(self, code: str) -> str:
        if code not in self.settings["approval_definitions"]:
            raise tenant.Refusal(1390002, "approval code not found")
        return code

    def _form(self, code: str, form: Any) -> list[tenant.Body]:
        """The widgets of a form, each as its definition wants it. Raises Refusal naming the widget."""
        defined = self.settings["approval_definitions"][code]
        try:
            widgets = jsontext.loads(form) if isinstance(form, str) else None
        except jsontext.JsonError:
            widgets = None
        if not isinstance(widgets, list):
            raise tenant.Refusal(1390001, "param is invalid: form is not json")
        for one in widgets:
            kind = defined.get(one.get("id"), {}).get("type")
            if kind is None or one.get("type") != kind:
                raise tenant.Refusal(1390001, f"param is invalid: widget {one.get('id')} does not fit the definition")
            if (kind in NUMBERS) == isinstance(one.get("value"), str) or one.get("value") is None:
                raise tenant.Refusal(1390001, f"param is invalid: value of widget {one['id']}")
        return [{**one, "name": defined[one["id"]]["name"]} for one in widgets]

    def _by_uuid(self, uuid: str) -> tenant.Body | None:
        return next((one for one in self.instances.values() if one["uuid"].lower() == uuid.lower()), None)

    def detail(self, path: tenant.Texts, _query: tenant.Texts, _body: tenant.Body) -> tenant.Body:
        """By instance code, and by the uuid it was made with where the setting says so."""
        found = self.instances.get(path["instance_id"])
        if found is None and self.settings["by_uuid"]:
            found = self._by_uuid(path["instance_id"])
        if found is None:
            raise tenant.Refusal(1390003, "instance code not found")
        return found

    def codes(self, _path: tenant.Texts, query: tenant.Texts, _body: tenant.Body) -> tenant.Body:
        code = self._defined(query.get("approval_code", ""))
        try:
            begin, end = int(query["start_time"]), int(query["end_time"])
        except (KeyError, ValueError):
            raise tenant.Refusal(1390001, "param is invalid: start_time, end_time") from None
        rows = [
            key
            for key, one in self.instances.items()
            if one["approval_code"] == code and begin <= int(one["start_time"]) <= end
        ]
        size = min(int(query.get("page_size") or 100), 100, int(self.settings["page_size"]))
        return tenant.page(rows, size, query.get("page_token") or "", "instance_code_list")

    def cancel(self, _path: tenant.Texts, _query: tenant.Texts, body: tenant.Body) -> tenant.Body:
        """Withdrawn while pending; an approved one opens again."""
        found = self.instances.get(str(body.get("instance_code") or ""))
        if found is None or found["approval_code"] != body.get("approval_code"):
            raise tenant.Refusal(1390003, "instance code not found")
        if found["status"] not in ("PENDING", "APPROVED"):
            raise tenant.Refusal(1390015, f"approval is {found['status']}")
        found["status"] = "PENDING" if found["status"] == "APPROVED" else "CANCELED"
        self.commit("cancel", found["instance_code"], {"status": found["status"]})
        self._tell(found["instance_code"])
        return {}

    def subscribe(self, path: tenant.Texts, _query: tenant.Texts, _body: tenant.Body) -> tenant.Body:
        code = self._defined(path["approval_code"])
        if code in self.subscribed:
            raise tenant.Refusal(1390007, "subscription existed")
        self.subscribed.add(code)
        return {}

    def decide(self, instance: str, decision: str) -> tenant.Body:
        """What people do. Raises LookupError, ValueError."""
        found = self.instances[instance]
        if decision not in DECISIONS:
            raise ValueError(f"no decision '{decision}'; there are {', '.join(DECISIONS)}")
        found["status"], found["end_time"] = DECISIONS[decision], str(int(self.now() * 1000))
        self._tell(instance)
        return found

    def _tell(self, instance: str) -> None:
        """Only definitions that were subscribed to push; times are text in one tenant and a number in another."""
        found = self.instances[instance]
        if found["approval_code"] not in self.subscribed:
            return
        at: str | int = str(int(self.now() * 1000))
        event = {
            "type": "approval_instance",
            "approval_code": found["approval_code"],
            "instance_code": instance,
            "status": found["status"],
            "operate_time": int(at) if self.settings["numeric_times"] else at,
            "instance_operate_time": at,
            "uuid": found["uuid"],
        }
        self.announce(event)
