"""What is in the product, and what is known to be wrong with it.

    ./shuniu sbom                        writes var/shuniu.cdx.json: CycloneDX 1.5, made from the locks
    ./shuniu sbom -o FILE                another file; - is stdout
    ./shuniu audit-dependencies          asks an advisory database about every component of the SBOM
    ./shuniu audit-dependencies --database URL    another service with OSV's API, such as a mirror

The SBOM is a function of the locks: the same locks give the same bytes. The audit needs the network; its exit code is 0
when nothing is known, 1 when something is, and 2 when the database could not be asked, which says nothing about safety.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
DATABASE = "https://api.osv.dev"
BATCH = 500
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==(\S+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def python_parts(lock: Path) -> list[dict[str, Any]]:
    """The components of a lock of hashes, in its order."""
    found: list[dict[str, Any]] = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        pinned = PINNED.match(line)
        if pinned is not None:
            name, version = re.sub(r"[-_.]+", "-", pinned[1]).lower(), pinned[2]
            purl = f"pkg:pypi/{name}@{version}"
            found.append({"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl})
        hashed = HASH.search(line)
        if hashed is not None and found:
            known = found[-1].setdefault("properties", [])
            known.append({"name": "shuniu:accepted-sha256", "value": hashed[1]})
    return found


def browser_parts(lock: Path) -> list[dict[str, Any]]:
    """The packages that are built into the admin UI; what only builds or tests it is left out."""
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    found: dict[str, dict[str, Any]] = {}
    for place, one in packages.items():
        if not place or one.get("dev") or one.get("optional") or one.get("link"):
            continue
        name, version = place.rpartition("node_modules/")[2], one["version"]
        purl = f"pkg:npm/{name.replace('@', '%40')}@{version}"
        made: dict[str, Any] = {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
        if isinstance(one.get("license"), str):
            made["licenses"] = [{"expression": one["license"]}]
        kind, _, digest = str(one.get("integrity", "")).partition("-")
        if kind == "sha512":
            try:
                made["hashes"] = [{"alg": "SHA-512", "content": base64.b64decode(digest, validate=True).hex()}]
            except binascii.Error:
                raise SystemExit(f"{lock}: the integrity of {name} is not readable") from None
        found[purl] = made
    return [found[purl] for purl in sorted(found)]


def document(root: Path = ROOT) -> dict[str, Any]:
    """The whole SBOM."""
    source = (root / "gateway/__init__.py").read_text(encoding="utf-8")
    told = re.search(r'^__version__ = "([^"]+)"', source, re.MULTILINE)
    version = told[1] if told else "0"
    locks = [root / "locks/runtime.txt", root / "admin_ui/package-lock.json"]
    parts = [*python_parts(locks[0]), *browser_parts(locks[1])]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).digest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "name": "shuniu", "version": version, "bom-ref": "shuniu",
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": parts,
        "dependencies": [{"ref": "shuniu", "dependsOn": [one["bom-ref"] for one in parts]}],
    }  # fmt: skip


def known(parts: list[dict[str, Any]], database: str) -> dict[str, list[str]]:
    """Component -> ids of its advisories. Raises httpx.HTTPError or ValueError when the database cannot be asked."""
    found: dict[str, list[str]] = {}
    with httpx.Client(base_url=database, timeout=30.0) as client:
        for start in range(0, len(parts), BATCH):
            some = parts[start : start + BATCH]
            asked = {"queries": [{"package": {"purl": one["purl"]}} for one in some]}
            answer = client.post("/v1/querybatch", json=asked)
            answer.raise_for_status()
            results = answer.json().get("results")
            if not isinstance(results, list) or len(results) != len(some):
                raise ValueError("the answer does not fit the question")
            for one, said in zip(some, results, strict=True):
                if said and said.get("vulns"):
                    found[one["purl"]] = sorted(str(each["id"]) for each in said["vulns"])
    return found


def audit(database: str) -> int:
    """Prints what is known; returns the exit code."""
    parts = document()["components"]
    try:
        found = known(parts, database)
    except (httpx.HTTPError, ValueError, AttributeError, KeyError, TypeError) as error:
        sys.stderr.write(
            f"没有审计:无法查询漏洞库 {database} ({type(error).__name__})\n"
            f"NOT audited: the advisory database {database} could not be asked ({type(error).__name__}: {error}).\n"
            "This says nothing about the components; run it again where the network lets it.\n"
        )
        return 2
    for purl, ids in sorted(found.items()):
        print(f"{purl}\t{' '.join(ids)}")
    sys.stderr.write(f"{len(parts)} components asked, {len(found)} with advisories\n")
    return 1 if found else 0


def main(words: list[str]) -> int:
    """The two commands."""
    parser = argparse.ArgumentParser(prog="./shuniu")
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("sbom", help="write the CycloneDX SBOM")
    writing.add_argument("-o", "--output", default=str(ROOT / "var/shuniu.cdx.json"))
    auditing = commands.add_parser("audit-dependencies", help="ask an advisory database")
    auditing.add_argument("--database", default=DATABASE)
    given = parser.parse_args(words)
    if given.command == "audit-dependencies":
        return audit(given.database)
    text = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if given.output == "-":
        sys.stdout.write(text)
    else:
        place = Path(given.output)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        sys.stderr.write(f"{place}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
