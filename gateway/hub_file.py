"""Reading ``hub.yaml``: from text to what is wanted, with every problem by file and line.

Nothing here looks at the ledger. ``${NAME}`` in secrets and settings is filled from the environment (``$${``
writes a plain ``${``); a variable that is not set is a problem that names it, unless ``lenient``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from connectors.core import catalogue
from connectors.core.own import source
from gateway import declarations, entity_soundness, outside, settings, soundness
from gateway.problems import Fault
from mappings import canonical, check, library, linter, places, yaml_text
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import alarm, schedule
from retry_queue.sync import route as routes

API_VERSION = "shuniu/v1"
SECTIONS = ("declarations", "connections", "mappings", "templates", "entities", "routes", "reconciliations", "alerts")
_STATES = {"enabled": ConnectionState.ENABLED, "paused": ConnectionState.PAUSED, "disabled": ConnectionState.DISABLED}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file. ``line`` counts from 1, 0 for the file as a whole."""

    file: str
    line: int
    code: str
    zh: str
    en: str

    def text(self, language: str = "zh") -> str:
        return f"{self.file}:{self.line}: {self.zh if language == 'zh' else self.en}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.en} / {self.zh}"


class Broken(Exception):
    """A file that cannot be applied; ``problems`` lists everything found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(one) for one in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class WantedConnection:
    """A connection as the file has it; ``secrets`` in clear, and all of them."""

    connector: str
    config: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)
    state: ConnectionState
    referred: frozenset[str] = frozenset()
    """Those of ``secrets`` that say where the secret is, for the hub to look it up."""


@dataclass(slots=True)
class Draft:
    """What a file wants. ``where`` leads from (section, key) to the place in the file."""

    file: str
    lines: yaml_text.Lines
    declarations: dict[str, str] = field(default_factory=dict)
    connections: dict[str, WantedConnection] = field(default_factory=dict)
    mappings: dict[tuple[str, str], str] = field(default_factory=dict)
    templates: dict[str, routes.Template] = field(default_factory=dict)
    entities: dict[str, routes.EntityRule] = field(default_factory=dict)
    routes: dict[str, routes.Route] = field(default_factory=dict)
    reconciliations: dict[str, schedule.Schedule] = field(default_factory=dict)
    alerts: dict[str, alarm.Alert] = field(default_factory=dict)
    where: dict[tuple[str, str], tuple[str | int, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    later: list[Callable[[catalogue.Catalogue], None]] = field(default_factory=list)
    """Connections of connectors that neither the product nor the file has: the ledger may."""

    def settle(self, connectors: catalogue.Catalogue) -> None:
        """Reads those connections, now that every connector of the site is known."""
        waiting, self.later = self.later, []
        for read_one in waiting:
            read_one(connectors)

    def say(self, fault: Fault, *above: str | int) -> None:
        """Adds a fault at its line."""
        line = places.line_of((*above, *fault.path), self.lines)
        self.problems.append(Problem(self.file, line, fault.code, fault.zh, fault.en))

    def place(self, section: str, key: str) -> tuple[str | int, ...]:
        """Where an entry stands."""
        return self.where.get((section, key), (section,))


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Declaration(_Entry):
    file: str | None = None
    body: str | None = None
    spec: dict[str, Any] | None = None


class _Connection(_Entry):
    key: routes.Key
    connector: str
    config: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, str | int] = Field(default_factory=dict)
    state: Literal["enabled", "paused", "disabled"] = "enabled"


class _Mapping(_Entry):
    connector: str
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
    file: str | None = None
    body: str | None = None


def read(
    text: str,
    file: str,
    *,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
    lenient: bool = False,
) -> Draft:
    """What a file wants, with everything that is wrong in it. Never raises for what the file says.

    ``folder`` is where relative mapping files are; ``variables`` go before the environment; ``lenient`` lets
    variables be missing, for checking on a machine that has no secrets.
    """
    try:
        data, lines = yaml_text.load(text)
    except yaml_text.YamlError as error:
        draft = Draft(file, {})
        draft.problems.append(Problem(file, error.line, "yaml", error.zh, error.en))
        return draft
    draft = Draft(file, lines)
    if not isinstance(data, dict):
        draft.say(Fault("shape", "文件应是一个对象（apiVersion、connections …）", "the file must be an object"))
        return draft
    if data.get("apiVersion") != API_VERSION:
        zh, en = f"apiVersion 应为 {API_VERSION}", f"apiVersion must be {API_VERSION}"
        draft.say(Fault("api_version", zh, en, ("apiVersion",)))
    for key in data:
        if key not in ("apiVersion", *SECTIONS):
            known = ("apiVersion", *SECTIONS)
            draft.say(soundness.unknown("unknown_key", ("这个键", "key"), str(key), known, key))
    reader = _Reader(draft, folder, variables or {}, lenient)
    for index, entry in reader.entries(data, "declarations"):
        reader.declaration(index, entry)
    for index, entry in reader.entries(data, "connections"):
        reader.connection(index, entry)
    for index, entry in reader.entries(data, "mappings"):
        reader.mapping(index, entry)
    for section, model_type, into in _keyed(draft):
        for index, entry in reader.entries(data, section):
            made = reader.shaped(model_type, plain(entry), (section, index))
            if made is not None and reader.fresh(section, made.key, index):
                into[made.key] = made
    reader.entities(data.get("entities"))
    return draft


def _keyed(draft: Draft) -> Iterator[tuple[str, type[Any], dict[str, Any]]]:
    """The sections that are lists of things with a key, what they are made of, and where they go."""
    yield "templates", routes.Template, draft.templates
    yield "routes", routes.Route, draft.routes
    yield "reconciliations", schedule.Schedule, draft.reconciliations
    yield "alerts", alarm.Alert, draft.alerts


class _Reader:
    def __init__(self, draft: Draft, folder: Path | None, variables: Mapping[str, str], lenient: bool) -> None:
        self._draft, self._folder, self._variables, self._lenient = draft, folder, variables, lenient

    def entries(self, data: dict[Any, Any], section: str) -> Iterator[tuple[int, Any]]:
        found = data.get(section)
        if found is None:
            return
        if not isinstance(found, list):
            self._draft.say(Fault("shape", f"{section} 应为列表", f"{section} must be a list", (section,)))
            return
        yield from enumerate(found)

    def shaped(
        self, model_type: type[soundness.ModelT], entry: Any, place: tuple[str | int, ...]
    ) -> soundness.ModelT | None:
        """The entry as a model.

        What is wrong is said; the rest is still read, so that a spelling mistake does not hide those behind it.
        """
        try:
            return model_type.model_validate(entry)
        except pydantic.ValidationError as error:
            for fault in soundness.shape(error, model_type):
                self._draft.say(fault, *place)
            rest = copy.deepcopy(entry)
            for detail in error.errors(include_url=False, include_input=False, include_context=False):
                _cut(rest, detail["loc"])
        try:
            return model_type.model_validate(rest)
        except pydantic.ValidationError:
            return None

    def fresh(self, section: str, key: str, index: int) -> bool:
        """Notes where a key stands; says so when it stands there twice."""
        if (section, key) in self._draft.where:
            self._draft.say(Fault("twice", f"{key} 重复", f"'{key}' is there twice", (section, index, "key")))
            return False
        self._draft.where[(section, key)] = (section, index)
        return True

    def connection(self, index: int, entry: Any) -> None:
        given = self.shaped(_Connection, entry, ("connections", index))
        if given is None or not self.fresh("connections", given.key, index):
            return
        known = catalogue.Catalogue(self._draft.declarations)
        if given.connector not in known.ids():
            self._draft.later.append(lambda connectors: self._connected(index, given, connectors))
        else:
            self._connected(index, given, known)

    def _connected(self, index: int, given: _Connection, connectors: catalogue.Catalogue) -> None:
        place = ("connections", index)
        declared = soundness.declared(given.connector, connectors)
        if isinstance(declared, Fault):
            self._draft.say(declared, *place)
            return
        config, missing = self._filled(given.config, (*place, "config"))
        entered = {key: str(value) for key, value in given.secrets.items()}
        lasting = {key: value for key, value in entered.items() if outside.is_one(value)}
        rest = {key: value for key, value in entered.items() if key not in lasting}
        filled, unset = self._filled(rest, (*place, "secrets"))
        config = soundness.settled(declared, plain(config))
        present = {key: value for key, value in filled.items() if key not in unset}
        checked = {key: value for key, value in config.items() if key not in missing}
        for fault in soundness.values(declared, checked, present):
            self._draft.say(fault, *place)
        for fault in soundness.values(declared, {}, dict.fromkeys(lasting, "")):
            self._draft.say(fault, *place)
        secrets = {key: value for key, value in filled.items() if value} | lasting
        state = _STATES[given.state]
        if state is ConnectionState.ENABLED and (self._lenient or not unset | missing):
            for fault in soundness.gaps(
                declared, given.key, config, secrets | dict.fromkeys(lasting, soundness.UNREAD)
            ):
                hint_zh, hint_en = "；暂不使用请写 state: disabled", "; to leave it for later, write state: disabled"
                self._draft.say(Fault(fault.code, fault.zh + hint_zh, fault.en + hint_en, fault.path), *place)
        wanted = WantedConnection(given.connector, config, secrets, state, frozenset(lasting))
        self._draft.connections[given.key] = wanted

    def _filled(self, fields: dict[str, Any], place: tuple[str | int, ...]) -> tuple[dict[str, Any], set[str]]:
        out: dict[str, Any] = {}
        unset: set[str] = set()
        for key, value in fields.items():
            if not isinstance(value, str):
                out[key] = value
                continue
            try:
                out[key] = expand(value, self._variables)
            except settings.Unusable as error:
                out[key] = value if self._lenient else ""
                unset.add(key)
                if not self._lenient:
                    self._draft.say(Fault("unset", error.zh, error.en, (key,)), *place)
        return out, unset

    def _text(self, given: _Mapping | _Declaration, place: tuple[str | int, ...]) -> str | None:
        """The text an entry gives or points to; None when there is none, which is said."""
        if (given.body is None) == (given.file is None):
            zh, en = "请写 file（文件路径）或 body（内容），二选一", "give either file (a path) or body (the text)"
            self._draft.say(Fault("shape", zh, en), *place)
            return None
        if given.file is None:
            return given.body
        try:
            return ((self._folder or Path()) / given.file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            zh, en = f"读不到文件 {given.file}", f"the file {given.file} cannot be read"
            self._draft.say(Fault("file", zh, en, ("file",)), *place)
            return None

    def declaration(self, index: int, entry: Any) -> None:
        place = ("declarations", index)
        given = self.shaped(_Declaration, entry, place)
        if given is None:
            return
        text = source.written(plain(given.spec)) if given.spec is not None else self._text(given, place)
        if text is None:
            return
        made, faults = declarations.read(text)
        for fault in faults:
            self._draft.say(fault.under("spec") if given.spec is not None else replace(fault, path=()), *place)
        if made is not None and self.fresh("declarations", made.id, index):
            self._draft.declarations[made.id] = text

    def mapping(self, index: int, entry: Any) -> None:
        place = ("mappings", index)
        given = self.shaped(_Mapping, entry, place)
        if given is None:
            return
        name = f"{given.connector}/{given.name}"
        if not self.fresh("mappings", name, index):
            return
        text = self._text(given, place)
        if text is None:
            return
        for fault in mapping_faults(text, given.connector, given.file or name):
            self._draft.say(fault, *place)
        self._draft.mappings[(given.connector, given.name)] = text

    def entities(self, found: Any) -> None:
        if found is None:
            return
        if not isinstance(found, dict):
            self._draft.say(Fault("shape", "entities 应为对象", "entities must be an object", ("entities",)))
            return
        for name, entry in found.items():
            place = ("entities", name)
            if name not in canonical.MODELS:
                what = ("业务对象", "entity")
                self._draft.say(soundness.unknown("unknown_entity", what, str(name), canonical.MODELS, *place))
                continue
            rule = self.shaped(routes.EntityRule, entry, place)
            if rule is None:
                continue
            for fault in entity_soundness.unknown_fields(name, rule):
                self._draft.say(fault, *place)
            self._draft.where[("entities", name)] = place
            self._draft.entities[name] = rule


def _cut(node: Any, path: tuple[int | str, ...]) -> None:
    """Takes the member at ``path`` out of plain data, where there is one."""
    for step in path[:-1]:
        if not isinstance(node, dict | list):
            return
        try:
            node = node[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(node, dict) and path:
        node.pop(path[-1], None)


def mapping_faults(text: str, connector: str, file: str) -> list[Fault]:
    """What forbids using a mapping text: lint errors, the wrong connector, failing tests."""
    found = [
        Fault("mapping", f"{file} 第 {one.line} 行：{one.zh}", f"{file} line {one.line}: {one.en}")
        for one in linter.lint(text, file)
        if one.level == "error"
    ]
    if found:
        return found
    made = library.parse(text, file)
    if made.spec.connector != connector:
        said = made.spec.connector
        zh, en = (
            f"{file} 里写的 connector 是 {said}，应为 {connector}",
            f"{file} says connector {said}, not {connector}",
        )
        found.append(Fault("connector", zh, en))
    for result in check.run(made):
        if not result.passed:
            zh = f"{file} 的测试「{result.name}」未通过：{result.problem}"
            found.append(Fault("test", zh, f"{file}: test '{result.name}' fails: {result.problem}"))
    return found


def expand(text: str, variables: Mapping[str, str] | None = None) -> str:
    """Fills ``${NAME}``; ``$${`` is a plain ``${``. Raises settings.Unusable naming what is not set."""
    return "${".join(settings.expand(part, variables) for part in text.split("$${"))


def escape(text: str) -> str:
    """Text that ``expand`` gives back as it is."""
    return text.replace("${", "$${")


def plain(value: Any) -> Any:
    """Exact decimals as the numbers JSON knows."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value
