"""``python -m gateway.child ROLE [PACE]``: a process of the supervisor, which draws no terminal.

Two libraries bring the drawing of terminals along wherever it is installed, as it is for the command line; that is
five MiB in every process, and what they are for is done without it. Words of a command line only the web server knows.
Others look for what we do not use: another web framework, and a watcher of source files. And SQLAlchemy's asyncio
package brings the whole object mapper along, six MiB, of which the ledger uses nothing.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import cast

DRAWING, WORDS, UNUSED = ("rich", "pygments"), ("click",), ("tornado", "watchfiles")
ASYNCIO = "sqlalchemy.ext.asyncio"


def _without_mapper() -> None:
    """The package as it is, but for its own imports: of its modules only the one with engine and connection."""
    spec = importlib.util.find_spec(ASYNCIO)
    if spec is None or ASYNCIO in sys.modules:
        return
    package = sys.modules[ASYNCIO] = importlib.util.module_from_spec(spec)
    engine = importlib.import_module(f"{ASYNCIO}.engine")
    package.__dict__.update({name: one for name, one in vars(engine).items() if not name.startswith("_")})


def main() -> int:
    """Keeps out what is not used, then serves. What is loaded stays: until all is, there is nothing to collect."""
    gc.disable()
    absent = cast("ModuleType", None)  # how an import is told that there is no such module
    needless = (*DRAWING, *UNUSED, *(() if "api" in sys.argv[1:2] else WORDS))
    sys.modules.update(dict.fromkeys(needless, absent))
    _without_mapper()
    from gateway import serve

    return serve.main()


if __name__ == "__main__":
    raise SystemExit(main())
