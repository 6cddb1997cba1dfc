"""A pretend SMS gateway in three dialects.

JSON at ``/sms/v2/send``, a signed GBK form at ``/sms/sms.aspx``, plain text at ``/sms/send?…``; the balance at
``/sms/balance``.

Refuses wrong accounts, numbers that are none, a forbidden word, and the same number more than five times.
``GET /_sim/sms/state`` shows what was sent.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.simulator import control, engine

NUMBER = re.compile(r"1[3-9]\d{9}")
MOST = 5


class Simulator(engine.Simulator):
    """``forbidden``: a word no message may hold."""

    id = "sms"
    SETTINGS: ClassVar[dict[str, Any]] = {"account": "N1234567", "key": "sms-demo-password", "forbidden": "赌博"}

    def seed(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def snapshot(self) -> Any:
        return {"sent": self.sent}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v2/send", self.by_json, methods=["POST"]),
            Route("/sms.aspx", self.by_form, methods=["POST"]),
            Route("/send", self.by_query),
            Route("/balance", self.balance),
        ]

    def _take(self, account: Any, good: bool, phones: list[str], text: str) -> tuple[str, str, str]:
        """(code, words, id); code 0 is taken."""
        if account != self.settings["account"] or not good:
            return "102", "密码错", ""
        if not phones or not all(NUMBER.fullmatch(one) for one in phones):
            return "107", "包含错误的手机号码", ""
        if not text or self.settings["forbidden"] in text:
            return "105", "内容含敏感词", ""
        if any(sum(one in seen["phones"] for seen in self.sent) >= MOST for one in phones):
            return "103", "提交过快", ""
        number = f"{len(self.sent) + 17041010383624511:017d}"
        self.sent.append({"id": number, "phones": phones, "text": text})
        self.commit("sms.send", number, {"phones": phones, "text": text})
        return "0", "", number

    async def by_json(self, request: Request) -> Response:
        try:
            given = json.loads(await request.body())
            phones = str(given["phone"]).split(",")
        except (ValueError, KeyError, TypeError):
            return control.answer({"code": "110", "errorMsg": "请求格式错误"})
        good = given.get("password") == self.settings["key"]
        code, words, number = self._take(given.get("account"), good, phones, str(given.get("msg") or ""))
        return control.answer({"code": code, "msgId": number, "errorMsg": words})

    async def by_form(self, request: Request) -> Response:
        """GBK; the proof is MD5 of account, password and the time."""
        given = dict(parse_qsl((await request.body()).decode("ascii", "replace"), encoding="gbk"))
        text = f"{self.settings['account']}{self.settings['key']}{given.get('timestamp')}"
        proof = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()
        good = given.get("sign") == proof
        phones = given.get("mobile", "").split(";")
        code, words, number = self._take(given.get("userid"), good, phones, given.get("content", ""))
        status = "Success" if code == "0" else "Faild"
        body = (
            f'<?xml version="1.0" encoding="utf-8"?><returnsms><returnstatus>{status}</returnstatus>'
            f"<message>{code} {words}</message><errcode>{code}</errcode><taskID>{number}</taskID></returnsms>"
        )
        return Response(body, media_type="text/xml; charset=utf-8")

    async def by_query(self, request: Request) -> Response:
        query = request.query_params
        good = query.get("pwd") == self.settings["key"]
        phones = query.get("mobile", "").split(",")
        code, words, number = self._take(query.get("user"), good, phones, query.get("content", ""))
        return PlainTextResponse(f"success:{number}" if code == "0" else f"error:{code}:{words}")

    async def balance(self, request: Request) -> Response:
        return control.answer({"code": "0", "balance": 1000})

    def throttled(self, request: Request) -> Response:
        return control.answer({"code": "103", "msgId": "", "errorMsg": "提交过快"})
