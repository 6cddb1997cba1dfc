"""XML that declares nothing takes a quick parser; whatever strangers send, it says the same as the guarded one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.core import xmltext

PIECES = [
    "<xml>", "</xml>", "<a x='1'>", "</a>", "<b/>", "<![CDATA[", "]]>", "<!DOCTYPE a [", "<!ENTITY b 'x'>", "]>", "&b;",
    "&lt;", "&#65;", "<!-- c -->", "<?xml version='1.0'?>", "<?xml version='1.0' encoding='utf-16'?>",
    "<?xml version='1.0' encoding=\"UTF-8\"?>", "<?xml version='1.0' encoding='latin-1'?>", "<?p i?>", "中", "é", " ",
    "\n", "\x00", "\ufeff", "text", "<n:a xmlns:n='u'>", "</n:a>", "<!", "<! [CDATA[",
]  # fmt: skip


def told(read: Any, data: Any) -> Any:
    try:
        return read(data)
    except xmltext.XmlError as error:
        return type(error)


def guarded(data: bytes | str, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patched:
        patched.setattr(xmltext, "_harmless", lambda _data: None)
        return told(xmltext.loads, data)


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.sampled_from(["utf-8", "utf-16", "utf-16-le", "latin-1", ""]))
def test_both_parsers_say_the_same(pieces: list[str], encoding: str) -> None:
    text = "".join(pieces)
    data = text.encode(encoding, "replace") if encoding else text
    with pytest.MonkeyPatch.context() as patched:
        assert told(xmltext.loads, data) == guarded(data, patched)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-7"])
def test_nothing_is_declared_in_any_encoding(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?><!DOCTYPE a [<!ENTITY b 'x'>]><a>&b;</a>"
    for data in (text.encode(encoding), text):
        assert told(xmltext.loads, data) is xmltext.XmlError
