from __future__ import annotations

import pytest

from connectors.core import declaration, model, registry, scope
from tests.unit.connectors import conftest

GOOD = conftest.HEAD + "success: {path: status, equals: 200}\nprobe: a\noperations: {a: {label: {zh: a, en: a}}}\n"


def folder(tmp_path, text, name="sample"):
    place = tmp_path / name
    place.mkdir()
    (place / "connector.yaml").write_text(text, encoding="utf-8")
    return place


def wrong(text):
    with pytest.raises(registry.DeclarationError) as caught:
        registry.parse(text, "x/connector.yaml")
    return str(caught.value)


def test_load(tmp_path):
    found = registry.load(folder(tmp_path, GOOD))
    assert found.label == declaration.Text(zh="例", en="sample")


def test_the_folder_gives_the_name(tmp_path):
    with pytest.raises(registry.DeclarationError, match="make them the same"):
        registry.load(folder(tmp_path, GOOD, "other"))
    with pytest.raises(registry.DeclarationError, match="cannot be read"):
        registry.load(tmp_path)


def test_everything_wrong_is_said_at_once_with_file_and_place():
    text = wrong(GOOD.replace("category: generic", "category: toys\nnonsense: 1").replace('version: "1"\n', ""))
    assert text.splitlines() == sorted(
        text.splitlines(), key=lambda line: ("version", "category", "nonsense").index(line.split(": ")[1])
    )
    assert "x/connector.yaml: version: add it" in text
    assert "x/connector.yaml: nonsense: no such key here" in text


def test_references_that_lead_nowhere():
    text = wrong(GOOD.replace("probe: a", "probe: b"))
    assert "no operation 'b'" in text


def test_yaml_that_is_none():
    assert "line 2, column 1: not YAML" in wrong("a: [\n")
    assert "must be an object" in wrong("- a")
    assert "key 'probe' twice" in wrong(GOOD + "probe: b\n")
    assert "not YAML" in wrong("a: !!python/object/apply:os.system ['true']")


def test_no_on_and_dates_are_text():
    spec = conftest.declared(
        "probe: a\noperations: {a: {label: {zh: a, en: a}, id_input: no, form: {on: yes, d: 2026-01-01, t: true}}}"
    )
    assert spec.operations["a"].id_input == "no"
    assert spec.operations["a"].form == {"on": "yes", "d": "2026-01-01", "t": True}


def test_every_connector_that_is_here_loads():
    for name in registry.all_ids():
        assert registry.get(name).id == name
        assert registry.get(name) is registry.get(name)
        assert registry.folder(name).joinpath("connector.yaml").is_file()
        registry.signer(name)
        registry.stream(name)


def test_unknown_connectors_are_named():
    with pytest.raises(registry.UnknownConnector, match="no connector 'nope'; there are"):
        registry.get("nope")
    assert registry.signer("nope") is None


def test_schema():
    found = registry.schema()
    assert set(found["$defs"]["Together"]["required"]) == {"by", "add"}
    assert found["title"] == "Declaration"
    assert "json" in found["$defs"]["Operation"]["properties"]


def test_settings_and_when():
    spec = registry.parse(GOOD)
    connection = model.Connection("k", spec, {"base_url": "", "shade": None, "extra": False}, {"app_secret": ""})
    assert scope.settings(connection) == {"shade": "grey", "extra": False}
    assert scope.of(connection)["secret"] == {}
    config = {"mode": "a", "on": True}
    assert scope.applies({}, config)
    assert scope.applies({"mode": ["a", "b"], "on": "true"}, config)
    assert not scope.applies({"mode": "b"}, config)
    assert not scope.applies({"other": "b"}, config)


def test_open_sources():
    spec = conftest.declared(
        """
probe: a
operations: {a: {label: {zh: a, en: a}}}
events:
  push: {label: {zh: a, en: a}, door: hook, verify: {scheme: none}, when: {shade: grey}}
  pull: {label: {zh: a, en: a}, door: stream, when: {shade: blue}}
"""
    )
    assert list(scope.open_sources(conftest.connected(spec, ""))) == ["push"]
    assert list(scope.open_sources(conftest.connected(spec, "", shade="blue"))) == ["pull"]
