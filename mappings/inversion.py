"""What a rule loses on the way back, and which enum values fit: the linter's knowledge of codecs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mappings import codecs, kinds, paths, spec
from mappings.kinds import Shape

Level = Literal["error", "warning", "info"]
Remark = tuple[Level, str, str]
"""Level, and the words in zh and en."""

Tables = dict[str, spec.Table]


def losses(rule: spec.Rule, kind: kinds.Kind, tables: Tables) -> Iterator[Remark]:
    """Why a rule does not invert, or not wholly. An error where it claims to work both ways and cannot."""
    if rule.way is not spec.Way.BOTH:
        yield _one_way(rule)
        return
    segments = paths.parse(rule.native or ".") + paths.parse(rule.canonical or ".")
    if any(isinstance(segment, int) and segment < 0 for segment in segments):
        yield "error", "负下标不能写出；请写 way", "a negative index cannot be written; say way"
    if rule.codec == "enum":
        yield from _ambiguous(rule.table or "", tables[rule.table or ""])
    if rule.codec == "address" and rule.style == "joined":
        if rule.separator == "":
            yield (
                "error",
                "没有分隔符的地址不能拆开；请写 way",
                "an address without a separator cannot be split; say way",
            )
        else:
            yield "info", "拼接的地址缺少中间一级时不能还原", "a joined address lacking a middle part does not invert"
    if rule.rounding != "exact":
        yield "info", "写出时四舍五入，多余的小数会丢失", "rounds when it writes; further decimals are lost"
    if kind.shape is Shape.MOMENT and _coarse(rule):
        yield "info", "格式不含秒，写出时会截断", "the format has no seconds; they are cut off"


def _coarse(rule: spec.Rule) -> bool:
    written = rule.format[0] if isinstance(rule.format, list) and rule.format else rule.format
    return isinstance(written, str) and "%" in written and "%S" not in written


def _one_way(rule: spec.Rule) -> Remark:
    way_zh, way_en = ("只读取", "reads only") if rule.way is spec.Way.FROM else ("只写出", "writes only")
    if rule.expr is not None:
        return "info", f"{way_zh}：表达式不能反向", f"{way_en}: an expression cannot be inverted"
    if rule.fixed:
        return "info", f"{way_zh}：固定值或上下文", f"{way_en}: a constant or context"
    if rule.when is not None:
        return "info", f"{way_zh}：带条件", f"{way_en}: it has a condition"
    return "info", f"{way_zh}：规则写明单向", f"{way_en}: declared one-way"


def _ambiguous(name: str, table: spec.Table) -> Iterator[Remark]:
    _, ambiguous = codecs.inverse(table)
    for value, natives in ambiguous.items():
        names = ", ".join(natives)
        yield (
            "error",
            f"对照表 '{name}' 不能反向：{names} 都变成 '{value}'；请在 to 中指定一个，或写 way: from",
            f"table '{name}' cannot be inverted: {names} all become '{value}'; name one under to, or say way: from",
        )


def values(rule: spec.Rule, kind: kinds.Kind, tables: Tables) -> Iterator[Remark]:
    """Enum values the canonical model does not have, and ones the table cannot write."""
    if kind.shape is not Shape.ENUM:
        return
    given = [rule.value, rule.default] if rule.reads else []
    if rule.codec == "enum":
        table = tables[rule.table or ""]
        given += [*table.to_canonical.values(), *table.to_native, table.default_from]
        back, _ = codecs.inverse(table)
        uncovered = ", ".join(sorted(kind.values - set(back)))
        if rule.writes and uncovered and table.default_to is None:
            zh, en = f"对照表 '{rule.table}' 写不出：{uncovered}", f"table '{rule.table}' cannot write: {uncovered}"
            yield "warning", zh, en
    known = ", ".join(sorted(kind.values))
    for value in given:
        if value is None or (isinstance(value, str) and value.startswith("@")):
            continue
        if codecs.flat(value) not in kind.values:
            zh = f"'{value}' 不是 {rule.canonical} 的取值；可用：{known}"
            yield "error", zh, f"'{value}' is not a value of {rule.canonical}; there are: {known}"


__all__ = ["Level", "losses", "values"]
