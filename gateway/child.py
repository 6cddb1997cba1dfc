"""``python -m gateway.child ROLE [PACE]``: a process of the supervisor, which draws no terminal.

Two libraries bring the drawing of terminals along wherever it is installed, as it is for the command line; that is
five MiB in every process, and what they are for is done without it. Words of a command line only the web server knows.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import cast

DRAWING, WORDS = ("rich", "pygments"), ("click",)


def main() -> int:
    """Keeps the drawing out, then serves."""
    absent = cast("ModuleType", None)  # how an import is told that there is no such module
    needless = DRAWING if "api" in sys.argv[1:2] else (*DRAWING, *WORDS)
    sys.modules.update(dict.fromkeys(needless, absent))
    from gateway import serve

    return serve.main()


if __name__ == "__main__":
    raise SystemExit(main())
