"""Writes the admin API's OpenAPI document without a running hub; the UI's client is generated from it.

``python scripts/openapi.py`` prints it, ``--check FILE`` compares its digest with the one at the head of a
generated client and exits 1 when they differ.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI

from gateway import api, problems
from gateway.api import services


def document() -> dict[str, Any]:
    """The document, as ``/api/openapi.json`` serves it but for the version of the product."""
    app = FastAPI(title="Shuniu 枢纽", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    problems.install(app)
    app.include_router(api.build(cast("services.Services", None)))  # asked only when a request comes
    return app.openapi()


def text() -> str:
    """The document as stable text."""
    return json.dumps(document(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def digest() -> str:
    """What the generated client notes."""
    return hashlib.sha256(text().encode()).hexdigest()


def drift(file: Path) -> str:
    """What is wrong with a generated client, or an empty text."""
    if not file.is_file():
        return f"{file} is missing; run ./shuniu ui client"
    noted = re.match(r"// openapi sha256: ([0-9a-f]{64})\n", file.read_text(encoding="utf-8"))
    if noted is None or noted[1] != digest():
        return f"{file} was generated from another API; run ./shuniu ui client"
    return ""


def main(arguments: list[str]) -> int:
    """Prints the document, or checks a generated client against it."""
    if arguments[:1] == ["--check"]:
        if problem := drift(Path(arguments[1])):
            print(problem)
            return 1
        return 0
    sys.stdout.write(text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
