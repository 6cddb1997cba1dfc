"""The text of a site's own declaration: read within bounds, refused where it would need a program of ours.

Text comes from a form, a file or an importer, in YAML or JSON, in the short form (``shuniu/api/v1``) or in full
(``shuniu/connector/v1``). What is made of it is shared by everybody who asks for the same text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pydantic
import yaml

from connectors.core import declaration, errors, plan, registry, signing, verify
from connectors.core.own import brief

FULL = "shuniu/connector/v1"
LONGEST = 512 * 1024
DEEPEST = 40
LONGEST_PATTERN = 200


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing wrong with a declaration, for people; ``path`` leads to it."""

    path: tuple[str | int, ...]
    zh: str
    en: str


class Broken(registry.DeclarationError):
    """A declaration that cannot be used. Either ``wrong`` lists why, or ``shape`` is what its model says."""

    def __init__(
        self, wrong: list[Wrong], shape: pydantic.ValidationError | None = None, made: type[pydantic.BaseModel] = (
            declaration.Declaration), file: str = "declaration",
    ) -> None:  # fmt: skip
        said = [f"{file}: {'.'.join(map(str, one.path)) or '(the whole text)'}: {one.en}" for one in wrong]
        super().__init__("\n".join(said or (registry.lines(shape, file) if shape is not None else [file])))
        self.wrong, self.shape, self.model = wrong, shape, made


class _Dumper(yaml.SafeDumper):
    """Writes what appears twice twice: references would not be read again."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def written(spec: dict[str, Any]) -> str:
    """A declaration given as data, as the text that is kept."""
    return yaml.dump(spec, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=110)


def parsed(text: str, *, longest: int = LONGEST, deepest: int = DEEPEST) -> dict[str, Any]:
    """A bounded YAML or JSON text as an object. Raises Broken."""
    if len(text.encode()) > longest:
        kib = longest // 1024
        raise Broken([Wrong((), f"内容太大，最多 {kib} KiB", f"too large; at most {kib} KiB")])
    if text.lstrip().startswith("{") and (read := _json(text, deepest)) is not None:
        return read
    depth = 0
    try:
        for event in yaml.parse(text, Loader=registry.Loader):
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1 if event.start_mark else 0
                zh, en = f"第 {line} 行：不接受 YAML 引用（*）", f"line {line}: YAML references (*) are not taken"
                raise Broken([Wrong((), zh, en)])
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > deepest:
                raise Broken([Wrong((), f"嵌套超过 {deepest} 层", f"nested deeper than {deepest} levels")])
        return registry.read(text, "declaration")
    except Broken:
        raise
    except (yaml.YAMLError, registry.DeclarationError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        said = first.removeprefix("declaration:").strip()
        raise Broken([Wrong((), f"读不懂内容：{said}", f"cannot be read: {said}")]) from None


def _json(text: str, deepest: int) -> dict[str, Any] | None:
    """Plain JSON, much faster than as the YAML that it is too; None where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    here = [found]
    for _ in range(deepest):
        here = [inner for node in here for inner in (node.values() if isinstance(node, dict) else node)
                if isinstance(inner, dict | list)]  # fmt: skip
    if here:
        raise Broken([Wrong((), f"嵌套超过 {deepest} 层", f"nested deeper than {deepest} levels")])
    return found if isinstance(found, dict) else None


@lru_cache(maxsize=256)
def compiled(text: str) -> declaration.Declaration:
    """The declaration in a text, checked as a whole. Raises Broken."""
    data = parsed(text)
    spoken = data.get("apiVersion")
    if spoken not in (brief.VERSION, FULL):
        zh, en = f"apiVersion 应为 {brief.VERSION} 或 {FULL}", f"apiVersion must be {brief.VERSION} or {FULL}"
        raise Broken([Wrong(("apiVersion",), zh, en)])
    try:
        if spoken == brief.VERSION:
            data = brief.expanded(_brief(data))
        made = declaration.Declaration.model_validate(data)
    except pydantic.ValidationError as error:
        raise Broken([], error) from None
    wrong = [*_beyond(made), *_unusable(made)]
    if wrong:
        raise Broken(wrong)
    return made


def _brief(data: dict[str, Any]) -> brief.Brief:
    try:
        return brief.Brief.model_validate(data)
    except pydantic.ValidationError as error:
        raise Broken([], error, brief.Brief) from None


def _beyond(made: declaration.Declaration) -> Iterator[Wrong]:
    """What only a connector with a folder of its own may ask for: it would run code that is not there."""
    zh, en = "自定义声明不能使用 custom（需要程序）", "'custom' needs a program; a declaration has none"
    if made.signing.scheme == "custom":
        yield Wrong(("signing", "scheme"), zh, en)
    if made.sign_in is not None:
        yield Wrong(("sign_in",), "自定义声明不能用于登录", "nobody signs in by a declaration of the site's own")
    for name, source in made.events.items():
        if source.door == "stream":
            stream = ("自定义声明不能使用长连接", "a long connection needs a program; a declaration has none")
            yield Wrong(("events", name, "door"), *stream)
        if source.verify is not None and source.verify.scheme == "custom":
            yield Wrong(("events", name, "verify", "scheme"), zh, en)
    for index, auth in enumerate(made.auth):
        if auth.token is not None and auth.token.request is None:
            login = ("请写明取得令牌的请求 request", "say how a token is requested: request")
            yield Wrong(("auth", index, "token"), *login)


def _unusable(made: declaration.Declaration) -> Iterator[Wrong]:
    if made.signing.scheme not in (*signing.SCHEMES, "custom"):
        known = ", ".join(signing.SCHEMES)
        zh, en = f"没有这种签名方式；可用：{known}", f"no such scheme; there are: {known}"
        yield Wrong(("signing", "scheme"), zh, en)
    for name, source in made.events.items():
        if source.verify is not None and source.verify.scheme not in (*verify.SCHEMES, "custom"):
            known = ", ".join(verify.SCHEMES)
            zh, en = f"没有这种验签方式；可用：{known}", f"no such scheme; there are: {known}"
            yield Wrong(("events", name, "verify", "scheme"), zh, en)
    for name in made.operations:
        try:
            plan.Plan(made, name)
        except (errors.Misdeclared, ValueError) as error:
            yield Wrong(("operations", name), f"无法使用：{error}", f"cannot be used: {error}")
    patterns = [(("fields", one.key), one.pattern) for one in made.fields if one.pattern]
    patterns += [(("errors", str(index)), one.retry_after_pattern) for index, one in enumerate(made.errors)
                 if one.retry_after_pattern]  # fmt: skip
    for path, pattern in patterns:
        try:
            re.compile(pattern or "")
            bad = len(pattern or "") > LONGEST_PATTERN
        except re.error:
            bad = True
        if bad:
            yield Wrong(path, "不是可用的正则表达式", "no usable regular expression")
