"""The upload door: a file as the body of a call. Rows become records, bad rows are told in the answer.

Two proofs are taken. ``X-File-Secret`` is the secret itself, for people with curl; ``X-File-Signature`` is
``sha256=`` and the HMAC-SHA256 of the file in hexadecimal, which proves the file as well. Where a signature comes, it
alone counts.
"""

from __future__ import annotations

import hmac
from typing import Any

from connectors.core import errors, jsontext, model
from connectors.core import verify as proofs
from connectors.excel import sheet

MOST = 2000
"""Rows of one upload: it is read while the caller waits."""
TOLD = 200
"""Problems that are told in the answer."""


def signature(secret: str, body: bytes | str) -> str:
    """What ``X-File-Signature`` says for a file."""
    content = body.encode() if isinstance(body, str) else body
    return "sha256=" + hmac.digest(secret.encode(), content, "sha256").hex()


def verify(
    hook: model.RawHook, connection: model.Connection, options: dict[str, Any], now: float
) -> model.VerifiedHook:
    """The records of an uploaded file as JSON, and what the reply tells. Raises errors.HookRefused."""
    secret = proofs.secrets_of(options)[0]
    signed, given = hook.headers.get("x-file-signature"), hook.headers.get("x-file-secret", "")
    if signed is None and not given:
        raise errors.HookRefused("unsigned", "neither X-File-Signature nor X-File-Secret")
    wanted = secret if signed is None else signature(secret, hook.body)
    offered = given if signed is None else signed
    if not hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), wanted.encode()):
        raise errors.HookRefused("forged", "wrong secret or signature")
    parsed = sheet.parse(hook.body, str(options["kind"]), MOST)
    problems = [
        {"row": one.row, "column": one.column, "zh": one.zh, "en": one.en}
        for one in sorted(parsed.problems, key=lambda one: one.row)[:TOLD]
    ]
    told = {"received": len(parsed.records), "refused": len({one.row for one in parsed.problems})}
    return model.VerifiedHook(jsontext.dumps(parsed.records), {**told, "problems": problems})
