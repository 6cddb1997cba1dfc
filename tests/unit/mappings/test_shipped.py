"""Every shipped mapping file parses, lints without error and passes its own tests. Presence is registration."""

from __future__ import annotations

import pytest

from mappings import canonical, check, library, linter

NAMES = library.names()
ids = [f"{connector}/{name}" for connector, name in NAMES]
every = pytest.mark.parametrize(("connector", "name"), NAMES, ids=ids)


def test_something_is_shipped() -> None:
    assert NAMES


@every
def test_parses_and_names_its_folder(connector: str, name: str) -> None:
    mapping = library.shipped(connector, name)
    assert mapping.spec.connector == connector
    assert mapping.spec.entity in canonical.MODELS
    assert mapping.reads or mapping.writes


@every
def test_lints_without_error(connector: str, name: str) -> None:
    findings = linter.lint(library.text(connector, name), f"{connector}/{name}.yaml")
    assert [str(finding) for finding in findings if finding.level == "error"] == []


@every
def test_its_own_tests_pass(connector: str, name: str) -> None:
    results = check.run(library.shipped(connector, name))
    assert results, "a mapping file carries at least one test"
    assert {one.name: one.problem for one in results if not one.passed} == {}
