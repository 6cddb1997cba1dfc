"""What the documents say is so: links lead somewhere, names exist in the code, examples work, the twins agree."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from connectors.core import declaration, registry, signing, terms, verify
from connectors.simulator import faults
from gateway import api, cli, current, hub, hub_file, settings
from mappings import canonical, check, functions, library, linter, spec
from retry_queue.ledger import upkeep
from retry_queue.sync import alarm, plan, route, schedule
from scripts import house
from tests.conformance import proving, rehearsal

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [path for path in house.files(ROOT) if path.suffix == ".md"]
OURS = [path for path in DOCUMENTS if path.parts[0] != "connectors"]
TWINS = ("README.md", "README.zh-CN.md")
SCRIPT_WORDS = {"test", "lint", "lock", "ui", "docs", "faults", "sbom", "audit-dependencies", "bundle"}
"""What ``./shuniu`` does itself."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
METRIC = re.compile(r'"(shuniu_\w+_(?:total|seconds))"')
CJK = re.compile(r"[\u4e00-\u9fff]")


def text(name: str | Path) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(name: str | Path) -> str:
    """A document without its fenced blocks."""
    return FENCE.sub("", text(name))


def fences(name: str | Path, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(text(name)) if kind == language]


def section(name: str, title: str) -> str:
    """The part under a heading that begins with ``title``, up to the next heading of its level."""
    found = re.search(rf"^(#+) {re.escape(title)}.*?\n(.*?)(?=^#{{1,2}} |\Z)", prose(name), re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no heading '{title}'"
    return found[2]


def rows(part: str) -> list[list[str]]:
    """The cells of every table row, heads and rulers left out."""
    lines = [line for line in part.splitlines() if line.startswith("|")]
    made = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rulers = [place for place, cells in enumerate(made) if set("".join(cells)) <= set("-: ")]
    return [cells for place, cells in enumerate(made) if place not in rulers and place + 1 not in rulers]


def spans(part: str) -> set[str]:
    return set(CODE.findall(part))


def anchors(name: Path) -> set[str]:
    """The places a link may name, as the usual renderers make them from headings."""
    titles = [title.lower() for _, title in HEADING.findall(prose(name))]
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in titles}


# --- links --------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in LINK.findall(prose(document)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / document.parent / path).resolve() if path else ROOT / document
        assert target.exists(), f"{document}: {link}"
        assert target.is_relative_to(ROOT), f"{document}: {link} leaves the tree"
        assert not anchor or anchor in anchors(target.relative_to(ROOT)), f"{document}: no heading for {link}"


def test_a_missing_heading_would_be_noticed() -> None:
    assert "expressions" in anchors(Path("docs/mapping-files.md"))
    assert "no-such-heading" not in anchors(Path("docs/mapping-files.md"))


# --- the README and its twin ----------------------------------------------------------------------


def _shape(name: str) -> list[tuple[int, int, int]]:
    """Level, table rows and links of each section, in order."""
    found = prose(name)
    marks = [*HEADING.finditer(found)]
    ends = [one.start() for one in marks[1:]] + [len(found)]
    parts = [(len(one[1]), found[one.end() : end]) for one, end in zip(marks, ends, strict=True)]
    return [(level, len(rows(part)), len(LINK.findall(part))) for level, part in parts]


def test_the_twins_have_the_same_headings_tables_and_links() -> None:
    assert _shape(TWINS[0]) == _shape(TWINS[1])


@pytest.mark.parametrize("language", ["sh", "yaml"])
def test_the_twins_show_the_same_commands_and_files(language: str) -> None:
    assert fences(TWINS[0], language) == fences(TWINS[1], language)
    assert fences(TWINS[0], language)


def test_the_twins_name_the_same_things() -> None:
    named = [{one for one in spans(prose(name)) if not CJK.search(one) and " = " not in one} for name in TWINS]
    only = named[0] ^ named[1]
    assert not {one for one in only if one.startswith(("./shuniu", "SHUNIU_", "--", "/", "GET"))}
    assert len(only) <= 4, sorted(only)


def test_the_twins_lead_to_each_other_at_the_top() -> None:
    for name, other in (TWINS, TWINS[::-1]):
        assert f"]({other})" in "\n".join(text(name).splitlines()[:4])
    assert CJK.search(text(TWINS[1]).splitlines()[4])


# --- commands, variables, metrics -------------------------------------------------------------------


def _commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(cli.build())
    return dict(group.commands)


@pytest.mark.parametrize("document", [*OURS, *(path for path in DOCUMENTS if path not in OURS)], ids=str)
def test_every_command_exists(document: Path) -> None:
    used = set(re.findall(r"\./shuniu ([a-z][a-z-]*)", text(document)))
    assert used <= {*_commands(), *SCRIPT_WORDS}


def test_the_readme_has_every_command_with_options_that_exist() -> None:
    known = _commands()
    table = rows(section("README.md", "Command line"))
    told = {cells[0].removeprefix("`./shuniu ").rstrip("`"): cells[1] for cells in table}
    assert set(told) == set(known)
    for name, words in told.items():
        options = {one for parameter in known[name].params for one in parameter.opts}
        named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(spans(words))))
        assert named <= options, name
    for group in ("user", "token"):
        assert spans(told[group]) == set(known[group].commands)


def test_the_words_of_the_script_are_in_it() -> None:
    script = text("shuniu")
    for word in SCRIPT_WORDS:
        assert re.search(rf'^\s+{word}\)|" = {word} \]', script, re.MULTILINE), word


@pytest.mark.parametrize("name", TWINS)
def test_the_readme_has_every_variable_and_no_other(name: str) -> None:
    told = set(re.findall(r"SHUNIU_[A-Z_]+", text(name)))
    known = {settings.PREFIX + field.upper() for field in settings.Settings.model_fields}
    script = {settings.PREFIX + one for one in settings.SCRIPT_ONLY}
    assert known <= told <= known | script


def test_the_nouns_of_the_api_are_told() -> None:
    told = section("README.md", "HTTP surface")
    for noun in api.NOUNS:
        assert re.search(rf"\b{noun.routes.prefix.strip('/')}\b", told), noun.routes.prefix


def _metrics() -> dict[str, tuple[str, ...]]:
    """Name -> labels of everything the code makes, read from its source."""
    found: dict[str, tuple[str, ...]] = {}
    for file in [ROOT / "retry_queue/metrics.py", ROOT / "gateway/app.py", ROOT / "gateway/telemetry.py"]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            name = node.args[0].value
            if isinstance(name, str) and name.startswith("shuniu_"):
                lists = [one for one in node.args[2:] if isinstance(one, ast.List | ast.Tuple)]
                found[name] = tuple(ast.literal_eval(lists[0])) if lists else ()
    return found


@pytest.mark.parametrize("document", ["docs/metrics.md", "docs/zh/metrics.md"])
def test_every_metric_is_told_with_its_labels_and_no_other(document: str) -> None:
    told = {}
    for cells in rows(prose(document)):
        if re.fullmatch(r"`shuniu_\w+`", cells[0]):
            told[cells[0].strip("`")] = tuple(CODE.findall(cells[2]))
    assert told == _metrics()
    assert len(told) >= 15
    sources = [file for room in house.ROOMS for file in (ROOT / room).rglob("*.py")]
    elsewhere = {one for file in sources for one in METRIC.findall(file.read_text(encoding="utf-8"))}
    assert elsewhere <= set(told), "made outside the modules that are looked at"


def test_alarms_ask_for_metrics_that_exist() -> None:
    english, chinese = section("docs/metrics.md", "Alarms"), section("docs/zh/metrics.md", "值得设的告警")
    assert set(re.findall(r"shuniu_\w+", english)) <= set(_metrics())
    assert [cells[0] for cells in rows(english)] == [cells[0] for cells in rows(chinese)]


def test_what_faults_found_is_told_in_both_languages() -> None:
    english, chinese = (rows(prose(f"docs/{place}reliability.md")) for place in ("", "zh/"))
    ours = [cells for cells in english if cells[0] != "trial" and len(cells) <= 3]
    assert [len(cells) for cells in ours] == [len(cells) for cells in chinese]
    for mine, theirs in zip(ours, chinese, strict=True):
        assert {one for one in spans(" ".join(mine)) if not CJK.search(one)} == spans(" ".join(theirs)), mine[0]


# --- decisions and words ------------------------------------------------------------------------------


def test_every_case_of_the_security_model_has_tests_that_exist() -> None:
    told = {cells[0]: spans(cells[2]) for cells in rows(section("docs/security.md", "What is tried"))}
    assert list(told) == [f"S-{number:02d}" for number in range(1, 32)]
    for case, files in told.items():
        assert files, case
        for file in files:
            assert re.search(r"^(async )?def test_", text(file), re.MULTILINE), f"{case}: {file}"


def test_decisions_are_numbered_without_gaps() -> None:
    files = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    for file in files:
        told = file.read_text(encoding="utf-8")
        assert told.startswith(f"# {file.name[:4]} "), file.name
        assert [title for _, title in HEADING.findall(told)][1:] == ["Context", "Decision", "Consequences"], file.name
        assert len(told.splitlines()) <= 40, f"{file.name} is long for a record"


def test_the_glossary_speaks_both_languages() -> None:
    words = rows(section("ARCHITECTURE.md", "Glossary"))
    assert len(words) >= 40
    for term, chinese, meaning in words:
        assert re.fullmatch(r"[A-Za-z ]+", term), term
        assert CJK.search(chinese), term
        assert meaning, term
        assert not CJK.search(meaning.replace("账套", "")), term
    for place in (0, 1):
        column = [cells[place] for cells in words]
        assert len(set(column)) == len(column)


# --- the map --------------------------------------------------------------------------------------------


def _defined() -> dict[str, set[str]]:
    """Module or class -> the names defined in it, over all rooms; modules of one name are put together."""
    found: dict[str, set[str]] = {}
    for room in house.ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            classes = [(node.name, node.body) for node in tree.body if isinstance(node, ast.ClassDef)]
            for owner, body in [(file.stem, tree.body), *classes]:
                names = {n.name for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
                found.setdefault(owner, set()).update(names)
    return found


def test_the_way_of_an_event_names_what_is_in_the_code() -> None:
    known = _defined()
    told = section("ARCHITECTURE.md", "The way of one event") + section("ARCHITECTURE.md", "Lanes and fencing")
    named = [one for one in spans(told) if re.fullmatch(r"\w+\.\w+", one)]
    assert len(named) >= 25
    for one in named:
        owner, _, name = one.partition(".")
        assert name in known.get(owner, ()), one


def test_the_map_names_files_that_exist() -> None:
    part = section("ARCHITECTURE.md", "The map")
    for room in house.ROOMS:
        mapped = re.search(rf"^### {room}\n(.*?)(?=^### |\Z)", part, re.MULTILINE | re.DOTALL)
        assert mapped, room
        for cells in rows(mapped[1]):
            for name in CODE.findall(cells[0]):
                place = name.replace("<id>", "http").replace("<connector>", "http")
                assert list((ROOT / room).glob(place.rstrip("/"))), f"{room}: {name}"


def test_the_tables_of_the_ledger_are_all_told() -> None:
    told = [one for cells in rows(section("ARCHITECTURE.md", "Tables of the ledger")) for one in CODE.findall(cells[0])]
    assert sorted(told) == sorted(upkeep.metadata.tables)


def test_every_reason_for_skipping_is_told() -> None:
    assert set(plan.SKIPS) <= spans(section("ARCHITECTURE.md", "States") + section("ARCHITECTURE.md", "Event"))


# --- references and their examples ------------------------------------------------------------------------


def _names(*models: type[Any]) -> Iterator[str]:
    for model in models:
        yield from (field.alias or name for name, field in model.model_fields.items())


REFERENCES = {
    "docs/hub-yaml.md": {
        *hub_file.SECTIONS, *_names(route.Route, route.Source, route.Target, route.Template, route.EntityRule),
        *_names(schedule.Schedule, alarm.Alert, alarm.Rule, alarm.Channel), *alarm.KINDS, *canonical.MODELS,
    },
    "docs/mapping-files.md": {
        *_names(spec.Spec, spec.Rule, spec.Table, spec.Example), *spec.CODECS, *functions.FUNCTIONS, *functions.METHODS,
        *canonical.MODELS,
    },
    "docs/connectors.md": {
        *_names(declaration.Declaration, terms.Failure, terms.Together),
        *terms.ErrorClass, *terms.FieldType, *declaration.Idempotency,
        *{"every", "window", "overlap", "lag", "horizon", "gap"} & {*declaration.EventSource.model_fields},
        *signing.SCHEMES, *verify.SCHEMES, *proving.STOCK, *_names(rehearsal.Rehearsal, rehearsal.Call, rehearsal.Push),
        *(name for name in faults.Faults.model_fields if name not in ("ban_until", "duplicate_rate")),
    },
}  # fmt: skip


REFERENCES |= {
    f"docs/zh/{name}.md": REFERENCES[f"docs/{name}.md"] for name in ("hub-yaml", "mapping-files", "connectors")
}


@pytest.mark.parametrize("document", REFERENCES)
def test_a_reference_names_every_key(document: str) -> None:
    words = {one.strip(".") for one in re.findall(r"[\w.]+", text(document))}
    assert {str(one) for one in REFERENCES[document]} - words == set()


@pytest.mark.parametrize("document", [*TWINS, "docs/start.md", "docs/zh/start.md"])
def test_the_first_route_can_be_applied(document: str) -> None:
    sample = next(one for one in fences(document, "yaml") if "routes:" in one)
    draft = hub_file.read(sample, "my-hub.yaml", variables={"SHOP_SECRET": "choose-a-long-secret"})
    assert not hub.check(draft, current.Current({}, {}, {}, {}, {}))
    assert set(draft.routes) == {"paid-orders"}


def test_the_parts_of_hub_yaml_can_be_read() -> None:
    whole: dict[str, Any] = {}
    for part in fences("docs/hub-yaml.md", "yaml"):
        whole |= yaml.safe_load(part)
    whole["mappings"] = []  # names a file of the reader's own
    draft = hub_file.read(yaml.safe_dump(whole, allow_unicode=True), "hub.yaml", lenient=True)
    assert not draft.problems
    assert draft.connections
    assert draft.routes
    assert draft.templates
    assert draft.entities
    assert draft.reconciliations
    assert draft.alerts


def test_the_example_of_a_mapping_works() -> None:
    (example,) = (one for one in fences("docs/mapping-files.md", "yaml") if "apiVersion" in one)
    assert not [one for one in linter.lint(example, "example.yaml") if one.level != "info"]
    results = check.run(library.parse(example, "example.yaml"))
    assert len(results) == 2
    assert not [one.problem for one in results if not one.passed]


def test_the_example_of_a_connector_is_sound() -> None:
    (example,) = (one for one in fences("docs/connectors.md", "yaml") if "apiVersion" in one)
    assert registry.parse(example).id == "example"


def test_the_example_of_a_vector_is_reproduced() -> None:
    (example,) = (json.loads(one) for one in fences("docs/connectors.md", "json"))
    for one in example:
        assert proving.made("http", one) == one["expected"]
