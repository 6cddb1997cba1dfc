"""The simulated OA approvals: templates, forms handed in by the API, the list. State only, no HTTP.

Every call takes the JSON body and the query and gives the answer without errcode, or raises messages.Refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from connectors.wecom.simulated import messages

Body = dict[str, Any]
Query = Mapping[str, str]

ZONE = timezone(timedelta(hours=8))
VALUES = {"Text": "text", "Textarea": "text", "Number": "new_number", "Money": "new_money"}
"""Control -> the member of its value that must be a text."""


class Approvals:
    """Forms by ``sp_no``, as oa/getapprovaldetail shows them."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        now: Callable[[], float],
        commit: Callable[..., Any],
        members: Mapping[str, Any],
    ) -> None:
        self.settings, self.now, self.commit, self.members = settings, now, commit, members
        self.found: dict[str, Body] = {}
        self.submitted: list[str] = []
        """Numbers handed in by the API that nobody was told about yet: the simulator pushes them."""

    def template(self, body: Body, _query: Query) -> Body:
        controls = self._template(str(body.get("template_id", "")))
        shown = [
            {"property": {"control": control, "id": key, "title": [{"text": title, "lang": "zh_CN"}], "require": 0}}
            for key, (control, title) in controls.items()
        ]
        return {"template_names": [{"text": "退款审批", "lang": "zh_CN"}], "template_content": {"controls": shown}}

    def _template(self, template: str) -> Mapping[str, Any]:
        known: Mapping[str, Any] | None = self.settings["approval_templates"].get(template)
        if known is None:
            raise messages.Refusal(301026, "template not available")
        return known

    def apply(self, body: Body, _query: Query) -> Body:
        """A new form for every call: there is no idempotency key."""
        template, creator = str(body.get("template_id", "")), str(body.get("creator_userid", ""))
        controls = self._template(template)
        if creator.lower() not in self.members:
            raise messages.Refusal(301025, "get approval param error:creator_userid not in app visiable range")
        if not body.get("use_template_approver") and not body.get("process") and not body.get("approver"):
            raise messages.Refusal(301025, "get approval param error:no approver")
        contents = [self._checked(controls, one) for one in (body.get("apply_data") or {}).get("contents") or []]
        if not contents:
            raise messages.Refusal(301025, "get approval param error:apply_data")
        if not body.get("summary_list") or len(body["summary_list"]) > 3:
            raise messages.Refusal(301025, "get approval param error:summary_list")
        day = datetime.fromtimestamp(self.now(), UTC).astimezone(ZONE)
        number = f"{day:%Y%m%d}{len(self.found) + 1:04d}"
        self.found[number] = {
            "sp_no": number,
            "sp_name": "退款审批",
            "sp_status": 1,
            "template_id": template,
            "apply_time": int(self.now()),
            "applyer": {"userid": creator, "partyid": "1"},
            "sp_record": [],
            "notifyer": [],
            "apply_data": {"contents": contents},
            "comments": [],
        }
        self.commit("approval", messages.digest_of(template, creator, contents), {"sp_no": number})
        self.submitted.append(number)
        return {"sp_no": number}

    def _checked(self, controls: Mapping[str, Any], given: Body) -> Body:
        key, control = str(given.get("id", "")), given.get("control")
        if key not in controls or controls[key][0] != control:
            raise messages.Refusal(301025, f"get approval param error:control {key}")
        member = VALUES.get(str(control))
        value = given.get("value") or {}
        if member is not None and not isinstance(value.get(member), str):
            raise messages.Refusal(301025, f"get approval param error:value of {key}")
        return {**given, "title": [{"text": controls[key][1], "lang": "zh_CN"}]}

    def detail(self, body: Body, _query: Query) -> Body:
        found = self.found.get(str(body.get("sp_no", "")))
        if found is None:
            raise messages.Refusal(301025, "get approval param error")
        return {"info": found}

    def listed(self, body: Body, _query: Query) -> Body:
        """One page of numbers; times are texts, the span at most 31 days, a page may be short."""
        given = [body.get(name) for name in ("starttime", "endtime", "new_cursor")]
        if not all(isinstance(one, str) for one in given) or not str(given[0]).isdigit() or not str(given[1]).isdigit():
            raise messages.Refusal(301025, "get approval param error:starttime, endtime and new_cursor are strings")
        begin, end, cursor = int(str(given[0])), int(str(given[1])), str(given[2])
        size = int(body.get("size") or 0)
        if end - begin > 31 * 86400 or not 1 <= size <= 100:
            raise messages.Refusal(301025, "get approval param error:time range or size")
        wanted = {one["key"]: str(one["value"]) for one in body.get("filters") or []}
        rows = [
            key
            for key, one in sorted(self.found.items())
            if begin <= one["apply_time"] <= end
            and wanted.get("template_id") in (None, one.get("template_id"))
            and wanted.get("sp_status") in (None, str(one.get("sp_status")))
        ]
        at = int(cursor or 0)
        size = min(size, int(self.settings["page_size"]))
        page: Body = {"sp_no_list": rows[at : at + size]}
        return page | ({"new_next_cursor": str(at + size)} if at + size < len(rows) else {})
