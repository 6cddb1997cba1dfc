"""The service desk of the pretend site: every verb, in the four envelopes clients use, with real answers."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from connectors.kingdee.simulated import books, query, shipping, views

SERVICES = "Kingdee.BOS.WebApi.ServicesStub."
LOGINS = {
    "ValidateUser": ("acctID", "username", "password", "lcid"),
    "LoginByAppSecret": ("acctId", "userName", "appId", "appSecret", "lcid"),
    "LoginBySign": ("acctId", "userName", "appId", "timestamp", "sign", "lcId"),
}
"""Login service -> its named arguments, in the order of the ``parameters`` envelope."""


class Call:
    """One call, whatever its envelope: ``form``, ``data``, and the rest of the body in ``body``."""

    def __init__(self, verb: str, body: dict[str, Any]) -> None:
        parameters = [_inner(item) for item in body.get("parameters") or []]
        self.verb = verb
        self.body = body
        self.data = _inner(body.get("data")) or {}
        self.form = str(body.get("formid") or "")
        self.operation = str(body.get("opNumber") or "")
        if parameters:
            self.data = parameters[-1] if isinstance(parameters[-1], dict) else {}
            names = [str(item) for item in parameters if not isinstance(item, dict)]
            self.form = names[0] if names else ""
            self.operation = names[1] if len(names) > 1 else ""
        self.form = self.form or str(self.data.get("FormId") or "")


def envelope(raw: bytes, content_type: str) -> dict[str, Any]:
    """The body as an object; JSON, or form-encoded as very old clients send it. Raises ValueError."""
    if content_type.startswith("application/x-www-form-urlencoded"):
        return {key: _inner(values[0]) for key, values in parse_qs(raw.decode()).items()}
    body = json.loads(raw, parse_float=Decimal) if raw.strip() else {}
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def _inner(value: Any) -> Any:
    """A value that may be a JSON text inside JSON."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        return json.loads(value, parse_float=Decimal)
    return value


def login_values(service: str, body: dict[str, Any]) -> list[Any]:
    """The arguments of a login, named or positional."""
    if body.get("parameters"):
        return list(_inner(body["parameters"]))
    lowered = {key.lower(): value for key, value in body.items()}
    return [lowered.get(name.lower(), "") for name in LOGINS[service]]


class Desk:
    """Answers calls on the books of one site."""

    def __init__(self, ledger: books.Books) -> None:
        self.ledger = ledger
        self.tasks: dict[str, Any] = {}
        self.convert_list = False
        """Some builds tell the result of a conversion as a list."""
        self.verbs: dict[str, Callable[[Call], Any]] = {
            "Save": self._save,
            "Draft": self._save,
            "BatchSave": self._batch_save,
            "View": self._view,
            "ExecuteBillQuery": self._rows,
            "BillQuery": self._rows,
            "Submit": self._each,
            "Audit": self._each,
            "UnAudit": self._each,
            "Delete": self._each,
            "CancelAssign": self._each,
            "ExcuteOperation": self._each,
            "Allocate": self._each,
            "WorkflowAudit": self._workflow_audit,
            "Push": self._push,
            "QueryBusinessInfo": self._business_info,
            "SwitchOrg": self._switch_organisation,
        }

    def answer(self, verb: str, body: dict[str, Any]) -> Any:
        """The answer to one call; refusals are answers too."""
        if verb == "QueryAsyncResult":
            return self._async_result(body)
        if verb not in self.verbs:
            return f"response_error: 找不到服务方法 {verb}"
        try:
            call = Call(verb, body)
            result = self.verbs[verb](call)
        except books.Refused as refused:
            return self.refuse(verb, refused)
        except json.JSONDecodeError as error:
            return self.refuse(verb, books.Refused(8, f"JSON格式不正确：{error}"))
        if body.get("beginmethod"):
            task = secrets.token_hex(16)
            self.tasks[task] = result
            return {"TaskId": task, "Status": 0, "Successful": True, "Message": None, "Result": None, "Progress": 0}
        return result

    def refuse(self, verb: str, refused: books.Refused) -> Any:
        """A refusal in the shape of this verb: queries hide it in the first cell of their rows."""
        result = failed([refusal(refused)], refused.code)
        if verb == "ExecuteBillQuery":
            return [[result]]
        return [result] if verb == "BillQuery" else result

    def _async_result(self, body: dict[str, Any]) -> Any:
        info = _inner(body.get("queryInfo")) or {}
        key = str(info.get("TaskId"))
        if key not in self.tasks:
            return {"TaskId": key, "Status": 2, "Successful": False, "Message": "任务不存在", "Result": None}
        return {
            "TaskId": key, "Status": 2, "Successful": True, "Message": None, "Result": self.tasks[key], "Progress": 100,
        }  # fmt: skip

    def _save(self, call: Call) -> Any:
        model = _inner(call.data.get("Model"))
        if not isinstance(model, dict):
            raise books.Refused(8, "Model不能为空")
        wanted = list(call.data.get("NeedReturnFields") or [])
        try:
            made = self.ledger.save(call.form, model, call.data, draft=call.verb == "Draft")
        except books.Refused as refused:
            answer = failed([refusal(refused)], refused.code)
            answer["Result"] |= {"Id": "", "NeedReturnData": [{}]}
            return answer
        answer = succeeded([made])
        answer["Result"] |= {"Id": made.id, "Number": made.number, "NeedReturnData": [self._returned(made, wanted)]}
        return answer

    def _batch_save(self, call: Call) -> Any:
        models = _inner(call.data.get("Model"))
        if not isinstance(models, list):
            raise books.Refused(8, "Model必须是数组")
        wanted = list(call.data.get("NeedReturnFields") or [])
        saved: list[tuple[int, books.Document]] = []
        errors: list[dict[str, Any]] = []
        returned: list[dict[str, Any]] = []
        code = 0
        for place, model in enumerate(models):
            try:
                made = self.ledger.save(call.form, model, call.data)
                saved.append((place, made))
                returned.append(self._returned(made, wanted))
            except books.Refused as refused:
                errors.append(refusal(refused, place))
                returned.append({})
                code = refused.code
        answer = failed(errors, code) if errors else succeeded([])
        answer["Result"]["ResponseStatus"]["SuccessEntitys"] = [_entity(made, place) for place, made in saved]
        answer["Result"]["NeedReturnData"] = returned
        return answer

    def _returned(self, made: books.Document, wanted: list[str]) -> dict[str, Any]:
        """The asked-for fields of a saved document; keys the form does not have are left out, as sites do."""
        found: dict[str, Any] = {}
        for key in wanted:
            with contextlib.suppress(books.Refused):
                found[key] = views.row_value(self.ledger, made, None, key)
        return found

    def _view(self, call: Call) -> Any:
        found = self.ledger.find(
            call.form, number=str(call.data.get("Number") or ""), key=str(call.data.get("Id") or "")
        )
        return {"Result": {"ResponseStatus": None, "Result": views.view(self.ledger, found)}}

    def _rows(self, call: Call) -> Any:
        keys, rows = query.run(self.ledger, call.data)
        return rows if call.verb == "ExecuteBillQuery" else [dict(zip(keys, row, strict=True)) for row in rows]

    def _named(self, call: Call) -> list[books.Document]:
        numbers = [str(number) for number in call.data.get("Numbers") or []]
        keys = [key.strip() for key in str(call.data.get("Ids") or "").split(",") if key.strip()]
        found = [self.ledger.find(call.form, number=number) for number in numbers]
        found += [self.ledger.find(call.form, key=key) for key in keys if not numbers]
        if not found:
            raise books.Refused(8, "Numbers和Ids不能同时为空")
        return found

    def _each(self, call: Call) -> Any:
        done: list[books.Document] = []
        errors: list[dict[str, Any]] = []
        code = 0
        for place, document in enumerate(self._named(call)):
            try:
                self._act(call, document)
                done.append(document)
            except books.Refused as refused:
                errors.append(refusal(refused, place))
                code = refused.code
        if not errors:
            return succeeded(done)
        answer = failed(errors, code)
        answer["Result"]["ResponseStatus"]["SuccessEntitys"] = [_entity(one, at) for at, one in enumerate(done)]
        return answer

    def _act(self, call: Call, document: books.Document) -> None:
        marks = {
            "Forbid": {"forbid_status": "B"},
            "Enable": {"forbid_status": "A"},
            "BillClose": {"close_status": "B"},
            "Close": {"close_status": "B"},
            "UnClose": {"close_status": "A"},
            "BillUnClose": {"close_status": "A"},
            "Cancel": {"cancel_status": "B"},
            "UnCancel": {"cancel_status": "A"},
        }
        match call.verb:
            case "Submit":
                self.ledger.submit(document)
            case "Audit":
                self.ledger.audit(document)
                if document.form.id == "SAL_OUTSTOCK":
                    shipping.leave(self.ledger, document)
            case "UnAudit":
                self.ledger.unaudit(document)
            case "CancelAssign":
                self.ledger.cancel_submit(document)
            case "Delete":
                self.ledger.delete(document)
            case "ExcuteOperation":
                if call.operation not in marks:
                    raise books.Refused(3, f"操作编码不存在：{call.operation}")
                self._allowed(call.operation, document)
                self.ledger.mark(document, **marks[call.operation])

    def _allowed(self, operation: str, document: books.Document) -> None:
        """Cancelling is for documents that are not audited, closing for those that are; neither happens twice."""
        self.ledger.refuse_locked(document)
        fit = {
            "Cancel": document.status in books.OPEN and document.cancel_status == "A",
            "BillClose": document.status == "C" and document.close_status == "A" and document.cancel_status == "A",
        }
        if not fit.get(operation, True):
            raise books.Refused(11, f"{document.form.label}“{document.number}”不满足操作条件，操作失败")
        if operation == "Cancel" and any(self.ledger.links.get(row["FEntryID"]) for row in document.main_rows()):
            raise books.Refused(11, f"{document.form.label}“{document.number}”已有下游单据，不允许作废")

    def _workflow_audit(self, call: Call) -> Any:
        for document in self._named(call):
            if str(call.data.get("ApprovalType")) == "1":
                self.ledger.audit(document, by_people=True)
            else:
                self.ledger.cancel_submit(document)
        return succeeded(self._named(call))

    def _push(self, call: Call) -> Any:
        target = str(call.data.get("TargetFormId") or "")
        if call.form != "SAL_SaleOrder" or target not in {"", "SAL_OUTSTOCK"}:
            raise books.Refused(11, f"没有从{call.form}到{target}的单据转换规则")
        try:
            made = [shipping.push(self.ledger, order) for order in self._named(call)]
        except books.Refused as refused:
            return self._unconverted(refused)
        answer = succeeded(made)
        answer["Result"]["ConvertResponseStatus"] = self._converted(succeeded([]))
        return answer

    def _unconverted(self, refused: books.Refused) -> Any:
        """Why nothing could be pushed stands with the conversion; what was to be saved has no words of its own."""
        answer = failed([], 0)
        answer["Result"]["ConvertResponseStatus"] = self._converted(failed([refusal(refused)], refused.code))
        return answer

    def _converted(self, answer: dict[str, Any]) -> Any:
        status = answer["Result"]["ResponseStatus"]
        return [status] if self.convert_list else status

    def _business_info(self, call: Call) -> Any:
        form = self.ledger.form(call.form)
        fields = [
            {"Key": item.key, "Name": item.label, "MustInput": int(item.required)} for item in form.fields.values()
        ]
        entries = [
            {"Key": entry.key, "Fields": [{"Key": key} for key in entry.fields]} for entry in form.entries.values()
        ]
        answer = succeeded([])
        answer["Result"]["NeedReturnData"] = {"Id": form.id, "Name": form.label, "Fields": fields, "Entrys": entries}
        return answer

    def _switch_organisation(self, call: Call) -> Any:
        number = str(call.data.get("OrgNumber") or "")
        if not self.ledger.exists("ORG_Organizations", number):
            raise books.Refused(9, f'编码值["{number}"]不存在')
        return succeeded([])


def _entity(document: books.Document, place: int) -> dict[str, Any]:
    return {"Id": document.id, "Number": document.number, "DIndex": place}


def refusal(refused: books.Refused, place: int = 0) -> dict[str, Any]:
    """One element of Errors."""
    return {"FieldName": refused.key, "Message": refused.message, "DIndex": place}


def failed(errors: list[dict[str, Any]], code: int) -> dict[str, Any]:
    """The envelope of a failure."""
    status = {"ErrorCode": 500, "IsSuccess": False, "Errors": errors, "SuccessEntitys": [], "SuccessMessages": []}
    return {"Result": {"ResponseStatus": {**status, "MsgCode": code}}}


def succeeded(done: list[books.Document]) -> dict[str, Any]:
    """The envelope of a success."""
    entities = [_entity(document, place) for place, document in enumerate(done)]
    status = {"IsSuccess": True, "Errors": [], "SuccessEntitys": entities, "SuccessMessages": [], "MsgCode": 0}
    return {"Result": {"ResponseStatus": status}}
