"""What a forger can do to a genuine push: which parts are proven, and every way of spoiling them.

The parts follow from the declared scheme; a ``custom`` one names them in rehearsal.yaml (``signed``).
"""

from __future__ import annotations

import base64
import binascii
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.core import jsontext, model, template, verify, xmltext
from tests.conformance import rehearsal

WEIRD = ("", " ", "x", "=", "v1,", "sha256=", "A" * 100_000, "签名", "é", "\ud800", "\x00", "null", "-1", "9" * 400)
"""Proofs no sender would send: empty, short, long, not Latin, not text."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the proof covers.

    ``body`` is the span of the body that is proven; ``window`` seconds, None for no limit; ``trims``: blanks around the
    body are no part of it.
    """

    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    body: tuple[int, int] | None = None
    window: float | None = None
    trims: bool = False


def parts(connection: model.Connection, push: rehearsal.Push, hook: model.RawHook) -> Parts | None:
    """The proven parts of a genuine push; None where nothing is proven (scheme ``none``)."""
    spec = connection.declaration.events[push.source].verify
    assert spec is not None
    options = verify.options_of(connection, spec)
    whole = (0, len(hook.body))
    if spec.scheme == "token":
        query = options.get("query")
        return Parts((query,)) if query else Parts((), (options.get("header", "authorization").lower(),))
    if spec.scheme == "hmac_header":
        stamp = options.get("timestamp_header")
        headers = [options.get("header", "x-signature"), *([stamp] if stamp else [])]
        window = float(options.get("window", 300)) if stamp else None
        return Parts((), tuple(name.lower() for name in headers), whole, window)
    if spec.scheme == "standard_webhooks":
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        return Parts((), names, whole, float(options.get("window", 300)))
    if spec.scheme == "sha1_aes":
        return _sha1_aes(options, hook)
    if spec.scheme == "custom":
        assert push.signed is not None, "a custom scheme names its signed parts in rehearsal.yaml"
        given = push.signed
        span = whole if given.body else None
        if given.member is not None:
            text = jsontext.loads(hook.body)[given.member].encode()
            span = (begin := hook.body.index(text), begin + len(text))
        return Parts(tuple(given.query), tuple(given.headers), span, given.window, given.trims)
    return None


def bare(connection: model.Connection, push: rehearsal.Push, hook: model.RawHook) -> model.RawHook:
    """A genuine push without second copies of its proof: some platforms send it under two names."""
    spec = connection.declaration.events[push.source].verify
    assert spec is not None
    if spec.scheme != "sha1_aes":
        return hook
    names = verify.options_of(connection, spec).get("signature") or ["msg_signature", "signature"]
    spare = [name for name in names if hook.query.get(name)][1:]
    return replace(hook, query={key: value for key, value in hook.query.items() if key not in spare})


def _sha1_aes(options: Mapping[str, Any], hook: model.RawHook) -> Parts:
    names = options.get("signature") or ["msg_signature", "signature"]
    proof = next(name for name in names if hook.query.get(name))
    window = options.get("window")
    limit = None if window is None else float(window)
    if options.get("echo") and options["echo"] in hook.query:
        return Parts((proof, "timestamp", "nonce", options["echo"]), (), None, limit)
    form = options.get("envelope", "xml")
    outer = xmltext.loads(hook.body) if form == "xml" else jsontext.loads(hook.body)
    text = outer[options.get("encrypted") or ("Encrypt" if form == "xml" else "encrypt")].encode()
    begin = hook.body.index(text)
    return Parts((proof, "timestamp", "nonce"), (), (begin, begin + len(text)), limit)


def noise(hook: model.RawHook, dice: random.Random) -> model.RawHook:
    """A copy of a genuine push with one to four things done to it at random, anywhere."""
    body, query, headers = bytearray(hook.body), dict(hook.query), dict(hook.headers)
    for _ in range(dice.randint(1, 4)):
        given = dice.choice((query, headers))
        name = dice.choice([*given, "signature", "timestamp", "x"])
        wild = "".join(
            chr(dice.choice((dice.randrange(256), dice.randrange(0x11000)))) for _ in range(dice.randrange(12))
        )
        at, size = dice.randrange(len(body) + 1), dice.randrange(6)
        match dice.randrange(6):
            case 0:
                body[at : at + size] = dice.randbytes(dice.randrange(6))
            case 1:
                body[:] = dice.choice((b"", b"{}", bytes(body) * 2, bytes(body)[::-1], dice.randbytes(40)))
            case 2:
                given.pop(name, None)
            case 3:
                given[name] = wild
            case 4:
                given[name] = given.get(name, "")[: dice.randrange(40)] + wild
            case _:
                given[wild] = given.get(name, wild)
    return replace(hook, body=bytes(body), query=query, headers=headers)


def connections(connection: model.Connection, source: str) -> Iterator[tuple[str, model.Connection]]:
    """The same connection without, with empty and with other secrets, as far as the door uses them."""
    spec = connection.declaration.events[source].verify
    assert spec is not None
    used = {name.removeprefix("secret.") for name in template.names(spec.options) if name.startswith("secret.")}
    filled = {key for key in used if connection.secrets.get(key)}
    if not filled:
        return
    yield "no secret at all", replace(connection, secrets={})
    for key in sorted(filled):
        for words, value in (("without", None), ("with an empty", ""), ("with a blank", "   ")):
            secrets = {name: one for name, one in connection.secrets.items() if name != key}
            yield f"{words} {key}", replace(connection, secrets=secrets | ({} if value is None else {key: value}))
        for at in (8, len(connection.secrets[key]) // 2):
            wrong = _turned(connection.secrets[key], min(at, len(connection.secrets[key]) - 1))
            yield f"another {key} (character {at})", replace(connection, secrets={**connection.secrets, key: wrong})
        short = connection.secrets[key][:-4]
        yield f"{key} cut short", replace(connection, secrets={**connection.secrets, key: short})


def _turned(text: str, at: int) -> str:
    """``text`` with one letter or digit changed into another, so that it keeps its form."""
    other = "b" if text[at] != "b" else "c"
    return text[:at] + other + text[at + 1 :]


def hooks(hook: model.RawHook, proven: Parts) -> Iterator[tuple[str, model.RawHook]]:
    """Every spoiled copy of a genuine push, with the words for what was done to it."""
    for place, names in (("query", proven.query), ("headers", proven.headers)):
        given: Mapping[str, str] = getattr(hook, place)
        for name in names:
            rest = {key: value for key, value in given.items() if key != name}
            yield f"{place} {name} is missing", replace(hook, **{place: rest})
            for words, value in _values(given[name]):
                yield f"{place} {name} {words}", replace(hook, **{place: {**given, name: value}})
    if proven.body is not None:
        yield "empty body", replace(hook, body=b"")
        begin, end = proven.body
        yield "body cut short", replace(hook, body=hook.body[: end - 1] + hook.body[end:])
        more = b"A" if proven.trims else b" "
        yield "body made longer", replace(hook, body=hook.body[:end] + more + hook.body[end:])
        for at in range(begin, end):
            for bit in (0x01, 0x80):
                flipped = bytes([hook.body[at] ^ bit])
                yield f"body byte {at} flipped", replace(hook, body=hook.body[:at] + flipped + hook.body[at + 1 :])


def _values(text: str) -> Iterator[tuple[str, str]]:
    for at in range(len(text)):
        for bit in (0x01, 0x02, 0x80):
            yield f"character {at} flipped", text[:at] + chr(ord(text[at]) ^ bit) + text[at + 1 :]
    for weird in WEIRD:
        yield f"is {weird[:20]!a}", weird
    yield "cut short", text[:-1]
    yield "made longer", text + "0"
    # A header that came twice is joined at the door.
    yield from (("twice", f"{text}, {text}"), ("and another", f"{text}, x"), ("after another", f"x, {text}"))
    for other in _same_bytes(text):
        yield "written otherwise", other


def _same_bytes(text: str) -> Iterator[str]:
    """Other base64 texts of the same bytes: their last character carries unused bits."""
    head, comma, tail = text.rpartition(",")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    core = tail.rstrip("=")
    if len(tail) % 4 or not tail.endswith("=") or len(core) < 16:
        return
    try:
        plain = base64.b64decode(tail, validate=True)
    except binascii.Error:
        return
    for letter in alphabet:
        other = core[:-1] + letter + tail[len(core) :]
        if other != tail and base64.b64decode(other) == plain:
            yield head + comma + other
