"""The documents as a site, in Chinese and English.

    ./shuniu docs build    build/site: zh/, en/ and a first page that leads to either; any web server will do
    ./shuniu docs serve    builds, and serves it at http://127.0.0.1:8000/ (--port)

The site is built by Zensical from mkdocs.yml. Reference pages are made of the product each time: connectors, recipes,
commands, API. The exit code is 1 when a page cannot be built, or a link, anchor or picture leads nowhere.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.manual import links, tree, words

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build"
SECONDS = 180
OTHER = re.compile(r'href="((?:\.\./)+)(zh|en)/index\.html"')
FIRST = """<!doctype html>
<html lang="zh"><head><meta charset="utf-8"><title>枢纽 Shuniu</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<script>location.replace(/^zh/i.test(navigator.language) ? "zh/index.html" : "en/index.html")</script>
</head><body><p><a href="zh/index.html">中文</a> · <a href="en/index.html">English</a></p></body></html>
"""


def rendered(config: Path, into: Path) -> str:
    """Renders the pages of one language into its folder; what the renderer complains of, nothing when all is well."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", config.name]
    environment = {**os.environ, "NO_COLOR": "1"}
    ran = subprocess.run(
        command, cwd=config.parent, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if ran.returncode:
        return f"{ran.stdout}{ran.stderr}".strip()
    site = config.parent / "site"
    for file in site.rglob("*.html"):
        here = file.relative_to(site).as_posix()
        text = file.read_text(encoding="utf-8")
        # The other language of a page is that page, not the first one.
        file.write_text(OTHER.sub(rf'href="\1\2/{here}"', text) if here != "404.html" else text, encoding="utf-8")
    shutil.rmtree(into, ignore_errors=True)
    shutil.move(site, into)
    return ""


def planned() -> dict[words.Language, tree.Tree]:
    """The pages of both languages. Raises ValueError where they do not fit together."""
    return {one: tree.planned(ROOT, one) for one in words.LANGUAGES}


def built(home: Path, trees: dict[words.Language, tree.Tree]) -> list[str]:
    """Builds ``home/site`` with both languages; every problem there is."""
    site = home / "site"
    site.mkdir(parents=True, exist_ok=True)
    laid = [tree.laid(ROOT, one, home / f"docs-{language}") for language, one in trees.items()]
    with ThreadPoolExecutor(max_workers=len(laid)) as pool:
        said = [*pool.map(rendered, laid, [site / one for one in trees])]
    (site / "index.html").write_text(FIRST, encoding="utf-8")
    return [one for one in said if one] or [*links.broken(site)]


def serve(folder: Path, port: int) -> None:
    """Serves a built site on this machine until interrupted."""
    answer = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), answer) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main(arguments: list[str]) -> int:
    """Exit code 1 when something is wrong with the documents."""
    parser = argparse.ArgumentParser(prog="./shuniu docs", description="The documents as a site.")
    parser.add_argument("what", choices=("build", "serve"))
    parser.add_argument("--port", type=int, default=8000, help="where to serve")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        problems = built(HOME, planned())
    except ValueError as error:
        problems = [str(error)]
    for one in problems:
        print(one)
    if problems:
        print(f"{len(problems)} problems")
        return 1
    count = len([*(HOME / "site").rglob("*.html")])
    print(f"{count} pages in {time.monotonic() - began:.1f} s: {HOME / 'site' / 'index.html'}", flush=True)
    if options.what == "serve":
        serve(HOME / "site", options.port)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
