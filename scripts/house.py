"""House rules no ready-made linter knows: files short enough, vendors at home, names that say something.

Run by ``./shuniu lint``; ``python scripts/house.py [folder]`` checks another copy of the tree. A line that
must break a rule says so at its end, with the reason: ``# house: vendor-word because …``.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOMS = ("gateway", "webhooks", "retry_queue", "connectors", "mappings")
LINES = 400

REFUSED = {
    "process", "processor", "handle", "handler", "manage", "manager", "util", "utils", "utility", "helper", "helpers",
    "common", "misc",
}  # fmt: skip
"""Words that name nothing; they are looked for in names we give, not in names we call."""

# Spelt with a class in the middle so that the rule does not find itself.
_PLACES = re.compile(r"(?<![\w.~*}])/(?:r[o]ot|h[o]me|w[o]rk|w[o]rkspace|U[s]ers)/[\w.]")
_REGISTRIES = re.compile(
    r"(?:p[y]pi\.org/simple|f[i]les\.pythonhosted\.org|r[e]gistry\.(?:npmjs|yarnpkg)|r[e]gistry\.npmmirror|p[k]g\.dev"
    r"|\bp[y]pi\.[a-z]+\.edu|m[i]rrors?\.(?:aliyun|tuna|ustc|cloud\.tencent)|a[r]tifactory|--(?:extra-)?index-url\s+http)",
    re.IGNORECASE,
)
_SKIP = re.compile(r"#\s*house:\s*(?P<rule>[a-z-]+)\s+because\s+\S+")
_TEXT = {
    ".py",
    ".toml",
    ".txt",
    ".md",
    ".yaml",
    ".yml",
    ".json",
    ".sh",
    ".cfg",
    ".ini",
    ".ts",
    ".tsx",
    ".css",
    ".html",
    "",
}


@dataclass(frozen=True)
class Finding:
    """One breach: where, which rule, and how to mend it."""

    path: Path
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


def files(root: Path) -> list[Path]:
    """Everything that is or would be committed, relative to ``root``; all files where there is no git."""
    paths: list[Path] = []
    if (git := shutil.which("git")) and (root / ".git").exists():
        listed = subprocess.run(
            [git, "-C", root, "ls-files", "-coz", "--exclude-standard"], capture_output=True, text=True, check=False
        )
        paths = [Path(name) for name in listed.stdout.split("\0") if name]
    if not paths:
        hidden = {".git", ".venv", ".uv", "var", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache"}
        paths = [
            path.relative_to(root)
            for path in root.rglob("*")
            if path.is_file() and not hidden & set(path.relative_to(root).parts)
        ]
    return sorted(path for path in paths if (root / path).is_file())


def vendors(root: Path) -> set[str]:
    """The ids of the systems, by presence; generic ends such as plain HTTP are no vendor's word."""
    found = set()
    for declaration in (root / "connectors").glob("*/connector.yaml"):
        category = re.search(r"^category:\s*(\w+)", declaration.read_text(encoding="utf-8"), re.MULTILINE)
        if category is None or category[1] not in {"generic", "crm"}:
            found.add(declaration.parent.name)
    return found


def file_length(root: Path, paths: list[Path]) -> Iterator[Finding]:
    """No source file of ours beyond the limit."""
    for path in paths:
        if path.suffix in {".py", ".ts", ".tsx"} and ".gen." not in path.name:
            count = len((root / path).read_text(encoding="utf-8").splitlines())
            if count > LINES:
                yield Finding(path, LINES, "file-length", f"{count} lines; split it by nouns (at most {LINES})")


def vendor_word(root: Path, paths: list[Path]) -> Iterator[Finding]:
    """A vendor's id in a literal or a name outside the vendor's own folders; docstrings may give examples."""
    ids = vendors(root)
    if not ids:
        return
    pattern = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(sorted(ids))})(?![a-z0-9])")
    for path in _sources(paths):
        own = path.parts[1] if path.parts[0] in {"connectors", "mappings"} and len(path.parts) > 2 else ""
        for line, text in _words(_tree(root / path)):
            for found in pattern.findall(text):
                if found != own:
                    hint = f"'{found}' belongs into connectors/{found} or mappings/{found}; declare it in its yaml"
                    yield Finding(path, line, "vendor-word", hint)


def refused_word(root: Path, paths: list[Path]) -> Iterator[Finding]:
    """Modules, classes and functions are named for what they are or do."""
    for path in _sources(paths):
        for word in REFUSED & set(path.stem.split("_")):
            yield Finding(path, 1, "refused-word", f"a file called '{word}' says nothing; name its noun")
        for node in ast.walk(_tree(root / path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", node.name).lower().split("_")
                for word in REFUSED & set(words):
                    yield Finding(path, node.lineno, "refused-word", f"'{node.name}': say what it does, not '{word}'")


def stands_alone(root: Path, paths: list[Path]) -> Iterator[Finding]:
    """No machine's paths and no package registry's host in anything committed."""
    for path in paths:
        if path.suffix not in _TEXT:
            continue
        text = (root / path).read_text(encoding="utf-8", errors="replace")
        for pattern, hint in ((_PLACES, "a path of one machine"), (_REGISTRIES, "a package registry's host")):
            for found in pattern.finditer(text):
                yield Finding(path, text.count("\n", 0, found.start()) + 1, "stands-alone", f"{hint}: {found[0]}")


def unfinished(root: Path, paths: list[Path]) -> Iterator[Finding]:
    """No stubs: a function that only raises NotImplementedError, and no swallowed exception."""
    for path in _sources(paths):
        for node in ast.walk(_tree(root / path)):
            if isinstance(node, ast.Name) and node.id == "NotImplementedError":
                yield Finding(path, node.lineno, "unfinished", "finish it, or make it a Protocol")
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                yield Finding(path, node.lineno, "unfinished", "name the exception")


RULES: dict[str, Callable[[Path, list[Path]], Iterator[Finding]]] = {
    "file-length": file_length,
    "vendor-word": vendor_word,
    "refused-word": refused_word,
    "stands-alone": stands_alone,
    "unfinished": unfinished,
}


def check(root: Path) -> list[Finding]:
    """All findings of all rules, without those a line excuses."""
    paths = files(root)
    found = [finding for rule in RULES.values() for finding in rule(root, paths)]
    return [finding for finding in found if not _excused(root, finding)]


def _excused(root: Path, finding: Finding) -> bool:
    lines = (root / finding.path).read_text(encoding="utf-8", errors="replace").splitlines()
    line = lines[finding.line - 1] if finding.line <= len(lines) else ""
    skip = _SKIP.search(line)
    return skip is not None and skip["rule"] == finding.rule


def _sources(paths: list[Path]) -> list[Path]:
    return [path for path in paths if path.suffix == ".py" and path.parts[0] in ROOMS]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, text) of every literal that is no docstring, and of every name we give."""
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value.lower()
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.lineno, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", node.name).lower()
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg.lower()
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id.lower()


def main(arguments: list[str]) -> int:
    """Print the findings; exit code 1 when there are any."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    found = check(root)
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
