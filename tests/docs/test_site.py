"""The documents as a site: both languages build without a complaint, whole, and nothing is asked of another host.

The renderer is run in its strict mode; what was built is looked at once more by ``scripts.manual.links``.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from playwright.sync_api import expect, sync_playwright

from connectors.core import registry
from gateway import cli
from gateway.recipes import recipe
from mappings import check, functions, library, linter, spec
from scripts import docs, faults, openapi
from scripts.manual import connector_page, dialect, links, tree, trial_table, words
from tests import services
from tests.docs import serving

ROOT = Path(__file__).resolve().parents[2]
ZENSICAL = pytest.mark.peers("zensical")
FENCE = re.compile(r"^(`{3,})(\w*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.timeout(400)

FOR_ADMINS = (
    "index",
    "start",
    "concepts",
    "recipes",
    "hub-yaml",
    "mapping-files",
    "mapping-examples",
    "operations",
    "security",
    "rehearsal",
    "comparison",
    "first-connector",
    "openapi",
    "reliability",
    "metrics",
    "connectors",
)
"""What an admin reads is written in Chinese, not only translated in part."""


@pytest.fixture(scope="module")
def trees() -> dict[words.Language, tree.Tree]:
    return {one: tree.planned(ROOT, one) for one in words.LANGUAGES}


@pytest.fixture(scope="module")
def site(trees: dict[words.Language, tree.Tree]) -> Iterator[Path]:
    """The built site; what the renderer or the look at its links complains of fails here."""
    # Within the tree: the renderer keeps to the folder of its settings.
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="site-", dir=ROOT / "build") as name:
        problems = docs.built(Path(name), trees)
        assert not problems, "\n".join(problems[:20])
        yield Path(name) / "site"


# --- what the pages are -----------------------------------------------------------------------------


def test_both_languages_have_the_same_pages(trees: dict[words.Language, tree.Tree]) -> None:
    assert set(trees["zh"].pages) == set(trees["en"].pages)


@pytest.mark.parametrize("name", FOR_ADMINS)
def test_what_an_admin_reads_is_there_in_chinese(trees: dict[words.Language, tree.Tree], name: str) -> None:
    zh, en = (trees[one].pages[f"{name}.md"] for one in ("zh", "en"))
    assert zh.source == f"docs/zh/{name}.md"
    assert len(words.CJK.findall(zh.body)) > 300
    for language in ("sh", "yaml", "python", "json", "markdown"):
        shown = [[body for _, kind, body in FENCE.findall(one.body) if kind == language] for one in (zh, en)]
        assert shown[0] == shown[1], f"{name}: the {language} blocks differ"


def test_the_table_of_faults_is_the_same_in_both_languages(trees: dict[words.Language, tree.Tree]) -> None:
    zh, en = (trees[one].pages["reliability.md"].body for one in ("zh", "en"))
    rows = [trial_table.between(one).strip().splitlines() for one in (zh, en)]
    assert len(rows[0]) == len(rows[1]) > 0
    made = {"trial": "kill \\| all", "size": "9 lines", "result": "held", "figures": "lost 0", "seed": "1",
            "seconds": "2", "run": "2026-11-11"}  # fmt: skip
    english = f"x\n{faults.BEGIN}\n{faults.table([made, {**made, 'result': '**FAILED**'}])}\n{faults.END}\ny"
    chinese = trial_table.shown(f"甲\n{faults.BEGIN}\n无\n{faults.END}\n乙", english)
    assert [line.strip("| ").split(" | ")[2] for line in chinese.splitlines()[4:6]] == ["成立", "**不成立**"]
    assert chinese.splitlines()[0] + chinese.splitlines()[-1] == "甲乙"
    assert "| 试验 | 规模 | 结果 |" in chinese


def test_every_page_is_in_the_navigation(trees: dict[words.Language, tree.Tree]) -> None:
    def paths(entries: list[Any]) -> Iterator[str]:
        for one in entries:
            for inner in one.values():
                yield from [inner] if isinstance(inner, str) else paths(inner)

    for one in trees.values():
        listed = list(paths(one.nav))
        assert sorted(listed) == sorted(one.pages)


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_what_is_generated_is_whole(trees: dict[words.Language, tree.Tree], language: words.Language) -> None:
    pages = trees[language].pages
    for connector in registry.all_ids():
        body, declared = pages[f"connectors/{connector}.md"].body, registry.get(connector)
        assert all(f"`{field.key}`" in body for field in declared.fields), connector
        written = [name for name, one in declared.operations.items() if one.kind in ("write", "act")]
        assert all(f"`{name}`" in body for name in written), connector
        assert all(words.of(language, one.label) in body for one in declared.events.values()), connector
        assert all(fact.split("`")[0][:12] in body for fact in declared.unconfirmed), connector
        assert ("密钥" in body) if language == "zh" else re.search(r"[Kk]eys", body), connector
    assert {f"recipes/{one}.md" for one in recipe.all_recipes()} <= set(pages)
    group: Any = typer.main.get_command(cli.build())
    assert all(f"`./shuniu {name}`" in pages["reference/cli.md"].body for name in group.commands)
    every = "".join(one.body for path, one in pages.items() if path.startswith("reference/api/"))
    for path, methods in openapi.document()["paths"].items():
        assert all(f"`{method.upper()} {path}`" in every for method in methods), path


def test_a_readme_is_told_in_its_own_language() -> None:
    for connector in registry.all_ids():
        readme = registry.folder(connector).joinpath("README.md").read_text(encoding="utf-8")
        english = connector_page.told(readme, "en")
        chinese = [line for line in english.splitlines() if len(words.CJK.findall(line)) > 24]
        assert len(chinese) * 4 <= len(english.splitlines()), (connector, chinese[:2])
        assert len(words.CJK.findall(connector_page.told(readme, "zh"))) > 80, connector


def test_the_chinese_concepts_have_every_word_of_the_glossary() -> None:
    part = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("## Glossary", 1)[1]
    wanted = re.findall(r"^\| ([A-Z][A-Za-z ]+) \| (\S+) \|", part, re.MULTILINE)
    told = dict(
        re.findall(
            r"^\| (\S+) \| ([A-Z][A-Za-z ]+) \|", (ROOT / "docs/zh/concepts.md").read_text("utf-8"), re.MULTILINE
        )
    )
    assert len(wanted) >= 60
    assert {zh: en for en, zh in wanted if (en, zh) != ("Term", "中文")} == told


def test_the_examples_of_mappings_work_and_leave_nothing_out() -> None:
    shown = [
        body
        for _, kind, body in FENCE.findall((ROOT / "docs/mapping-examples.md").read_text("utf-8"))
        if kind == "yaml"
    ]
    assert len(shown) >= 8
    for text in shown:
        assert not [one for one in linter.lint(text, "example.yaml") if one.level != "info"], text[:200]
        results = check.run(library.parse(text, "example.yaml"))
        assert results
        assert not [one.problem for one in results if not one.passed], text[:200]
    every = "".join(shown)
    assert not [one for one in spec.CODECS if f"codec: {one}" not in every]
    assert not [one for one in {*functions.FUNCTIONS, *functions.METHODS} if f"{one}(" not in every]


# --- the machinery ----------------------------------------------------------------------------------


def test_links_are_turned_to_where_things_are_in_the_site() -> None:
    known = {
        "connectors/x/README.md": "connectors/x.md",
        "docs/start.md": "start.md",
        "README.md#connectors": "connectors/index.md",
    }
    text = "[a](../../connectors/x/README.md) [b](../start.md#two) [c](../../gone.py) [d](../../README.md#connectors)"
    told = links.turned(text, "docs/zh/page.md", "deep/page.md", known.get)
    assert told == "[a](../connectors/x.md) [b](../start.md#two) c [d](../connectors/index.md)"
    called = links.turned("[start.md](../start.md)", "docs/zh/page.md", "page.md", known.get, lambda path: f"<{path}>")
    assert called == "[<start.md>](start.md)"
    assert links.turned("`[e](f)`", "docs/a.md", "a.md", known.get) == "`[e](f)`"


def test_what_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="c.html">3</a><img src="no.png">'
        '<script src="https://cdn.example.com/x.js"></script><a href="https://example.com/">out</a>',
        encoding="utf-8",
    )
    (tmp_path / "b.html").write_text('<h2 id="there">x</h2>', encoding="utf-8")
    found = list(links.broken(tmp_path))
    assert len(found) == 4
    assert [one.split(": ", 1)[1].split(" ")[0] for one in found[1:]] == ["b.html#gone", "c.html", "no.png"]
    assert "another host" in found[0]


def test_markdown_of_code_hosts_is_read_alike() -> None:
    text = "Words:\n- one\n  more\n  - two\n\n| a | `x\\|y` <b> |\n"
    assert dialect.rendered(text, "en") == "Words:\n\n- one\n    more\n    - two\n\n| a | `x|y` &lt;b> |\n"
    assert (
        dialect.rendered("# 题\n一行，\n又一行\n- 项\n\n```\n字\n字\n```", "zh")
        == "# 题\n一行，又一行\n\n- 项\n\n```\n字\n字\n```"
    )
    drawn = dialect.rendered("```mermaid\nstateDiagram-v2\n    [*] --> received: taken in\n```\n", "en")
    assert "| – | `received` | taken in |" in drawn


# --- the site ---------------------------------------------------------------------------------------


@ZENSICAL
def test_both_languages_are_built_strictly_and_every_link_leads_somewhere(site: Path) -> None:
    for language in words.LANGUAGES:
        assert len([*(site / language).rglob("*.html")]) > 100
        html = (site / language / "start.html").read_text(encoding="utf-8")
        assert f'lang="{language}"' in html
    assert 'href="../en/start.html"' in (site / "zh" / "start.html").read_text(encoding="utf-8")


@ZENSICAL
@pytest.mark.chromium
def test_search_finds_chinese_words_and_nothing_comes_from_elsewhere(site: Path, chromium_path: Path) -> None:
    with serving.folder(site) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium_path), args=services.CHROMIUM_FLAGS)
        page = browser.new_page(locale="zh-CN", color_scheme="dark")
        strangers: list[str] = []
        page.on(
            "request", lambda one: None if one.url.startswith((url, "data:", "blob:")) else strangers.append(one.url)
        )
        page.goto(f"{url}/index.html")
        page.wait_for_url(f"{url}/zh/index.html")
        assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"
        for word in ("死信", "运单号"):
            page.goto(f"{url}/zh/index.html")
            page.locator("button.md-search__button").click()
            page.get_by_role("combobox").fill(word)
            found = page.locator('a[href*="?h="]').filter(has_text=word)
            expect(found.nth(2)).to_be_visible(timeout=30_000)
        assert not strangers
        browser.close()
