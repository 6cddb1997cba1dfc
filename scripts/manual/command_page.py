"""The reference of the command line, made of the commands themselves, and of the variables, from the READMEs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from gateway import cli
from scripts.manual import words
from scripts.manual.words import Language, Page, code, half, line, say, table

TWIN = {"zh": "README.zh-CN.md", "en": "README.md"}


def section(text: str, number: int) -> str:
    """The ``number``-th part of a README under a heading of the second level; the twins have them in one order."""
    return re.split(r"(?m)^## .+\n", text)[number]


def numbered(text: str, title: str) -> int:
    """Which part of a README has this title."""
    titles = re.findall(r"(?m)^## (.+)$", text)
    return titles.index(title) + 1


def pages(root: Path, language: Language) -> Iterator[Page]:
    """The command line and the environment."""
    english = (root / TWIN["en"]).read_text(encoding="utf-8")
    twin = (root / TWIN[language]).read_text(encoding="utf-8")
    yield _commands(section(twin, numbered(english, "Command line")), language)
    title = say(language, "环境变量", "Environment")
    yield Page(
        "reference/environment.md",
        words.page(f"# {title}", section(twin, numbered(english, "Environment"))),
        TWIN[language],
    )


def _commands(overview: str, language: Language) -> Page:
    group: Any = typer.main.get_command(cli.build())
    parts = [f"# {say(language, '命令行', 'Command line')}", overview]
    for name, command in group.commands.items():
        parts += _command(f"./shuniu {name}", command, language, 2)
    return Page("reference/cli.md", words.page(*parts), TWIN[language])


def _command(name: str, command: Any, language: Language, level: int) -> list[str]:
    told = half(language, line(command.help or ""))
    said = [f"{'#' * level} `{name}`", told]
    if hasattr(command, "commands"):
        for inner, one in command.commands.items():
            said += _command(f"{name} {inner}", one, language, level + 1)
        return said
    heads = [
        say(language, *pair)
        for pair in (("选项", "Option"), ("类型", "Type"), ("默认", "Default"), ("说明", "Meaning"))
    ]
    rows = []
    for one in command.params:
        if one.name == "help":
            continue
        shown = " ".join(code(each) for each in [*one.opts, *one.secondary_opts])
        if one.param_type_name == "argument":
            shown = code(str(one.name).upper())
        rows.append(
            (shown, _kind(one, language), _default(one), half(language, line(getattr(one, "help", None) or "")))
        )
    return [*said, table(heads, rows)]


def _kind(one: Any, language: Language) -> str:
    annotation = one.type_descriptor.annotation
    if annotation is bool:
        return say(language, "开关", "switch")
    names: dict[Any, tuple[str, str]] = {
        str: ("文字", "text"), int: ("整数", "integer"), float: ("数字", "number"), Path: ("路径", "path"),
    }  # fmt: skip
    kind = say(language, *names.get(annotation, ("文字", "text")))
    several = say(language, "，可多次", ", repeatable") if one.multiple or one.nargs == -1 else ""
    return kind + several + (say(language, "，必填", ", required") if one.required else "")


def _default(one: Any) -> str:
    if one.default is None or callable(one.default) or one.default is False or one.default in ("", [], ()):
        return "–"
    return code(one.default) if isinstance(one.default, str | int | float | Path) else "–"
