"""A record that advances in steps (save, submit, audit). Where it stands is asked of the system, never remembered.

So a run that was cut off anywhere is simply run again: the lookup says which step is next. Each step is sent at most
once per run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from connectors.core import declaration, errors, model, paths, sending, template

ABSENT = "absent"

Call = Callable[[str, Mapping[str, Any]], Awaitable[model.Outcome]]
"""Sends one operation with ``record`` in scope; raises errors.* or sending.AlreadySo."""


class _Walk:
    def __init__(self, call: Call, name: str, spec: declaration.Flow) -> None:
        self._call, self._name, self._spec = call, name, spec
        self._state = paths.getter(spec.state)
        self.id: str | None = None
        self.data: Any = None
        self.warnings: list[str] = []
        self.sent: set[int] = set()
        self.created = False

    async def look(self) -> str:
        """The state the record is in now; ABSENT when there is none."""
        seen = await self._call(self._spec.lookup, self._record())
        if seen.data is None or seen.data in ([], {}):
            return ABSENT
        self.data = seen.data
        self.id = seen.record_id or self.id
        state = self._state(seen.data)
        if state is paths.ABSENT or state is None or state == "":
            raise errors.Misdeclared(
                f"{self._name}: the lookup's answer has no state at '{self._spec.state}'",
                operation=self._name,
                hint={"zh": "查询结果里没有单据状态", "en": "The lookup's answer has no state"},
            )
        return template.text(state)

    async def step(self, index: int) -> str | None:
        """Send one step; the state its answer tells, if it tells one."""
        self.sent.add(index)
        step = self._spec.steps[index]
        done = await self._call(step.operation, self._record())
        self.created = self.created or ABSENT in step.when
        self.id = done.record_id or self.id
        self.warnings += done.warnings
        state = self._state(done.data)
        if state is paths.ABSENT or state is None or state == "":
            return None
        self.data = done.data
        return template.text(state)

    def _record(self) -> dict[str, Any]:
        known = {"id": self.id, "data": self.data}
        return {key: value for key, value in known.items() if value is not None}

    def outcome(self, *, waiting: bool = False) -> model.Outcome:
        return model.Outcome(
            self.data, self.id, tuple(self.warnings), already=not self.sent and not waiting, waiting=waiting
        )

    def next(self, state: str) -> int | None:
        """The step for a state, if there is one."""
        steps = enumerate(self._spec.steps)
        return next((index for index, step in steps if state in step.when and not step.existing), None)

    def revision(self, state: str) -> int | None:
        """The step that brings a record up to date which this run did not make, if it is still to be sent."""
        if self.created:
            return None
        steps = enumerate(self._spec.steps)
        return next((at for at, step in steps if step.existing and state in step.when and at not in self.sent), None)

    def after(self, index: int) -> int | None:
        """The step that follows in the list."""
        steps = enumerate(self._spec.steps)
        return next((at for at, step in steps if at > index and not step.existing), None)


async def run(call: Call, name: str, spec: declaration.Flow, *, fresh: bool) -> model.Outcome:
    """Bring the record to a ``done`` state, from wherever it stands.

    ``fresh``: nothing was sent before, so the first step goes out without a lookup, unless the flow says ``ask``.
    Raises what a step raises; an OutcomeUnknown among them means: run again with ``fresh`` false.
    """
    walk = _Walk(call, name, spec)
    index = walk.next(ABSENT) if fresh and not spec.ask else None
    state: str | None = None if index is not None else await walk.look()
    refused: errors.Rejected | None = None
    while True:
        if state is not None:
            index = walk.revision(state)
            if index is None:
                if state in spec.done:
                    return walk.outcome()
                index = walk.next(state)
                if index is None or index in walk.sent:
                    return _stuck(walk, name, spec, state, index, refused)
        assert index is not None
        try:
            state = await walk.step(index)
        except sending.AlreadySo as error:
            state = await walk.look()
            if state == ABSENT:
                raise errors.Rejected(
                    error.found.message, code=error.found.code, hint=error.found.hint, operation=name
                ) from None
            continue
        except errors.Rejected as error:
            # A refused submit or audit may mean that somebody else was quicker, or that a workflow took over.
            # A refused creation or update means neither.
            if ABSENT in spec.steps[index].when or spec.steps[index].existing:
                raise
            refused = error
            state = await walk.look()
            continue
        if state is None:
            index = None if spec.steps[index].existing else walk.after(index)
            state = await walk.look() if index is None else None


def _stuck(
    walk: _Walk, name: str, spec: declaration.Flow, state: str, index: int | None, refused: errors.Rejected | None
) -> model.Outcome:
    if state in spec.waiting:
        if refused is not None:
            walk.warnings.append(refused.message)
        return walk.outcome(waiting=True)
    if refused is not None:
        raise refused
    if index is not None:
        raise errors.Unavailable(
            f"{name}: accepted, but the record is still in state '{state}'",
            operation=name,
            hint={
                "zh": f"步骤已被接受，但单据仍是状态 {state}，稍后再查",
                "en": "Accepted, but the state has not moved on yet",
            },
        )
    raise errors.Rejected(
        f"{name}: the record is in state '{state}', from which no step leads on",
        code=state,
        operation=name,
        hint={
            "zh": f"单据处于状态 {state}，无法继续",
            "en": f"The record is in state {state}; no step leads on from there",
        },
    )
