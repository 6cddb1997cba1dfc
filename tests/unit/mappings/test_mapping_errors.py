"""A mapping error names its file, rule and both paths, and repeats no data at length."""

from __future__ import annotations

from typing import Any

import pytest

from mappings import blocks, errors
from tests.unit.mappings import files


@pytest.mark.parametrize(
    ("native", "rule", "paths", "word"),
    [
        (
            {"rows": [{"id": "1", "q": 1}, {"id": "2", "q": "x"}]},
            "4.2",
            ("rows[1].q", "lines[1].quantity"),
            "not a number",
        ),
        (
            {"rows": [{"id": "1", "q": 1, "deep": {"p": 0.5}}]},
            "4.3",
            ("rows[0].deep.p", "lines[0].unit_price"),
            "whole",
        ),
        ({"rows": [{"id": "1", "q": 1, "deep": [1]}]}, "4.3", ("rows[0].deep.p", "lines[0].unit_price"), "an object"),
        ({"rows": 5}, "4", ("rows", "lines"), "list"),
        ({"rows": [5]}, "4.1", ("rows[0].id", "lines[0].id"), "does not fit"),
        ({"rows": [None]}, "4.1", ("rows[0].id", "lines[0].id"), "does not fit"),
        ({"rows": [{"id": "1"}]}, "4.2", ("q", "lines[0].quantity"), "requires this field"),
        ({"rows": [{"id": "", "q": 1}]}, "4.1", ("id", "lines[0].id"), "at least 1"),
        ({"rows": [{}] * (blocks.MAX_ELEMENTS + 1)}, "4", ("rows", "lines"), "more than"),
        ({"total": "12345678901234567890.12345678901"}, "3", ("total", "total"), "24 digits|10 decimal"),
        ({"status": "unheard_of"}, "2", ("status", "status"), "Input should be"),
        ({"total": None}, "3", ("total", "total"), "requires this field"),
    ],
)
def test_errors_name_file_rule_and_paths(native: dict[str, Any], rule: str, paths: tuple[str, str], word: str) -> None:
    with pytest.raises(errors.MappingError, match=word) as caught:
        files.mapping(files.LINES).from_native({**files.ORDER, **native})
    error = caught.value
    assert error.file == "demo/test.yaml"
    assert error.rule == rule
    assert (error.native, error.canonical) == paths
    assert f"第 {rule} 条规则" in error.text("zh")
    assert f"rule {rule}" in error.text("en")
    assert "demo/test.yaml" in str(error)


def test_errors_do_not_repeat_long_or_nested_values() -> None:
    secret = "x" * 5000
    with pytest.raises(errors.MappingError) as caught:
        files.mapping(files.LINES).from_native({**files.ORDER, "total": secret})
    assert len(str(caught.value)) < 500
    with pytest.raises(errors.MappingError) as caught:
        files.mapping(files.LINES).from_native({**files.ORDER, "total": {"phone": "13800000001"}})
    assert "138" not in str(caught.value)
