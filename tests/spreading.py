"""How the tests are spread over workers: each by itself, but what shares something dear goes to one.

The marks of ``--dist=loadgroup`` never reach the scheduler: pytest computes the ids that xdist writes them into. So
the group is told from the path.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/browser/", "tests/bench/test_bench.py", "tests/docs/test_site.py")
"""Each has one browser and hub, one run of the bench, one site that is built."""
ALONE = "tests/browser/test_sources.py"
"""Looks at files only."""


class Spreading(LoadScopeScheduling):
    """What has one scope runs on one worker, in order; the largest scope begins first."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(ALONE):
            return nodeid
        return next((shared for shared in TOGETHER if nodeid.startswith(shared)), nodeid)
