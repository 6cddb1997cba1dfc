"""Rules about a declaration and what must be there with it: errors, operations, mappings, doors, files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from connectors.core import declaration, model, scope, template
from mappings import canonical, library
from tests.conformance.ruling import Folder, Problem, rule

ErrorClass = declaration.ErrorClass


@rule
def errors_are_covered(folder: Folder) -> Iterator[Problem]:
    """The table knows what is slow down, try later, never, and a matter for a person; tokens that end, if any."""
    tables = [folder.spec.errors, *(one.errors for one in folder.spec.operations.values())]
    known = {one.becomes for table in tables for one in table}
    needed = {ErrorClass.THROTTLED, ErrorClass.CREDENTIAL, ErrorClass.REJECTED, ErrorClass.UNAVAILABLE}
    if any(one.token is not None for one in folder.spec.auth):
        needed.add(ErrorClass.TOKEN)
    for one in sorted(needed - known):
        yield Problem(one, "no error rule becomes this")


@rule
def fields_are_coherent(folder: Folder) -> Iterator[Problem]:
    """Defaults fit their own pattern and choices; ``when`` names fields and values that exist."""
    fields = {one.key: one for one in folder.spec.fields}
    for field in folder.spec.fields:
        choices = [one.value for one in field.choices]
        if (field.type is declaration.FieldType.CHOICE) != bool(choices):
            yield Problem(field.key, "choices and type: choice go together")
        if choices and field.default is not None and field.default not in choices:
            yield Problem(field.key, f"default '{field.default}' is no choice")
        if field.secret and field.default is not None:
            yield Problem(field.key, "a secret has no default")
        if field.pattern and field.default is not None and not re.search(field.pattern, str(field.default)):
            yield Problem(field.key, f"default '{field.default}' does not fit its pattern")
    blocks = [(f"fields.{one.key}", one.when) for one in folder.spec.fields]
    blocks += [(f"events.{key}", one.when) for key, one in folder.spec.events.items()]
    blocks += [(f"auth[{number}]", one.when) for number, one in enumerate(folder.spec.auth)]
    for place, when in blocks:
        for key, wanted in when.items():
            known = {one.value for one in fields[key].choices} if key in fields else set()
            wrong = {wanted} if isinstance(wanted, str) else set(wanted)
            if key not in fields or (known and wrong - known):
                yield Problem(place, f"when: {key} is {wanted}, which cannot be")


@rule
def placeholders_name_fields(folder: Folder) -> Iterator[Problem]:
    """``${config.x}`` and ``${secret.x}`` are fields, on the right side of the line between them."""
    secret = {one.key: one.secret for one in folder.spec.fields}
    spec = folder.spec.model_dump(by_alias=True)
    for name, operation in folder.spec.operations.items():
        if operation.flow is not None:
            # A flow sends nothing itself; the address it has by default means nothing.
            del spec["operations"][name]["base"]
    for name in sorted(template.names(spec)):
        root, _, rest = name.partition(".")
        key = re.split(r"[.\[]", rest)[0]
        if root in ("config", "secret") and secret.get(key) is not (root == "secret"):
            yield Problem(
                name, "no such field" if key not in secret else "a secret is ${secret.x}, the rest ${config.x}"
            )


@rule
def probe_needs_nothing(folder: Folder) -> Iterator[Problem]:
    """The connection test changes nothing and takes no input."""
    operation = folder.spec.operations[folder.spec.probe]
    reading = operation.kind in ("get", "list") or (operation.kind == "call" and operation.method == "GET")
    if not reading:
        yield Problem(folder.spec.probe, "the probe must not change anything")
    needed = {name.removeprefix("input.") for name in inputs(operation)} - set(operation.defaults)
    if needed:
        yield Problem(folder.spec.probe, f"the probe is called without input, but takes {sorted(needed)}")


def inputs(operation: declaration.Operation) -> set[str]:
    """The ``input...`` placeholders of an operation."""
    sent = operation.model_dump(include={"base", "path", "query", "headers", "json_body", "form", "text", "xml_body"})
    return {name for name in template.names(sent) if name.split(".")[0] == "input"}


def mapping_of(folder: Folder, entity: str, name: str | None) -> Any:
    """The shipped mapping for an entity, or None."""
    key = (folder.id, name or entity)
    return library.shipped(*key) if key in library.names() else None


@rule
def writing_has_a_mapping(folder: Folder) -> Iterator[Problem]:
    """A write or act of one of our entities has a mapping that writes it."""
    for name, operation in folder.spec.operations.items():
        if operation.kind not in ("write", "act") or operation.entity not in canonical.MODELS:
            continue
        # The steps of a flow take the flow's input.
        flows = [one.flow for one in folder.spec.operations.values() if one.flow]
        if operation.mapping is None and any(name == step.operation for flow in flows for step in flow.steps):
            continue
        found = mapping_of(folder, operation.entity, operation.mapping)
        if found is None or not found.writes:
            wanted = f"mappings/{folder.id}/{operation.mapping or operation.entity}.yaml"
            yield Problem(name, f"{wanted} is missing or only reads")
        elif found.spec.entity != operation.entity:
            yield Problem(name, f"writes {operation.entity}, its mapping is about {found.spec.entity}")


@rule
def entities_are_canonical(folder: Folder) -> Iterator[Problem]:
    """Whatever is called an entity is one of our models; a name left to the connection is one in every choice."""
    named = {f"operations.{key}": one.entity for key, one in folder.spec.operations.items()}
    named |= {f"messages.{key}": one.entity for key, one in folder.spec.messages.items()}
    for place, entity in named.items():
        for one in _possible(folder, entity):
            if one not in canonical.MODELS:
                yield Problem(place, f"no entity '{one}'")


def _possible(folder: Folder, entity: str | None) -> list[str]:
    if entity is None:
        return []
    found = re.fullmatch(r"\$\{config\.([\w.]+)\}", entity)
    if found is None:
        return [entity]
    field = next(one for one in folder.spec.fields if one.key == found[1])
    return [one.value for one in field.choices]


@rule
def events_can_be_read(folder: Folder) -> Iterator[Problem]:
    """What comes in under one of our entities has a mapping that reads it."""
    for name, message in folder.spec.messages.items():
        for entity in _possible(folder, message.entity):
            found = mapping_of(folder, entity, message.mapping)
            if found is None or not found.reads:
                wanted = f"mappings/{folder.id}/{message.mapping or entity}.yaml"
                yield Problem(name, f"{wanted} is missing or only writes")


@rule
def custom_parts_are_there(folder: Folder) -> Iterator[Problem]:
    """``custom`` has its function in signer.py, a stream its module."""
    source = folder.files.joinpath("signer.py")
    code = source.read_text(encoding="utf-8") if source.is_file() else ""
    needed = {"sign": folder.spec.signing.scheme == "custom"}
    needed["login"] = any(one.token is not None and one.token.request is None for one in folder.spec.auth)
    needed["verify"] = any(one.verify and one.verify.scheme == "custom" for one in folder.spec.events.values())
    for name, wanted in needed.items():
        if wanted and not re.search(rf"^(?:async )?def {name}\(", code, re.MULTILINE):
            yield Problem(name, f"signer.py has no {name}()")
    if any(one.door == "stream" for one in folder.spec.events.values()) and not folder.has("stream.py"):
        yield Problem("stream", "a stream door needs stream.py")


@rule
def no_door_is_open_by_default(folder: Folder) -> Iterator[Problem]:
    """A door without proof must be chosen on purpose."""
    bare = model.Connection("bare", folder.spec, {}, {})
    for key, source in scope.open_sources(bare).items():
        if source.verify is not None and source.verify.scheme == "none":
            yield Problem(key, "accepts everything although nobody chose it")


@rule
def folder_is_complete(folder: Folder) -> Iterator[Problem]:
    """A connector ships a simulator and says how it is rehearsed against it."""
    for name in ("README.md", "simulator.py", "rehearsal.yaml"):
        if not folder.has(name):
            yield Problem(name, "missing")
