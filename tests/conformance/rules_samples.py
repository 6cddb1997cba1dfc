"""Rules about ``samples/``: what the vendor really sends, named so that one finds it, meaning what its name says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.core import answer, declaration, decode, failure, jsontext, verify
from mappings import library
from tests.conformance import proving
from tests.conformance.ruling import Folder, Problem, parsed, rule

HOUSE = re.compile(
    r"vectors\.json|(?:hook|error)\.[\w.]+\.json|call\.[\w.]+\.(?:request|response|error)\.json"
    r"|[A-Za-z]\w*(?:\.\w+)*\.(?:request|response|event)\.(?:json|xml)"
)
PROVES_NOTHING = {"none", "token"}
"""Ways of verifying without a signature or cipher."""


@rule
def samples_are_readable(folder: Folder) -> Iterator[Problem]:
    """Every file is JSON or XML."""
    if not folder.samples:
        yield Problem("samples", "there are none")
    for name, raw in folder.samples.items():
        try:
            parsed(name, raw)
        except ValueError as error:
            yield Problem(name, str(error))


@rule
def samples_have_house_names(folder: Folder) -> Iterator[Problem]:
    """``<what>[.<case>].request|response|event``, ``call.<operation>.…``, ``hook.<message or entity>``, or used by
    name in a mapping's own tests."""
    used = {
        one.sample
        for connector, name in library.names()
        if connector == folder.id
        for one in library.shipped(connector, name).spec.tests
    }
    for name in folder.samples:
        if name in used:
            continue
        if not HOUSE.fullmatch(name):
            yield Problem(name, "no house name, and no mapping test reads it")
        elif name.startswith("call.") and _operation(folder, name) is None:
            yield Problem(name, "no such operation")


def _operation(folder: Folder, name: str) -> declaration.Operation | None:
    """The operation that a ``call.<operation>[.<case>].<kind>.json`` is about: the longest name that fits."""
    words = name.removeprefix("call.").split(".")[:-2]
    for size in range(len(words), 0, -1):
        found = folder.spec.operations.get(".".join(words[:size]))
        if found is not None:
            return found
    return None


def _answer(raw: bytes, status: int) -> answer.Answer:
    return answer.Answer(status, {"content-type": "application/json"}, raw)


@rule
def answers_mean_what_their_names_say(folder: Folder) -> Iterator[Problem]:
    """The declared success holds for a response, and not for an error, for which a rule has a hint."""
    for name, raw in folder.samples.items():
        operation = _operation(folder, name) if name.startswith("call.") else None
        reader = failure.Reader(folder.spec, operation)
        if name.startswith("call.") and name.endswith(".response.json"):
            if not reader.succeeded(_answer(raw, 200)):
                yield Problem(name, "the declared success does not hold for this response")
        elif name.startswith("error") or name.endswith(".error.json"):
            # The file does not say the status: where the body alone decides it is 200, else a client error.
            told = next((one for one in (200, 422) if not reader.succeeded(_answer(raw, one))), None)
            if told is None:
                yield Problem(name, "this refusal would be taken for a success")
            elif not reader.finding(_answer(raw, told), safe=False).hint.get("zh"):
                yield Problem(name, "no error rule with a hint fits this refusal")


@rule
def event_samples_are_understood(folder: Folder) -> Iterator[Problem]:
    """A sampled event is one of the declared messages."""
    doors = [key for key, one in folder.spec.events.items() if one.door != "poll"]
    for name, raw in folder.samples.items():
        if re.search(r"\.event\.(?:json|xml)$", name) or name.startswith("hook."):
            seen = {one.message for door in doors for one in _decoded(folder.spec, door, name, raw)}
            if not seen - {decode.UNKNOWN}:
                yield Problem(name, "no declared message matches this event")


def _decoded(spec: declaration.Declaration, door: str, name: str, raw: bytes) -> list[Any]:
    source = spec.events[door]
    if source.door == "stream":
        return [decode.event(spec, door, parsed(name, raw))]
    if source.format in ("json", "xml") and not name.endswith(source.format):
        return []
    return decode.events(spec, door, raw)


def signs(spec: declaration.Declaration) -> bool:
    """Whether anything of this connector is signed or encrypted."""
    doors = {one.verify.scheme for one in spec.events.values() if one.verify is not None}
    return spec.signing.scheme != "none" or bool(doors - PROVES_NOTHING)


def vectors(folder: Folder) -> list[Mapping[str, Any]]:
    """The vectors of a folder; none when there is no file."""
    raw = folder.samples.get("vectors.json")
    return list(jsontext.loads(raw)) if raw else []


@rule
def signatures_have_vectors(folder: Folder) -> Iterator[Problem]:
    """Where something is signed or encrypted, public examples prove that we do it right."""
    found = vectors(folder)
    if signs(folder.spec) and not any(one.get("verified") for one in found):
        yield Problem("vectors.json", "signs or encrypts, but no verified vector proves it")
    names = [one.get("name") for one in found]
    for name in {one for one in names if names.count(one) > 1}:
        yield Problem(str(name), "two vectors of this name")
    for one in found:
        about = str(one.get("name", "?"))
        missing = {"name", "inputs", "expected", "source", "verified"} - set(one)
        if missing or not str(one["source"]).strip():
            yield Problem(about, f"lacks {sorted(missing) or 'its source'}")
        elif not proving.provable(folder.id, one):
            yield Problem(about, f"inputs.kind '{one['inputs'].get('kind')}' is no stock kind and no function here")


@rule
def schemes_exist(folder: Folder) -> Iterator[Problem]:
    """Doors are verified by a stock scheme or by the connector's own."""
    for key, source in folder.spec.events.items():
        if source.verify is not None and source.verify.scheme not in {*verify.SCHEMES, "custom"}:
            yield Problem(key, f"no scheme '{source.verify.scheme}'")
