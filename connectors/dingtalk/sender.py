"""Answers in a conversation of the robot: the sealed session is opened here, on its way out and nowhere else."""

from __future__ import annotations

import time
from dataclasses import replace
from urllib.parse import urlsplit

from connectors.core import answer, errors, line, model
from connectors.dingtalk import session


async def send(request: model.Request, way: line.Line) -> answer.Answer:
    """Everything by HTTP. Raises as ``line.http``, and Rejected for an answer that can go nowhere any more."""
    if urlsplit(request.url).path.endswith(session.PATH):
        # A copy: what is kept of this exchange for people shows the sealed one.
        request = replace(request, query=_query(request, way))
    return await way.http(request)


def _query(request: model.Request, way: line.Line) -> dict[str, str]:
    try:
        found, until = session.opened(way.connection.secrets.get("app_secret", ""), request.query.get("session", ""))
    except session.Unreadable:
        zh = "Client Secret 换过，之前那条消息的会话地址打不开了；请改用 robot.group 或 robot.direct。"
        en = "The Client Secret was changed since; answer with robot.group or robot.direct."
        raise errors.Rejected("the session is sealed with another secret", hint={"zh": zh, "en": en}) from None
    if until and until <= time.time() * 1000:
        zh = "会话地址只有约 90 分钟有效，这条消息问得太久了；请改用 robot.group 或 robot.direct。"
        en = "A conversation takes answers for about 90 minutes; use robot.group or robot.direct."
        raise errors.Rejected("the session is over", hint={"zh": zh, "en": en})
    return {**request.query, "session": found}
