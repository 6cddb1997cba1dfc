"""Looking inside: what is signed, and what a mapping makes of a record."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.core import errors, registry, template
from gateway.commands import shell
from mappings import check as mapping_check
from mappings import errors as mapping_errors
from mappings import library, linter


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("sign")(sign)
    app.command("map")(map_)


def _read(file: str) -> Any:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return json.loads(text, parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise shell.fail(f"读不到 JSON {file}（{error}）", f"{file} cannot be read as JSON ({error})") from None


def sign(
    connector: str,
    source: Annotated[
        str, typer.Option("--in", help='{"config", "secrets", "operation", "input", "token", "now"}，- 表示标准输入')
    ],
    operation: Annotated[str | None, typer.Option(help="接口操作，默认测试连接用的 / default: the probe")] = None,
    as_json: shell.Json = False,
) -> None:
    """签名调试：显示待签名串（脱敏）和签名 / print the masked string-to-sign and the signature."""
    from gateway import signature

    given = _read(source)
    if not isinstance(given, dict):
        raise shell.fail("输入应为 JSON 对象", "the inputs must be a JSON object")
    strangers = sorted(set(given) - {"config", "secrets", "operation", "input", "token", "now"})
    if strangers:
        raise shell.fail(f"不认识的输入：{', '.join(strangers)}", f"unknown inputs: {', '.join(strangers)}")
    try:
        made = signature.explain(
            connector,
            operation or given.get("operation"),
            given.get("config") or {},
            {key: str(value) for key, value in (given.get("secrets") or {}).items()},
            given.get("input") or {},
            float(given.get("now") or time.time()),
            given.get("token"),
        )
    except registry.UnknownConnector as error:
        raise shell.fail(str(error), str(error)) from None
    except errors.ConnectorError as error:
        raise shell.fail(error.hint.get("zh", error.message), error.hint.get("en", error.message), 1) from None
    except (template.TemplateError, ValueError, KeyError, TypeError) as error:
        raise shell.fail(f"无法签名：{error}", f"cannot be signed: {error}", 1) from None
    if as_json:
        shell.show(dataclasses.asdict(made))
        return
    lines = [f"{made.connector} {made.operation} ({made.scheme})", f"{made.method} {made.url}"]
    lines += [f"待签名串 string to sign ({one.algorithm}):\n{one.text}" for one in made.proofs]
    lines += [f"{name}: {value}" for name, value in made.added.items()]
    if made.proofs and not made.added:
        lines.append(made.body)  # some systems want the signature inside the body
    lines += list(made.notes)
    typer.echo("\n".join(lines))


def map_(
    file: Annotated[
        str, typer.Argument(help="映射文件，或内置的 connector/name / a file, or a shipped connector/name")
    ],
    source: Annotated[str, typer.Option("--in", help="样例 JSON，- 表示标准输入 / a sample, - for stdin")],
    reverse: Annotated[bool, typer.Option("--reverse", help="标准模型 → 系统 / canonical to native")] = False,
    at: Annotated[str, typer.Option(help="记录在样例中的位置 / where in the sample the record is")] = ".",
    context: Annotated[str | None, typer.Option(help="@… 读取的 JSON 文件 / JSON that @… reads")] = None,
    as_json: shell.Json = False,
) -> None:
    """试运行字段映射 / map one record."""
    text, name = _mapping(file)
    try:
        made = library.parse(text, name)
        record = mapping_check.located(_read(source), at)
        apply = made.to_native if reverse else made.from_native
        result = apply(record, _read(context) if context else {})
    except mapping_errors.SpecError as error:
        found = [{"line": one.line, "rule": one.rule, "zh": one.zh, "en": one.en} for one in error.problems]
        _refuse(found, [f"{name}: {one}" for one in error.problems], as_json=as_json)
    except mapping_errors.MappingError as error:
        fields = {key: getattr(error, key) for key in ("file", "rule", "native", "canonical", "zh", "en")}
        _refuse([fields], [str(error)], as_json=as_json)
    except (LookupError, mapping_errors.BadValue) as error:
        raise shell.fail(f"样例里找不到记录：{error}", f"no record in the sample: {error}", 1) from None
    else:
        remarks = [one for one in linter.lint(text, name) if one.level == "warning"]
        if as_json:
            warnings = [{"line": one.line, "rule": one.rule, "zh": one.zh, "en": one.en} for one in remarks]
            shell.show({"ok": True, "result": result, "warnings": warnings})
            return
        for one in remarks:
            shell.err.print(str(one), markup=False)
        shell.show(result)


def _refuse(found: list[dict[str, Any]], lines: list[str], *, as_json: bool) -> None:
    if as_json:
        shell.show({"ok": False, "errors": found})
    else:
        for line in lines:
            shell.err.print(line, markup=False)
    raise typer.Exit(1)


def _mapping(file: str) -> tuple[str, str]:
    path = Path(file)
    if path.is_file():
        return path.read_text(encoding="utf-8"), file
    connector, _, name = file.removesuffix(".yaml").removeprefix("mappings/").partition("/")
    if (connector, name) in library.names():
        return library.text(connector, name), f"{connector}/{name}.yaml"
    raise shell.fail(f"没有映射文件 {file}", f"no mapping file {file}")
