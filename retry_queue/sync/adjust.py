"""Adjusting: what one target is told instead of what the source said, as its route has it (a share of the stock)."""

from __future__ import annotations

import functools
from typing import Any

from mappings import errors, expression, kinds
from retry_queue.sync import context, plan

compiled = functools.lru_cache(maxsize=2000)(expression.compile)


def apply(job: context.Job) -> None:
    """Puts the adjusted values into the job's record, once; raises MappingError when one cannot be worked out.

    What is written back to the record's own system is not adjusted: it is told what counts everywhere.
    """
    rules = job.target.adjust
    if not rules or job.adjusted or job.delivery.position >= plan.RESTORE:
        return
    entity = job.delivery.entity
    scope: dict[str, Any] = {**job.scope, entity: kinds.revive(entity, job.canonical)}
    changed = dict(job.canonical)
    for field, text in rules.items():
        try:
            changed[field] = compiled(text)(scope)
        except errors.ExpressionError as error:
            raise errors.MappingError(f"adjust.{field}：{error.zh}", f"adjust.{field}: {error.en}") from error
    job.canonical, job.adjusted = changed, True
