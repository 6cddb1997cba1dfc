"""One page per recipe, made of its file: who plays which part, what can be set, what it installs."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator

from gateway.recipes import recipe
from scripts.manual import connector_page, words
from scripts.manual.words import Language, Page, code, of, say, table


def made(one: recipe.Recipe, language: Language) -> Page:
    """The page of one recipe."""
    options = " ".join(
        f"--part {part.key}={say(language, '<连接>', '<connection>')}" for part in one.parts if not part.optional
    )
    notes = "\n".join(f"- {of(language, note)}" for note in one.notes)
    return Page(
        f"recipes/{one.id}.md",
        words.page(
            f"# {of(language, one.title)}",
            of(language, one.text),
            f"## {say(language, '谁担任什么', 'Who plays which part')}",
            _parts(one, language),
            f"## {say(language, '可以设置的', 'What can be set')}" if one.parameters else "",
            _parameters(one, language),
            f"## {say(language, '要知道的事', 'Good to know')}" if notes else "",
            notes,
            f"## {say(language, '安装', 'Install')}",
            say(
                language,
                "管理界面：**路由 → 选择方案**。命令行先看后装，重复安装不会多出东西：",
                "In the admin UI: **Routes → Pick a recipe**. On the command line, look first; twice is once:",
            ),
            f"```sh\n./shuniu recipe show {one.id} {options}\n./shuniu recipe install {one.id} {options}\n```",
            f"## {say(language, '会安装的内容', 'What it installs')}",
            say(
                language,
                "`${…}` 处会换成您选的连接和操作。",
                "Your connections and their operations stand in place of `${…}`.",
            ),
            f"```yaml\n{_entries(one)}```",
        ),
        f"gateway/recipes/{one.id}/recipe.yaml",
    )


def _parts(one: recipe.Recipe, language: Language) -> str:
    heads = [
        say(language, *pair)
        for pair in (("角色", "Part"), ("名称", "Key"), ("几个", "How many"), ("要会什么", "What it must be able to"))
    ]
    rows = []
    for part in one.parts:
        count = say(language, "可以多个", "several") if part.many else say(language, "一个", "one")
        if part.optional:
            count += say(language, "，可不选", ", optional")
        rows.append(
            (f"**{of(language, part.label)}** {of(language, part.help)}", code(part.key), count, _able(part, language))
        )
    return table(heads, rows)


def _able(part: recipe.Role, language: Language) -> str:
    def named(entities: list[str]) -> str:
        return say(language, "、", ", ").join(connector_page.entity(name, language) for name in entities)

    said = []
    if part.emits:
        said.append(say(language, "会告知", "tells of ") + named(part.emits))
    if part.occasions:
        said.append(say(language, "会告知新增的", "tells of a new ") + named([part.occasions]))
    for capability in part.takes.values():
        may = say(language, "（可没有）", " (if it can)") if capability.optional else ""
        said.append(say(language, "能写", "takes ") + named([capability.entity]) + may)
    listed = [name for name in part.lists if "$" not in name]
    if listed:
        said.append(say(language, "能列出", "lists ") + named(listed))
    return say(language, "；", "; ").join(said) or say(language, "任何连接", "any connection")


def _parameters(one: recipe.Recipe, language: Language) -> str:
    heads = [
        say(language, *pair)
        for pair in (("参数", "Parameter"), ("名称", "Key"), ("默认", "Default"), ("说明", "Meaning"))
    ]
    rows = []
    for each in one.parameters:
        notes = [of(language, each.help), " / ".join(of(language, choice.label) for choice in each.choices)]
        if each.per:
            notes.append(say(language, "每个连接可以不同", "each connection may have its own"))
        default = "–" if each.default in (None, "", []) else code(each.default)
        rows.append(
            (
                of(language, each.label),
                code(each.key),
                default,
                say(language, "；", "; ").join(note for note in notes if note),
            )
        )
    return table(heads, rows)


def _entries(one: recipe.Recipe) -> str:
    """The entries as they stand in the file."""
    home = importlib.resources.files("gateway.recipes")
    text = home.joinpath(one.id, recipe.FILE).read_text(encoding="utf-8")
    begins = re.search(r"(?m)^(?:templates|entities|routes|reconciliations|alerts):", text)
    return text[begins.start() :] if begins else ""


def pages(language: Language) -> Iterator[Page]:
    """Every recipe that is there."""
    for one in recipe.all_recipes().values():
        yield made(one, language)
