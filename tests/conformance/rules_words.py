"""Rules about what people read: labels, help, hints, and the README of each connector."""

from __future__ import annotations

import re
from collections.abc import Iterator

from connectors.core import declaration
from tests.conformance.ruling import Folder, Problem, rule, texts

CJK = re.compile(r"[\u4e00-\u9fff]")
LATIN = re.compile(r"[A-Za-z]")
KEYS_ZH, KEYS_EN = re.compile(r"^#+ .*密钥", re.MULTILINE), re.compile(r"^#+ .*\bkeys\b", re.MULTILINE | re.IGNORECASE)
UNSURE = re.compile(r"^#+ .*(?:未确认|unconfirmed).*$", re.MULTILINE | re.IGNORECASE)
NOT_TWICE = "挂起"
"""The README's word for what happens when an answer is lost and nothing recognises a repeat."""


@rule
def words_in_both_languages(folder: Folder) -> Iterator[Problem]:
    """zh is Chinese, en is not; proper names of a choice may be the same in both."""
    for at, words in texts(folder.spec):
        name_of_choice = ".choices[" in at and words.zh == words.en
        if not words.zh.strip() or not words.en.strip():
            yield Problem(at, "zh or en is empty")
        elif not CJK.search(words.zh) and not name_of_choice:
            yield Problem(at, f"zh has no Chinese: {words.zh}")
        elif CJK.search(words.en) or not LATIN.search(words.en):
            yield Problem(at, f"en is not English: {words.en}")


@rule
def fields_explain_themselves(folder: Folder) -> Iterator[Problem]:
    """Every field of the form says where its value is found or what it does."""
    for field in folder.spec.fields:
        if field.help is None:
            yield Problem(field.key, "no help: say where to find it or what it does")


@rule
def refusals_have_a_hint(folder: Folder) -> Iterator[Problem]:
    """Whoever sees the vendor's code is told what to do."""
    tables = {"errors": folder.spec.errors}
    tables |= {f"operations.{name}.errors": one.errors for name, one in folder.spec.operations.items()}
    for place, table in tables.items():
        for number, one in enumerate(table):
            if one.hint is None:
                yield Problem(f"{place}[{number}]", f"no hint for {one.match or one.status or one.text}")


@rule
def readme_is_there_and_chinese_first(folder: Folder) -> Iterator[Problem]:
    """A title, Chinese first, and how to get the keys in both languages."""
    if not folder.readme:
        yield Problem("README.md", "missing")
        return
    zh, en = KEYS_ZH.search(folder.readme), KEYS_EN.search(folder.readme)
    if not CJK.search(folder.readme.splitlines()[0]):
        yield Problem("title", "the first line has no Chinese")
    if zh is None:
        yield Problem("keys_zh", "no heading with 密钥: how does an administrator get the keys?")
    if en is None:
        yield Problem("keys_en", "no heading with 'keys' in English")
    if zh and en and zh.start() > en.start():
        yield Problem("order", "Chinese comes first")


@rule
def readme_names_every_key(folder: Folder) -> Iterator[Problem]:
    """Each secret or required field is in the README, by its key or one of its labels."""
    for field in folder.spec.fields:
        if not (field.secret or field.required):
            continue
        names = {field.key, _short(field.label.zh), _short(field.label.en), field.label.zh, field.label.en}
        if not any(name in folder.readme for name in names):
            yield Problem(field.key, f"the README names none of {sorted(names)}")


def _short(label: str) -> str:
    """A label without what stands in brackets."""
    return re.split(r"[（(]", label)[0].strip()


@rule
def readme_lists_what_is_unconfirmed(folder: Folder) -> Iterator[Problem]:
    """Every fact nobody could verify stands in the README as it stands in the declaration."""
    heading = UNSURE.search(folder.readme)
    told = " ".join(folder.readme[heading.start() :].split()) if heading else ""
    for number, fact in enumerate(folder.spec.unconfirmed):
        if " ".join(fact.split()) not in told:
            yield Problem(f"unconfirmed[{number}]", f"not in the README's section on unconfirmed facts: {fact}")


@rule
def readme_warns_of_what_cannot_be_repeated(folder: Folder) -> Iterator[Problem]:
    """An act without idempotency parks when its answer is lost; the README says so, by the operation's name."""
    paragraphs = re.split(r"\n(?=[-|#\n]|\d+\.)", folder.readme)
    for name, operation in folder.spec.operations.items():
        if operation.kind in ("write", "act") and operation.idempotent is declaration.Idempotency.NO:
            if not any(f"`{name}`" in one and NOT_TWICE in one for one in paragraphs):
                yield Problem(name, f"idempotent: no, but no line of the README has `{name}` and {NOT_TWICE}")
