"""The books of the pretend site: documents with a life, unique numbers, amounts worked out by the server.

A document goes A (saved) -> B (submitted) -> C (audited); un-auditing makes it D, which is edited and
submitted again. Refusals carry the site's own words and MsgCode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from connectors.kingdee.simulated import forms

STATUS_WORDS = {"Z": "暂存", "A": "创建", "B": "审核中", "C": "已审核", "D": "重新审核"}
OPEN = frozenset("ZAD")
CENT = Decimal("0.01")
CURRENCIES = ("人民币", "港币", "欧元", "日元", "新台币", "英镑", "美元")


class Refused(Exception):
    """The site says no: ``code`` is its MsgCode, ``field`` the key it blames."""

    def __init__(self, code: int, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.key = key


@dataclass(slots=True)
class Document:
    """One document or master record; header and rows are kept by Save key."""

    form: forms.Form
    id: int
    number: str
    status: str
    created: datetime
    modified: datetime
    header: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    approved: datetime | None = None
    close_status: str = "A"
    cancel_status: str = "A"
    forbid_status: str = "A"

    def main_rows(self) -> list[dict[str, Any]]:
        return self.rows.get(self.form.main.key, []) if self.form.main else []


class Books:
    """All documents of one site.

    ``now`` gives naive local time; ``effect(kind, number, data)`` is told of every change that is final.
    """

    def __init__(self, now: Callable[[], datetime], effect: Callable[[str, str, Any], None]) -> None:
        self.now = now
        self.effect = effect
        self.forms = forms.all_forms()
        self.documents: dict[str, dict[str, Document]] = {form_id: {} for form_id in self.forms}
        self.catalogue: dict[str, dict[str, str]] = {
            "ORG_Organizations": {"100": "示例销售组织"},
            "BD_UNIT": {"Pcs": "件"},
            "BD_Currency": dict(zip((f"PRE00{digit}" for digit in range(1, 8)), CURRENCIES, strict=True)),
            "BD_STOCK": {"CK001": "成品仓"},
            "BD_Supplier": {
                "SF": "顺丰速运",
                "ZTO": "中通快递",
                "YTO": "圆通速递",
                "JD": "京东物流",  # house: vendor-word because a courier's code
            },
        }
        """Records that are only ever pointed to: form -> number -> name."""
        self.workflow: set[str] = set()
        """Forms whose audit is decided by people in a workflow."""
        self.locked: dict[str, float] = {}
        """Document number -> Unix time until which somebody edits it."""
        self.audited_edit = True
        """Whether this site lets audited master data be edited in place."""
        self.reserves = False
        """Whether this site keeps what is left of the stock after its orders (FAVBQty)."""
        self.links: dict[int, list[Document]] = {}
        """Order row id -> the documents made from it."""
        self._ids = 100_500

    def form(self, form_id: str) -> forms.Form:
        """Raises Refused for an unknown form."""
        if not form_id:
            raise Refused(5, "FormId不能为空")
        if form_id not in self.forms:
            raise Refused(9, f"业务对象不存在：{form_id}")
        return self.forms[form_id]

    def find(self, form_id: str, *, number: str = "", key: str = "") -> Document:
        """By number or by id. Raises Refused(9) when there is none."""
        self.form(form_id)
        if number:
            found = self.documents[form_id].get(number)
        elif key and key != "0":
            found = next((one for one in self.documents[form_id].values() if str(one.id) == key), None)
        else:
            raise Refused(8, "Number和Id不能同时为空")
        if found is None:
            raise Refused(9, f'传递的编码值["{number or key}"]不存在')
        return found

    def save(self, form_id: str, model: dict[str, Any], options: dict[str, Any], *, draft: bool = False) -> Document:
        """Create or change a document. Raises Refused; then nothing was written."""
        form = self.form(form_id)
        sent_id = str(model.get(form.id_key) or "0")
        number = str(model.get(form.number_key) or "")
        if sent_id != "0":
            return self._change(self.find(form_id, key=sent_id), model, options)
        if number and number in self.documents[form_id]:
            if form.basedata and _true(options.get("IsAutoAdjustField")):
                return self._change(self.documents[form_id][number], model, options)
            taken = f"违反字段唯一性要求：编码唯一。[{number}]在当前系统中已经被使用。"
            raise Refused(11, taken, key=form.number_key)
        moment = self.now()
        made = Document(form, self.next_id(), number, "Z" if draft else "A", moment, moment)
        self._fill(made, model, options)
        if not draft:
            self._check(made)
        made.number = number or f"{form.prefix}{made.id:06d}"
        self.documents[form_id][made.number] = made
        for row in made.main_rows():
            if row.get("FSOEntryId"):
                self.links.setdefault(row["FSOEntryId"], []).append(made)
        self.effect(form.effect, made.number, {"id": made.id, "form": form_id})
        return made

    def _change(self, document: Document, model: dict[str, Any], options: dict[str, Any]) -> Document:
        editable = document.status in OPEN or (document.form.basedata and document.status == "C" and self.audited_edit)
        if not editable:
            word = "单据已审核，不允许修改" if document.status == "C" else "单据审核中，不允许修改"
            raise Refused(12, word)
        self.refuse_locked(document)
        draft = Document(
            document.form, document.id, document.number, document.status, document.created, self.now(),
            dict(document.header), {key: [dict(row) for row in rows] for key, rows in document.rows.items()},
        )  # fmt: skip
        self._fill(draft, model, options)
        self._check(draft)
        same = (document.header, document.rows) == (draft.header, draft.rows)
        document.header, document.rows, document.modified = draft.header, draft.rows, draft.modified
        if same:
            return document  # saved once more as it was: nothing changed but its time
        self.effect(f"{document.form.effect}.update", document.number, {"id": document.id})
        return document

    def _fill(self, document: Document, model: dict[str, Any], options: dict[str, Any]) -> None:
        form = document.form
        for key, value in model.items():
            if key in form.fields:
                document.header[key] = self._value(form.fields[key], value)
            elif key in form.entries:
                entry = form.entries[key]
                sent = [value] if entry.single else list(value or [])
                keep = not _true(options.get("IsDeleteEntry", True)) or entry.single
                document.rows[key] = self._rows(document, entry, sent, keep)
            elif forms.OWN_FIELD.match(key):
                document.header[key] = value
        self._total(document)

    def _rows(
        self, document: Document, entry: forms.Entry, sent: list[dict[str, Any]], keep: bool
    ) -> list[dict[str, Any]]:
        before = document.rows.get(entry.key, [])
        by_id = {str(row["FEntryID"]): row for row in before}
        if entry.single and before:
            sent = [{"FEntryID": before[0]["FEntryID"], **sent[0]}]
        rows = list(before) if keep else []
        for line in sent:
            row = by_id.get(str(line.get("FEntryID") or "0"))
            if row is None or not keep:
                row = row or {"FEntryID": self.next_id()}
                rows.append(row)
            self._assign(entry, row, line)
        return rows

    def _assign(self, entry: forms.Entry, row: dict[str, Any], line: dict[str, Any]) -> None:
        """Key by key in the order sent, because each one makes the server work the others out again."""
        for key, value in line.items():
            if key in entry.fields:
                row[key] = self._value(entry.fields[key], value)
            elif forms.OWN_FIELD.match(key):
                row[key] = value
            if entry.main and key.lower() in {"fmaterialid", "funitid"}:
                row.pop(str(entry.quantity), None)
                row.pop("FTaxPrice", None)
            if entry.main and key == entry.quantity:
                row.pop("FTaxPrice", None)
            if entry.main and key == "FTaxPrice":
                row.pop("FPrice", None)

    def _value(self, known: forms.Field, value: Any) -> Any:
        try:
            kept = forms.read(known, value)
        except (ValueError, TypeError, KeyError) as error:
            raise Refused(8, f"字段[{known.label}]的值格式不正确：{value}", key=known.key) from error
        if known.kind == "base" and kept is not None and not self.exists(known.target, kept):
            raise Refused(9, f'编码值["{kept}"]不存在', key=known.key)
        return kept

    def exists(self, target: str | None, number: str) -> bool:
        """Whether a reference can be used: catalogues always, documents once audited and not forbidden."""
        if target is None:
            return True
        if target in self.catalogue:
            return number in self.catalogue[target]
        found = self.documents[target].get(number)
        return found is not None and found.status == "C" and found.forbid_status == "A"

    def _check(self, document: Document) -> None:
        groups = [(document.form.fields, [document.header])]
        groups += [(entry.fields, document.rows.get(key, [])) for key, entry in document.form.entries.items()]
        for known, rows in groups:
            for item in known.values():
                if item.required and any(row.get(item.key) in (None, "") for row in rows):
                    raise Refused(11, f"字段[{item.label}]是必录字段", key=item.key)
        if document.form.main and not document.main_rows():
            raise Refused(11, "单据体不能为空", key=document.form.main.key)

    def _total(self, document: Document) -> None:
        main = document.form.main
        if main is None:
            return
        whole = net = Decimal(0)
        for row in document.rows.get(main.key, []):
            quantity = row.get(str(main.quantity)) or Decimal(0)
            rate = (row.get("FEntryTaxRate") or Decimal(0)) / 100
            if "FTaxPrice" in row:
                row["FPrice"] = (row["FTaxPrice"] / (1 + rate)).quantize(Decimal("0.000001"), ROUND_HALF_UP)
            elif row.get("FPrice") is not None:
                row["FTaxPrice"] = row["FPrice"] * (1 + rate)
            priced = quantity * (row.get("FTaxPrice") or Decimal(0))
            row["FAllAmount"] = priced.quantize(CENT, ROUND_HALF_UP)
            row["FAmount"] = (priced / (1 + rate)).quantize(CENT, ROUND_HALF_UP)
            whole += row["FAllAmount"]
            net += row["FAmount"]
        money = next(entry for entry in document.form.entries.values() if entry.single)
        finance = document.rows.setdefault(money.key, [{"FEntryID": self.next_id()}])[0]
        finance.update(FBillAllAmount=whole, FBillAmount=net, FBillTaxAmount=whole - net)

    def submit(self, document: Document) -> None:
        self._move(document, OPEN, "B", "submit")

    def cancel_submit(self, document: Document) -> None:
        self._move(document, frozenset("B"), "D", "withdraw")

    def audit(self, document: Document, *, by_people: bool = False) -> None:
        """Raises Refused when a workflow decides and nobody has agreed yet."""
        if document.status == "B" and document.form.id in self.workflow and not by_people:
            raise Refused(11, f"{document.form.label}“{document.number}”已启动工作流，请通过工作流审批")
        self._move(document, frozenset("B"), "C", "audit")
        document.approved = document.modified

    def unaudit(self, document: Document) -> None:
        self._move(document, frozenset("C"), "D", "unaudit")
        document.approved = None

    def _move(self, document: Document, allowed: frozenset[str], to: str, verb: str) -> None:
        if document.status not in allowed or document.cancel_status == "B":
            word = "已作废" if document.cancel_status == "B" else STATUS_WORDS[document.status]
            raise Refused(11, f"单据编号为“{document.number}”的{document.form.label}，状态为“{word}”，不满足操作条件")
        self.refuse_locked(document)
        document.status = to
        document.modified = self.now()
        self.effect(f"{document.form.effect}.{verb}", document.number, {"id": document.id, "status": to})

    def delete(self, document: Document) -> None:
        if document.status not in OPEN:
            raise Refused(12, f"{document.form.label}“{document.number}”{STATUS_WORDS[document.status]}，不允许删除")
        self.refuse_locked(document)
        del self.documents[document.form.id][document.number]
        self.effect(f"{document.form.effect}.delete", document.number, {"id": document.id})

    def mark(self, document: Document, **states: str) -> None:
        """Close, cancel or forbid: ``close_status`` / ``cancel_status`` / ``forbid_status``, A or B."""
        for name, value in states.items():
            setattr(document, name, value)
        document.modified = self.now()
        self.effect(f"{document.form.effect}.mark", document.number, states)

    def refuse_locked(self, document: Document) -> None:
        """Raises Refused(13) while somebody edits the document."""
        until = self.locked.get(document.number)
        if until is not None and until > self.now().replace(tzinfo=forms.ZONE).timestamp():
            raise Refused(13, f"网络控制冲突：{document.form.label}“{document.number}”正在被其他用户编辑")

    def next_id(self) -> int:
        self._ids += 1
        return self._ids


def _true(value: Any) -> bool:
    """The site's switches come as booleans and as texts."""
    return value if isinstance(value, bool) else str(value).lower() == "true"
