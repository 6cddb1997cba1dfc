"""Dotted paths into parsed data: ``a.b[0].c``, ``[-1]`` the last element, ``[*]`` every element, ``.`` everything.

A key that holds a dot or a bracket is written quoted: ``rows[0]["cust.number"]``. Reading never fails: what is
not there gives the default. Paths are split once and kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

_PART = re.compile(
    r"""\[(?P<index>-?\d+)\]            # [0]  [-1]
      | (?P<each>\[\*\])               # [*]
      | \["(?P<quoted>[^"]*)"\]         # ["a.b"]
      | (?:^|\.)(?P<key>[^.\[\]]+)      # name
    """,
    re.VERBOSE,
)

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "ABSENT", "__bool__": lambda self: False})()
"""Stands for "nothing is there", which is not the same as null."""


EACH = None
Step = str | int | None


class PathError(ValueError):
    """The path itself cannot be read, or cannot be written through."""


@lru_cache(maxsize=8192)
def split(path: str) -> tuple[Step, ...]:
    """The steps of a path; an empty tuple means everything, ``EACH`` stands for ``[*]``."""
    if path in (".", ""):
        return ()
    steps: list[Step] = []
    if path.startswith("."):
        raise PathError(f"path '{path}': begins with a dot")
    at = 0
    while at < len(path):
        found = _PART.match(path, at)
        if found is None or found.end() == at:
            raise PathError(f"path '{path}': cannot read from character {at + 1} ('{path[at:]}')")
        if found["index"] is not None:
            steps.append(int(found["index"]))
        elif found["each"]:
            steps.append(EACH)
        else:
            steps.append(found["quoted"] if found["quoted"] is not None else found["key"])
        at = found.end()
    return tuple(steps)


def walk(data: Any, steps: tuple[Step, ...], default: Any = None) -> Any:
    """What stands at ``steps``, else ``default``; with ``EACH`` a list of what its elements have there."""
    for position, step in enumerate(steps):
        if isinstance(step, str):
            if not isinstance(data, dict) or step not in data:
                return default
            data = data[step]
        elif step is EACH:
            if not isinstance(data, list | tuple):
                return default
            found = (walk(item, steps[position + 1 :], ABSENT) for item in data)
            return [value for value in found if value is not ABSENT]
        else:
            if not isinstance(data, list | tuple) or not -len(data) <= step < len(data):
                return default
            data = data[step]
    return data


def get(data: Any, path: str, default: Any = None) -> Any:
    """What stands at ``path`` in ``data``, else ``default``."""
    return walk(data, split(path), default)


def getter(path: str) -> Callable[[Any], Any]:
    """A reader for one path, to be kept by whoever reads it often; gives ``ABSENT`` where nothing is."""
    steps = split(path)
    if len(steps) == 1 and isinstance(steps[0], str):
        key = steps[0]
        return lambda data: data.get(key, ABSENT) if isinstance(data, dict) else ABSENT
    return lambda data: walk(data, steps, ABSENT)


def put(data: Any, path: str, value: Any) -> Any:
    """Write ``value`` at ``path``, making objects and lists on the way; returns ``data`` (the value for ``.``).

    An index one past the end appends. Raises PathError where something else is in the way.
    """
    steps = split(path)
    if not steps:
        return value
    if EACH in steps:
        raise PathError(f"path '{path}': cannot write to [*]")
    here = data
    for position, step in enumerate(steps):
        last = position == len(steps) - 1
        fresh: Any = None if last else ([] if isinstance(steps[position + 1], int) else {})
        if isinstance(step, str):
            if not isinstance(here, dict):
                raise PathError(f"path '{path}': '{step}' needs an object, found {type(here).__name__}")
            if last:
                here[step] = value
            elif not isinstance(here.get(step), dict | list):
                here[step] = fresh
            here = here[step]
        elif step is not EACH:
            if not isinstance(here, list):
                raise PathError(f"path '{path}': [{step}] needs a list, found {type(here).__name__}")
            if not -len(here) <= step <= len(here):
                raise PathError(f"path '{path}': [{step}] is beyond a list of {len(here)}")
            if step == len(here):
                here.append(fresh)
            if last:
                here[step] = value
            elif not isinstance(here[step], dict | list):
                here[step] = fresh
            here = here[step]
    return data
