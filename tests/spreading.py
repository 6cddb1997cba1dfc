"""How the tests are spread over workers: each by itself, but all that drive the browser go to one.

The marks of ``--dist=loadgroup`` never reach the scheduler: pytest computes the ids that xdist writes them into. So
the group is told from the path.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

BROWSER = "tests/browser/"
ALONE = "tests/browser/test_sources.py"
"""Looks at files only."""


class Spreading(LoadScopeScheduling):
    """What has one scope runs on one worker, in order; the largest scope begins first."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) and not nodeid.startswith(ALONE) else nodeid
