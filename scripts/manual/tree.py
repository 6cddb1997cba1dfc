"""The pages of the site in one language: written ones from ``docs/``, generated ones, and where each link leads."""

from __future__ import annotations

import fnmatch
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.manual import api_page, command_page, connector_page, dialect, links, recipe_page, trial_table, words
from scripts.manual.words import Language, Page, say

CONFIG = "mkdocs.yml"
ROOTS = {"ARCHITECTURE.md": "architecture.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Documents that stand at the root of the repository -> where they are in the site."""
README = {
    "README.md": "index.md", "README.zh-CN.md": "index.md",
    "README.md#connectors": "connectors/index.md", "README.zh-CN.md#连接器": "connectors/index.md",
    "README.md#command-line": "reference/cli.md", "README.zh-CN.md#命令行": "reference/cli.md",
    "README.md#http-surface": "reference/api.md", "README.zh-CN.md#http-接口": "reference/api.md",
    "README.md#environment": "reference/environment.md", "README.zh-CN.md#环境变量": "reference/environment.md",
}  # fmt: skip
"""The READMEs are not in the site; what they tell is on these pages."""
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tree:
    """Everything of one language: ``pages`` by their path in the site, ``nav`` as the renderer wants it."""

    language: Language
    pages: dict[str, Page]
    nav: list[Any]
    config: dict[str, Any]


def written(root: Path, language: Language) -> Iterator[Page]:
    """What people wrote; where a page is not there in Chinese, the English one with a line that says so."""
    docs = root / "docs"
    files = {
        str(one.relative_to(docs)): one
        for one in sorted(docs.rglob("*.md"))
        if "zh" not in one.relative_to(docs).parts[:1]
    }
    files |= {site: root / name for name, site in ROOTS.items()}
    for site, file in files.items():
        own = docs / "zh" / site
        body = file.read_text(encoding="utf-8")
        if language == "zh" and own.is_file():
            file, body = own, trial_table.shown(own.read_text(encoding="utf-8"), body)
        if language == "zh" and not own.is_file() and "中文摘要" not in body:
            note = "> 这一页目前只有英文。"
            body = TITLE.sub(lambda found, note=note: f"{found[0]}\n\n{note}", body, count=1)
        yield Page(site, body, str(file.relative_to(root)))
    if language == "zh":
        for file in sorted((docs / "zh").rglob("*.md")):
            if str(file.relative_to(docs / "zh")) not in files:
                raise ValueError(f"{file.relative_to(root)} has no English page docs/{file.relative_to(docs / 'zh')}")


def generated(root: Path, language: Language) -> Iterator[Page]:
    """What is made of the product itself; nothing of it is kept, so nothing of it can be out of date."""
    yield from connector_page.pages(language)
    yield from recipe_page.pages(language)
    yield from command_page.pages(root, language)
    yield from api_page.pages(language)


def planned(root: Path, language: Language) -> Tree:
    """All pages with links that hold, and the navigation of ``mkdocs.yml`` in this language."""
    config = yaml.safe_load((root / CONFIG).read_text(encoding="utf-8"))
    pages: dict[str, Page] = {}
    for one in [*written(root, language), *generated(root, language)]:
        if one.path in pages:
            raise ValueError(f"two pages want to be {one.path}")
        pages[one.path] = one

    def place(target: str) -> str | None:
        if target in README:
            return README[target]
        if target in ROOTS:
            return ROOTS[target]
        if found := re.fullmatch(r"(?:connectors/(\w+)/README\.md|gateway/recipes/([\w-]+)/recipe\.yaml)", target):
            return f"connectors/{found[1]}.md" if found[1] else f"recipes/{found[2]}.md"
        inner = re.sub(r"^docs/(?:zh/)?", "", target)
        if target.startswith("docs/") and (
            inner in pages or ((root / "docs" / inner).is_file() and not inner.endswith(".md"))
        ):
            return inner
        return None

    titles = {path: titled(one) for path, one in pages.items()}
    for path, one in pages.items():
        body = links.turned(one.body, one.source, path, place, titles.__getitem__)
        pages[path] = Page(path, dialect.rendered(body, language), one.source)
    return Tree(language, pages, nav(config["nav"], pages, language), config)


def nav(wanted: list[Any], pages: dict[str, Page], language: Language) -> list[Any]:
    """The navigation: ``中文 | English`` titles of sections, pages by their own titles, patterns filled in.

    A pattern stands for the pages of its folder that are named nowhere.
    """
    return _nav(wanted, pages, language, set(_named(wanted)))


def _named(wanted: list[Any]) -> Iterator[str]:
    for one in wanted:
        if isinstance(one, dict):
            for inner in one.values():
                yield from _named(inner)
        elif "*" not in one:
            yield one


def _nav(wanted: list[Any], pages: dict[str, Page], language: Language, named: set[str]) -> list[Any]:
    made: list[Any] = []
    for one in wanted:
        if isinstance(one, dict):
            for title, inner in one.items():
                zh, _, en = title.partition(" | ")
                made.append({say(language, zh, en or zh): _nav(inner, pages, language, named)})
            continue
        found = [one]
        if "*" in one:
            near = [path for path in pages if path.count("/") == one.count("/") and path not in named]
            found = sorted(fnmatch.filter(near, one), key=lambda path: (not path.endswith("index.md"), path))
        elif one not in pages:
            raise ValueError(f"{CONFIG}: no page {one}")
        made += [{titled(pages[path]): path} for path in found]
    return made


def titled(page: Page) -> str:
    """A page's first heading, without its marks."""
    found = TITLE.search(page.body)
    return re.sub(r"[`*]", "", found[1]).strip() if found else page.path


def laid(root: Path, tree: Tree, home: Path) -> Path:
    """Writes the pages, the pictures they show and the renderer's settings; the path of the settings."""
    shutil.rmtree(home, ignore_errors=True)
    for path, one in tree.pages.items():
        file = home / "pages" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(one.body, encoding="utf-8")
        for mark, _, link in links.LINK.findall(one.body):
            if mark and not links.OUTSIDE.match(link):
                picture = (file.parent / link).resolve()
                picture.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / "docs" / picture.relative_to((home / "pages").resolve()), picture)
    shutil.copytree(root / "docs" / "assets", home / "pages" / "assets", dirs_exist_ok=True)
    other = {"zh": "../zh/index.html", "en": "../en/index.html"}
    config = tree.config | {
        "nav": tree.nav, "docs_dir": "pages", "site_dir": "site",
        "site_description": say(tree.language, "店铺、ERP、CRM、消息保持一致", "Shops, ERP, CRM and messages in step"),
    }  # fmt: skip
    config["theme"] = config["theme"] | {"language": tree.language}
    names = {"zh": "中文", "en": "English"}
    config["extra"] = config.get("extra", {}) | {
        "alternate": [{"name": names[one], "lang": one, "link": other[one]} for one in words.LANGUAGES]
    }
    file = home / CONFIG
    file.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file
