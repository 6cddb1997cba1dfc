"""S-02: what proves something is compared in constant time: not by ==, not by its length first, not until one fits.

How long a comparison takes cannot be measured on a busy machine, so it is read instead: every comparison of production
code in which a proof takes part goes through ``hmac.compare_digest``, which looks at all of what was expected whatever
was given, lengths that differ included.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import house

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ("connectors/simulator/", "gateway/trial/", "gateway/bench/", "gateway/rehearsal/", "mappings/")
"""Rooms that are not production, or know no secret."""
PROOFS = {
    "signature", "sign", "sig", "mac", "hmac", "proof", "token", "tokens", "secret", "secrets", "password", "passwd",
    "csrf", "nonce", "digest", "hexdigest", "challenge", "apikey",
}  # fmt: skip
"""Words in the name of what is compared."""
MADE = {"hexdigest", "digest", "b64encode", "hex"}
"""Methods and functions whose answer is a proof, when a keyed hash or a signature went into it."""
CONSTANT = {"compare_digest", "equal"}
GROUNDS = {
    "gateway/archive.py": "a checksum of a file, kept beside it",
    "gateway/backup.py": "a checksum of a file, kept beside it",
    "retry_queue/ledger/audit.py": "both digests are made here, of rows of the ledger; an owner asks",
    "retry_queue/ledger/keyring.py": "conditions of statements on sealed texts",
    "retry_queue/ledger/users.py": "conditions of statements on digests of 160 random bits",
    "retry_queue/sync/deliver.py": "digests of the contents of records",
    "retry_queue/sync/echo.py": "digests of the contents of records",
    "retry_queue/sync/merge.py": "digests of the contents of records",
}
"""File -> why it may compare with == what is called like a proof."""


def _words(node: ast.AST) -> set[str]:
    """The words of what a side of a comparison is called: of a name, an attribute, a call, a key."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return set(name.lower().split("_"))
        case ast.Call(func=called):
            return _words(called) | ({"digest"} if _made(node) else set())
        case ast.Subscript(value=value, slice=ast.Constant(value=str() as key)):
            return set(key.lower().replace("-", "_").split("_")) | _words(value)
        case ast.Subscript(value=value):
            return _words(value)
        case ast.Await(value=value) | ast.Starred(value=value):
            return _words(value)
        case ast.BinOp(left=left, right=right):
            return _words(left) | _words(right)
        case _:
            return set()


def _made(node: ast.AST) -> bool:
    """Whether an expression makes a keyed hash or a signature."""
    names = {one.attr if isinstance(one, ast.Attribute) else one.id
             for one in ast.walk(node) if isinstance(one, ast.Attribute | ast.Name)}  # fmt: skip
    return bool(names & MADE) and bool(names & {"hmac", "signing", "signature"})


def _plain(node: ast.AST) -> bool:
    """A constant says nothing of a secret: None, a name of a scheme, a number."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.Set | ast.List) else [node]
    return all(isinstance(one, ast.Constant) or (isinstance(one, ast.Name) and one.id.isupper()) for one in parts)


def _calls(node: ast.AST, names: set[str]) -> bool:
    return any(
        isinstance(one, ast.Call) and (getattr(one.func, "attr", "") in names or getattr(one.func, "id", "") in names)
        for one in ast.walk(node)
    )


def _breaches(source: str) -> Iterator[tuple[int, str]]:
    tree = ast.parse(source)
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    made = {
        target.id
        for one in ast.walk(tree) if isinstance(one, ast.Assign) and _made(one.value)
        for target in one.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if not any(isinstance(one, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for one in node.ops):
                continue
            if any(isinstance(one, ast.In | ast.NotIn) for one in node.ops):
                sides = [node.left]  # "name in secrets" asks for a key, "token in text" for a part
            elif any(_plain(one) for one in sides):
                continue
            known = [one for one in sides if not _plain(one)]
            if any(_words(one) & PROOFS or (isinstance(one, ast.Name) and one.id in made) for one in known):
                yield node.lineno, "compared without compare_digest"
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("any", "all") and _calls(node, CONSTANT):
            yield node.lineno, "stops at the first that fits"
    for one in functions:
        if not _calls(one, CONSTANT):
            continue
        for node in ast.walk(one):
            if isinstance(node, ast.Compare) and all(
                isinstance(side, ast.Call) and getattr(side.func, "id", "") == "len"
                for side in (node.left, *node.comparators)
            ):
                yield node.lineno, "asks for the length first"


def _production(root: Path) -> Iterator[str]:
    for path in house.files(root):
        name = path.as_posix()
        if path.suffix == ".py" and path.parts[0] in house.ROOMS and not name.startswith(OUTSIDE):
            if path.name != "simulator.py" and "simulated" not in path.parts:
                yield name


def test_proofs_are_compared_in_constant_time() -> None:
    seen, found = 0, []
    for name in _production(ROOT):
        source = (ROOT / name).read_text(encoding="utf-8")
        seen += "compare_digest(" in source
        if name not in GROUNDS:
            found += [f"{name}:{line}: {why}" for line, why in _breaches(source)]
    assert found == []
    assert seen >= 6, "they are somewhere else now: this test looks past them"


@pytest.mark.parametrize(
    "source",
    [
        "if given != signature: raise Forged",
        "ok = hook.headers['x-sign'] == expected",
        "return expected == hook.query.get_sign(1)",
        "def f(a, b):\n    proof = hmac.new(a, b).hexdigest()\n    x = proof\n    return a == proof",
        "made = hmac.new(k, b).hexdigest()\nif made == given: pass",
        "ok = given == hmac.new(k, b, 'md5').hexdigest()",
        "if request.token in tokens: pass",
        "ok = any(hmac.compare_digest(given, one) for one in known)",
        "ok = any(verify.equal(given, one) for one in known)",
        "def f(a, b):\n    if len(a) != len(b):\n        return False\n    return hmac.compare_digest(a, b)",
        "if password == row.password: pass",
    ],
)
def test_a_breach_is_found(source: str) -> None:
    assert list(_breaches(source))


@pytest.mark.parametrize(
    "source",
    [
        "ok = hmac.compare_digest(given.encode(), expected)",
        "ok = sum(hmac.compare_digest(given, one) for one in known) > 0",
        "if style == 'token': pass",
        "if token is None or token == '': pass",
        "if 'app_secret' in connection.secrets: pass",
        "def f(proof):\n    if len(proof) != 64:\n        return False\n    return hmac.compare_digest(proof, made)",
    ],
)
def test_what_is_sound_is_left_alone(source: str) -> None:
    assert not list(_breaches(source))


def test_grounds_are_still_needed() -> None:
    for name in GROUNDS:
        assert list(_breaches((ROOT / name).read_text(encoding="utf-8"))), name
