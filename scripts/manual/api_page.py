"""The reference of the admin API: one page per noun, made of the OpenAPI document. Nothing is loaded from elsewhere."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from scripts import openapi
from scripts.manual import words
from scripts.manual.words import Language, Page, code, half, line, say, table

DEEP = 3
"""How far the fields of a body are followed into what they hold."""
SOURCE = "docs/reference/api.md"
LEAD_ZH = """管理界面能做的，接口都能做。地址以 `/api/v1` 开头；运行中的枢纽在 `/api/openapi.json` 给出同一份描述。

- **身份**：浏览器用会话 Cookie 加 `X-CSRF-Token`；程序用 `Authorization: Bearer shn_…`，
  令牌由 `./shuniu token create` 创建。
- **错误**：`application/problem+json`，`code` 稳定不变，文字有中英文（按 `Accept-Language`）。
- **列表**：`limit`（最多 200）和 `cursor`；答复里的 `next_cursor` 为空就是最后一页。
- **修改配置**：读到的 `ETag` 要原样放进 `If-Match`；没有带是 428，被别人改过是 412。
"""
LEAD_EN = """What the admin UI does, the API does. Addresses begin with `/api/v1`; a running hub gives this very
description at `/api/openapi.json`.

- **Who you are**: browsers use a session cookie and `X-CSRF-Token`; programs `Authorization: Bearer shn_…`, from
  `./shuniu token create`.
- **Errors**: `application/problem+json`; `code` never changes, words come in Chinese and English by `Accept-Language`.
- **Lists**: `limit` (at most 200) and `cursor`; where `next_cursor` is empty it was the last page.
- **Changing the configuration**: give the `ETag` that was read as `If-Match`; 428 without it, 412 when somebody was
  faster.
"""


@functools.cache
def described() -> dict[str, Any]:
    """The OpenAPI document, made once for both languages."""
    return openapi.document()


def pages(language: Language) -> Iterator[Page]:
    """The overview and one page per noun."""
    document = described()
    nouns: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            nouns.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    yield _overview(nouns, language)
    for noun, operations in sorted(nouns.items()):
        yield _noun(noun, operations, document, language)


def _overview(nouns: dict[str, list[tuple[str, str, dict[str, Any]]]], language: Language) -> Page:
    lead = say(language, LEAD_ZH, LEAD_EN)
    heads = [say(language, *pair) for pair in (("资源", "Noun"), ("操作", "Operations"))]
    rows = [
        (
            f"[{noun}](api/{noun}.md)",
            say(language, "、", ", ").join(half(language, one["summary"]) for _, _, one in operations),
        )
        for noun, operations in sorted(nouns.items())
    ]
    title = say(language, "接口参考", "API reference")
    return Page("reference/api.md", words.page(f"# {title}", lead, table(heads, rows)), SOURCE)


def _noun(
    noun: str, operations: list[tuple[str, str, dict[str, Any]]], document: dict[str, Any], language: Language
) -> Page:
    parts = [f"# {noun}"]
    for method, path, one in operations:
        parts += [
            f"## {half(language, one['summary'])}",
            f"{code(f'{method} {path}')} · `{one['operationId']}`",
            one.get("description", ""),
            _parameters(one, language),
            _body(one, document, language),
            _answers(one, document, language),
        ]
    return Page(f"reference/api/{noun}.md", words.page(*parts), SOURCE)


def _parameters(one: dict[str, Any], language: Language) -> str:
    heads = [
        say(language, *pair) for pair in (("参数", "Parameter"), ("位置", "In"), ("类型", "Type"), ("说明", "Meaning"))
    ]
    rows = [
        (
            code(each["name"]) + (" \\*" if each.get("required") else ""),
            each["in"],
            _type(each["schema"]),
            each.get("description", ""),
        )
        for each in one.get("parameters", [])
    ]
    return table(heads, rows)


def _body(one: dict[str, Any], document: dict[str, Any], language: Language) -> str:
    content = one.get("requestBody", {}).get("content", {})
    shown = [_fields(each.get("schema", {}), document, language) for each in content.values()]
    made = [
        say(language, f"**请求体**（{kind}）", f"**Body** ({kind})") + f"\n\n{fields}"
        for kind, fields in zip(content, shown, strict=True)
    ]
    return words.page(*made) if made else ""


def _answers(one: dict[str, Any], document: dict[str, Any], language: Language) -> str:
    good, bad = [], []
    for status, answer in one["responses"].items():
        if status[0] in "45":
            bad.append(code(status))
            continue
        for kind, each in (answer.get("content") or {"": {}}).items():
            fields = _fields(each.get("schema", {}), document, language)
            word = say(language, "答复", "Answer")
            good.append(f"**{word} {status}**" + (f" ({kind})" if kind else "") + (f"\n\n{fields}" if fields else ""))
    refused = say(language, "可能的错误：", "May be refused with ") + ", ".join(sorted(bad)) if bad else ""
    return words.page(*good, refused)


def _fields(schema: dict[str, Any], document: dict[str, Any], language: Language) -> str:
    rows = [*_rows(schema, document, "", 0, ())]
    heads = [say(language, *pair) for pair in (("字段", "Field"), ("类型", "Type"), ("说明", "Meaning"))]
    return table(heads, rows)


def _rows(
    schema: dict[str, Any], document: dict[str, Any], at: str, depth: int, seen: tuple[str, ...]
) -> Iterator[tuple[str, str, str]]:
    name, shape = _shape(schema, document)
    if shape.get("type") == "array":
        yield from _rows(shape.get("items", {}), document, f"{at}[]" if at else "[]", depth, seen)
        return
    if depth >= DEEP or name in seen:
        return
    required = set(shape.get("required", ()))
    for key, one in shape.get("properties", {}).items():
        place = f"{at}.{key}" if at else key
        yield (code(place) + (" \\*" if key in required else ""), _type(one), line(one.get("description", "")))
        yield from _rows(one, document, place, depth + 1, (*seen, name) if name else seen)


def _shape(schema: dict[str, Any], document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """(name, schema) of what a schema stands for: references followed, "or nothing" left out."""
    for kind in ("anyOf", "oneOf", "allOf"):
        real = [one for one in schema.get(kind, []) if one.get("type") != "null"]
        if len(real) == 1:
            schema = real[0]
    name = schema.get("$ref", "").rpartition("/")[2]
    return name, document["components"]["schemas"][name] if name else schema


def _type(schema: dict[str, Any]) -> str:
    several = [_type(one) for kind in ("anyOf", "oneOf", "allOf") for one in schema.get(kind, [])]
    if several:
        return " / ".join(dict.fromkeys(several))
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "enum" in schema:
        return ", ".join(code(one) for one in schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    if schema.get("type") == "array":
        return f"{_type(schema.get('items', {}))}[]"
    kind = str(schema.get("type", "any"))
    return f"{kind} ({schema['format']})" if "format" in schema else kind
