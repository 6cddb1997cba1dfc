"""Links: written for the repository, turned for the site, and looked at once more in what was built."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CODE = r"^ *(?:```|~~~).*?^ *(?:```|~~~) *$|`[^`\n]*`"
SEEN = re.compile(rf"{CODE}|{LINK.pattern}", re.MULTILINE | re.DOTALL)
"""Code, in which nothing is a link, or a link, whose words may have code in them: whichever begins first."""
NAME = re.compile(r"[\w./-]+\.md")
OUTSIDE = re.compile(r"^[a-z][a-z0-9+.-]*:|^//")


def turned(
    body: str, source: str, path: str, place: Callable[[str], str | None], title: Callable[[str], str] = str
) -> str:
    """A page's text with links that hold in the site.

    ``source`` is where it stands in the repository and ``path`` in the site; ``place`` says where a file of the
    repository is in the site, or None: of what is not there, only the words stay. A link that is called like its
    file gets the ``title`` of the page that it leads to.
    """

    def one(found: re.Match[str]) -> str:
        mark, text, link = found.groups()
        if link is None or OUTSIDE.match(link) or link.startswith("#"):
            return found[0]
        file, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), file))
        known = place(f"{target}#{anchor}") if anchor else None
        there = known or place(target)
        if there is None:
            return text
        if NAME.fullmatch(text):
            text = title(there)
        kept = f"#{anchor}" if anchor and known is None else ""
        return f"{mark}[{text}]({posixpath.relpath(there, posixpath.dirname(path) or '.')}{kept})"

    return SEEN.sub(one, body)


class _Seen(HTMLParser):
    """What one built page has and asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.names.update(given[key] for key in ("id", "name") if key in given and tag != "meta")
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "alternate", "prev", "next"):
            self.loaded.append(given.get("href", ""))
        elif "src" in given:
            self.loaded.append(given["src"])


def broken(site: Path) -> Iterator[str]:
    """Every link, anchor, picture and script of a built site that leads nowhere, or to another host when loading."""
    seen: dict[Path, _Seen] = {}
    for file in sorted(site.rglob("*.html")):
        seen[file] = _Seen()
        seen[file].feed(file.read_text(encoding="utf-8"))
    for file, page in seen.items():
        if file.name == "404.html":
            continue  # served at any depth, so its links begin at the root of whoever serves it
        where = file.relative_to(site)
        for asked in page.loaded:
            if OUTSIDE.match(asked) and not asked.startswith("data:"):
                yield f"{where}: loads {asked} from another host"
        for link in [*page.links, *page.loaded]:
            if not link or OUTSIDE.match(link):
                continue
            path, _, anchor = unquote(link).partition("#")
            target = (file.parent / path.partition("?")[0]).resolve() if path else file
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                yield f"{where}: {link} leads nowhere"
            elif anchor and target in seen and anchor not in seen[target].names:
                yield f"{where}: {link} names no place there"
