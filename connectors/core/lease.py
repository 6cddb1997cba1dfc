"""Whether what is about to leave may still be sent by this process; asked at the last moment, when it leaves.

A process can be stopped anywhere: between the decision to call and the call the machine may sleep, or wait for seconds
for its turn. Others have taken the work over by then, and would have sent it too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

HELD: ContextVar[Callable[[], bool] | None] = ContextVar("held", default=None)
"""Of the delivery under way: whether it is still ours, right now. None: nobody else would do it."""
WORDS = "this process was away for too long; whoever has taken the work over sends it"


def lost() -> bool:
    """Whether nothing may leave any more."""
    held = HELD.get()
    return held is not None and not held()
