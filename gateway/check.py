"""The doctor: looks at every connector, mapping and route, says what is wrong and how to mend it, grades connectors.

Grades are computed, never claimed: connectors/core/grade.py says what each takes.
"""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any, Literal

import pydantic

from connectors.core import declaration, errors, grade, plan, registry, signing, verify
from gateway import (
    alerting,
    consistency,
    current,
    declarations,
    hub_file,
    problems,
    route_soundness,
    schedules,
    soundness,
)
from mappings import check as mapping_check
from mappings import errors as mapping_errors
from mappings import library, linter
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import alarm, schedule
from retry_queue.sync import route as routes

Level = Literal["error", "warning", "info"]
_HAN = re.compile(r"[一-鿿]")
SCHEMES = frozenset({*verify.SCHEMES, "custom"})


@dataclass(frozen=True, slots=True)
class Line:
    """One remark. ``subject`` says what it is about: a file, a connection, a route."""

    level: Level
    subject: str
    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.level} {self.subject}: {self.en} / {self.zh}"


@dataclass(slots=True)
class Report:
    """What the doctor found."""

    lines: list[Line] = field(default_factory=list)
    grades: dict[str, str] = field(default_factory=dict)
    unconfirmed: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not any(line.level == "error" for line in self.lines)

    def say(self, level: Level, subject: str, zh: str, en: str) -> None:
        self.lines.append(Line(level, subject, zh, en))


# --- connectors ---------------------------------------------------------------------------------


def connectors(report: Report) -> None:
    """Every connector that is here."""
    names = registry.all_ids()
    report.counts["connectors"] = len(names)
    for name in names:
        before = len(report.lines)
        try:
            spec = registry.get(name)
        except registry.DeclarationError as error:
            for text in str(error).splitlines():
                report.say("error", f"connectors/{name}", f"声明有误：{text}", text)
            report.grades[name] = "none"
            continue
        folder = registry.folder(name)
        for line in _connector(spec, folder):
            report.lines.append(line)
        broken = any(line.level == "error" for line in report.lines[before:])
        report.grades[name] = "none" if broken else grade.judged(spec, folder).level.name.lower()
        if spec.unconfirmed:
            report.unconfirmed[name] = spec.unconfirmed


def _connector(spec: declaration.Declaration, folder: Traversable) -> Iterator[Line]:
    subject = f"connectors/{spec.id}"
    yield from _labels(spec.model_dump(), subject, "")
    readme = folder.joinpath("README.md")
    if not readme.is_file() or len(readme.read_text(encoding="utf-8").strip()) < 200:
        yield Line(
            "error",
            f"{subject}/README.md",
            "缺少说明：管理员如何取得密钥（中文在前）",
            "say how an admin gets the keys",
        )
    for one in spec.fields:
        yield from _field(one, f"{subject}: fields.{one.key}")
    for name in spec.operations:
        try:
            plan.of(spec, name)
        except (errors.Misdeclared, ValueError) as error:
            yield Line("error", f"{subject}: operations.{name}", f"无法使用：{error}", f"cannot be used: {error}")
    if spec.signing.scheme != "custom" and spec.signing.scheme not in signing.SCHEMES:
        zh, en = f"没有签名方式 {spec.signing.scheme}", f"no signing scheme '{spec.signing.scheme}'"
        yield Line("error", f"{subject}: signing", zh, en)
    for name, source in spec.events.items():
        if source.verify is not None and source.verify.scheme not in SCHEMES:
            zh, en = f"没有验签方式 {source.verify.scheme}", f"no verification scheme '{source.verify.scheme}'"
            yield Line("error", f"{subject}: events.{name}", zh, en)
    yield from _samples(folder, subject)
    yield from _mapped(spec, subject)


def _labels(node: Any, subject: str, path: str) -> Iterator[Line]:
    if isinstance(node, dict):
        if set(node) == {"zh", "en"}:
            if not str(node["zh"]).strip() or not str(node["en"]).strip():
                yield Line("error", f"{subject}: {path}", "中英文都要写", "needs words in zh and in en")
            elif _HAN.search(str(node["en"])):
                yield Line("warning", f"{subject}: {path}.en", "英文里有中文", "Chinese in the English words")
            return
        for key, value in node.items():
            yield from _labels(value, subject, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _labels(value, subject, f"{path}[{index}]")


def _field(one: declaration.FieldSpec, subject: str) -> Iterator[Line]:
    if one.pattern is not None:
        try:
            re.compile(one.pattern)
        except re.error as error:
            yield Line(
                "error", subject, f"pattern 不是正则表达式（{error}）", f"pattern is no regular expression ({error})"
            )
    if one.type is declaration.FieldType.CHOICE and not one.choices:
        yield Line("error", subject, "choice 类型要有 choices", "a choice needs choices")
    if one.secret and one.default is not None:
        yield Line("error", subject, "密钥不能有默认值", "a secret has no default")
    if one.required and one.help is None and one.default is None and one.secret:
        yield Line(
            "info", subject, "建议写 help：这个密钥在哪里取得", "a help text would say where this secret is found"
        )


def _files(folder: Traversable, name: str) -> list[Traversable]:
    place = folder.joinpath(name)
    return sorted(place.iterdir(), key=lambda one: one.name) if place.is_dir() else []


def _samples(folder: Traversable, subject: str) -> Iterator[Line]:
    found = _files(folder, "samples")
    if not found:
        yield Line("error", f"{subject}/samples", "缺少样例报文", "no samples; put real payloads here")
    for file in found:
        if file.name.endswith(".json"):
            try:
                json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                yield Line("error", f"{subject}/samples/{file.name}", f"不是 JSON：{error}", f"not JSON: {error}")


def _needs(spec: declaration.Declaration) -> Iterator[tuple[str, str, bool]]:
    """(place, mapping name, whether it must read) of everything that is mapped."""
    for key, message in spec.messages.items():
        name = message.mapping or message.entity
        if name is not None and "${" not in name:
            yield f"messages.{key}", name, True
    for key, operation in spec.operations.items():
        inner = any(key in [step.operation for step in one.flow.steps] for one in spec.operations.values() if one.flow)
        if operation.kind in ("write", "act") and not inner and (operation.mapping or operation.entity):
            yield f"operations.{key}", operation.mapping or operation.entity or "", False


def _mapped(spec: declaration.Declaration, subject: str) -> Iterator[Line]:
    for place, name, reads in _needs(spec):
        if (spec.id, name) not in library.names():
            zh = f"没有字段映射 mappings/{spec.id}/{name}.yaml"
            yield Line("warning", f"{subject}: {place}", zh, f"there is no mapping mappings/{spec.id}/{name}.yaml")
            continue
        try:
            made = library.shipped(spec.id, name)
        except mapping_errors.MappingError:
            continue  # said where the mapping is
        if not (made.reads if reads else made.writes):
            zh, en = ("读取", "read") if reads else ("写出", "write")
            text = f"mappings/{spec.id}/{name}.yaml"
            yield Line("warning", f"{subject}: {place}", f"{text} 没有{zh}方向的规则", f"{text} does not {en}")


# --- mappings -----------------------------------------------------------------------------------


def mappings(report: Report) -> None:
    """Every shipped mapping: lint, and its own tests."""
    report.counts["mappings"] = len(library.names())
    for connector, name in library.names():
        file = f"mappings/{connector}/{name}.yaml"
        if connector not in registry.all_ids():
            report.say("error", file, f"没有连接器 {connector}", f"there is no connector '{connector}'")
        mapping(report, library.text(connector, name), file)


def mapping(report: Report, text: str, file: str) -> None:
    """One mapping's text."""
    findings = linter.lint(text, file)
    for one in findings:
        if one.level != "info":
            report.say(one.level, f"{file}:{one.line}", one.zh, one.en)
    if any(one.level == "error" for one in findings):
        return
    for result in mapping_check.run(library.parse(text, file)):
        report.counts["mapping_tests"] = report.counts.get("mapping_tests", 0) + 1
        if not result.passed:
            said = f"“{result.name}” {result.problem}"
            report.say("error", file, f"测试未通过：{said}", f"a test fails: {said}")


# --- what a site configured ---------------------------------------------------------------------


def site(report: Report, now: current.Current) -> None:
    """Connections, mappings and routes of the ledger."""
    report.counts |= {"connections": len(now.connections), "routes": len(now.routes)}
    for (connector, name), row in now.mappings.items():
        mapping(report, row.body, f"{connector}/{name}@{row.version}")
    for fault in declarations.doubts(now):
        report.say("error", f"declaration {fault.path[0]}", fault.zh, fault.en)
    for key, one in now.connections.items():
        declared = soundness.declared(one.connector, now.connectors)
        if isinstance(declared, problems.Fault):
            report.say("error", f"connection {key}", declared.zh, declared.en)
            continue
        hidden = dict.fromkeys(one.sealed, soundness.UNREAD)
        faults = soundness.values(declared, one.config, {})
        if one.state is ConnectionState.ENABLED:
            faults += soundness.gaps(declared, key, one.config, hidden)
        for fault in faults:
            report.say("error", f"connection {key}{fault.pointer}", fault.zh, fault.en)
        if one.state is ConnectionState.NEEDS_AUTH:
            report.say(
                "warning",
                f"connection {key}",
                "授权失效，请在连接页重新授权",
                "credentials were refused; authorise again",
            )
    world, states = now.world(), {key: str(one.state) for key, one in now.connections.items()}
    for key, stored in now.routes.items():
        try:
            given = routes.Route.model_validate({**stored.spec, "key": key, "enabled": stored.enabled})
        except pydantic.ValidationError as error:
            for fault in soundness.shape(error, routes.Route):
                report.say("error", f"route {key}{fault.pointer}", fault.zh, fault.en)
            continue
        for fault in route_soundness.route(given, world):
            report.say("error", f"route {key}{fault.pointer}", fault.zh, fault.en)
        for fault in route_soundness.doubtful(given, states) if given.enabled else []:
            report.say("warning", f"route {key}{fault.pointer}", fault.zh, fault.en)
    _schedules(report, now)
    for fault in consistency.faults(now.parsed_routes(), now.rules(), world):
        report.say("error", " ".join(str(step) for step in fault.path), fault.zh, fault.en)


def _schedules(report: Report, now: current.Current) -> None:
    world = now.world()
    for key, turn in now.reconciliations.items():
        try:
            faults = schedules.faults(schedule.Schedule.model_validate(turn), world)
        except pydantic.ValidationError as error:
            faults = soundness.shape(error, schedule.Schedule)
        for fault in faults:
            report.say("error", f"reconciliation {key}{fault.pointer}", fault.zh, fault.en)
    for key, given in now.alerts.items():
        try:
            faults = alerting.faults(alarm.Alert.model_validate(given), world)
        except pydantic.ValidationError as error:
            faults = soundness.shape(error, alarm.Alert)
        for fault in faults:
            report.say("error", f"alert {key}{fault.pointer}", fault.zh, fault.en)


def drafted(report: Report, found: list[hub_file.Problem]) -> None:
    """The problems of a hub.yaml."""
    for one in found:
        report.say("error", f"{one.file}:{one.line}", one.zh, one.en)


def shipped() -> Report:
    """The doctor's report on everything this installation ships."""
    report = Report()
    connectors(report)
    mappings(report)
    for folder in importlib.resources.files("mappings").iterdir():
        if folder.is_dir() and folder.joinpath(registry.FILE).is_file():
            zh, en = "连接器声明应放在 connectors/ 下", "a connector's declaration belongs under connectors/"
            report.say("error", f"mappings/{folder.name}", zh, en)
    return report
