"""Whatever strangers send, the quick reading says the same as a tree of a guarded parser."""

from __future__ import annotations

from typing import Any

import pytest
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from hypothesis import given
from hypothesis import strategies as st

from connectors.core import xmltext

PIECES = [
    "<xml>", "</xml>", "<a x='1'>", "</a>", "<b/>", "<![CDATA[", "]]>", "<!DOCTYPE a [", "<!ENTITY b 'x'>", "]>", "&b;",
    "&lt;", "&#65;", "<!-- c -->", "<?xml version='1.0'?>", "<?xml version='1.0' encoding='utf-16'?>",
    "<?xml version='1.0' encoding=\"UTF-8\"?>", "<?xml version='1.0' encoding='latin-1'?>", "<?p i?>", "中", "é", " ",
    "\n", "\x00", "\ufeff", "text", "<n:a xmlns:n='u'>", "</n:a>", "<!", "<! [CDATA[",
]  # fmt: skip
INSIDE = st.recursive(
    st.sampled_from(["text", " ", "\n", "中", "<![CDATA[x<y]]>", "<!-- c -->", "&lt;", "<e/>", "<n:e n:x='2'/>"]),
    lambda inner: st.builds(
        lambda name, mark, parts: f"<{name}{mark}>{''.join(parts)}</{name}>",
        st.sampled_from(["a", "b", "n:c"]), st.sampled_from(["", " x='1'", " n:y='2'", " xml:lang='z'"]),
        st.lists(inner, max_size=4),
    ),
    max_leaves=20,
)  # fmt: skip
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-16-le", "latin-1", "gbk", ""])


def told(data: bytes | str) -> Any:
    try:
        return xmltext.loads(data)
    except xmltext.XmlError:
        return xmltext.XmlError


def guarded(data: bytes | str) -> Any:
    """The same, by way of elements."""
    try:
        found = _value(ElementTree.fromstring(data, forbid_dtd=True))
    except (DefusedXmlException, ElementTree.ParseError, ValueError, LookupError):
        return xmltext.XmlError
    return found if isinstance(found, dict) else ({"#text": found} if found else {})


def _value(node: Any) -> Any:
    if not len(node) and not node.attrib:
        return node.text or ""
    out: dict[str, Any] = {f"@{key.rpartition('}')[2]}": value for key, value in node.attrib.items()}
    for child in node:
        name = child.tag.rpartition("}")[2]
        before = out.get(name)
        value = _value(child)
        out[name] = value if name not in out else [*(before if isinstance(before, list) else [before]), value]
    if node.text and node.text.strip():
        out["#text"] = node.text
    return out


@given(st.lists(st.sampled_from(PIECES), max_size=12), ENCODINGS)
def test_rubbish_is_read_as_a_guarded_parser_reads_it(pieces: list[str], encoding: str) -> None:
    text = "".join(pieces)
    data = text.encode(encoding, "replace") if encoding else text
    assert told(data) == guarded(data)


@given(st.lists(INSIDE, max_size=5), ENCODINGS)
def test_a_document_is_read_as_a_guarded_parser_reads_it(inside: list[str], encoding: str) -> None:
    text = f"<xml xmlns:n='u'>{''.join(inside)}</xml>"
    data = text.encode(encoding, "replace") if encoding else text
    assert told(data) == guarded(data)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-7"])
def test_nothing_is_declared_in_any_encoding(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?><!DOCTYPE a [<!ENTITY b 'x'>]><a>&b;</a>"
    for data in (text.encode(encoding), text):
        assert told(data) is xmltext.XmlError


@pytest.mark.parametrize(("levels", "taken"), [(xmltext.MAX_DEPTH + 2, True), (xmltext.MAX_DEPTH + 3, False)])
def test_depth_has_an_end(levels: int, taken: bool) -> None:
    assert (told("<a>" * levels + "</a>" * levels) is not xmltext.XmlError) is taken


def test_long_text_comes_in_pieces_and_is_one() -> None:
    assert xmltext.loads(f"<xml><a>{'中x' * 50_000}</a></xml>") == {"a": "中x" * 50_000}
