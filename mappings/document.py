"""A mapping file's text becomes a spec, with problems told by line and rule number."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from mappings import errors, places, spec, yaml_text
from mappings.yaml_text import Lines


def parse(text: str, file: str) -> tuple[spec.Spec, Lines]:
    """A spec from YAML text, and the line of every node by its location. Raises SpecError naming all problems."""
    try:
        data, lines = yaml_text.load(text)
    except yaml_text.YamlError as error:
        raise errors.SpecError(file, [errors.Problem(error.line, "", error.zh, error.en)]) from None
    return validate(data, file, lines), lines


def validate(data: Any, file: str, lines: Lines | None = None) -> spec.Spec:
    """A spec from plain data (a row of the database, a request body). Raises SpecError."""
    if not isinstance(data, dict):
        problem = errors.Problem(
            1, "", "映射文件应是一个对象（apiVersion、connector …）", "a mapping file is an object"
        )
        raise errors.SpecError(file, [problem])
    try:
        return spec.Spec.model_validate(data)
    except ValidationError as error:
        found = [_problem(data, detail, lines or {}) for detail in error.errors(include_url=False, include_input=False)]
        raise errors.SpecError(file, sorted(found, key=lambda problem: problem.line)) from None


_WORDS = {
    "extra_forbidden": "没有这个选项，请检查拼写",
    "missing": "缺少必填项",
    "model_type": "应为对象（键: 值）",
    "list_type": "应为列表",
    "dict_type": "应为对象（键: 值）",
    "string_type": "应为文字（数字请加引号）",
    "too_short": "不能为空",
    "literal_error": "不在允许的取值之内",
    "enum": "不在允许的取值之内",
}


def _problem(data: Any, detail: Any, lines: Lines) -> errors.Problem:
    location: list[str | int] = []
    node = data
    for step in detail["loc"]:  # pydantic adds union branches to the location; keep what is in the data
        if isinstance(node, dict) and step in node:
            node = node[step]
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            node = node[step]
        elif step != detail["loc"][-1]:
            continue
        location.append(step)
    place = tuple(location)
    name = ".".join(str(step) for step in place if not isinstance(step, int)) or "file"
    message = detail["msg"].removeprefix("Value error, ")
    words = _WORDS.get(detail["type"], message)
    return errors.Problem(
        places.line_of(place, lines), places.rule_number(place), f"{name}：{words}", f"{name}: {message}"
    )


__all__ = ["parse", "validate"]
