"""A pretend WebDAV share at ``/excel/dav`` and somebody at a desk: drops files, opens them, uploads them.

Controls under ``/_sim/excel``: ``POST drop`` ``{"name": "a.xlsx", "rows": [[…], …]}`` puts a workbook into ``in`` ·
``POST upload`` with the same rows posts it to ``push_url`` · ``POST open`` ``{"path": "out/…"}`` locks a file.
"""

from __future__ import annotations

import hmac
import io
from typing import Any, ClassVar

import openpyxl
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.excel.simulated import share
from connectors.simulator import control, engine


class Simulator(engine.Simulator):
    """``upload_secret`` is what the uploader sends, or with ``upload_signed`` signs the file with."""

    id = "excel"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "user": "hub@example.com",
        "password": "share-app-password",
        "upload_secret": "upload-secret-of-the-desk",
        "upload_signed": False,
        "push_url": "",
    }

    def seed(self) -> None:
        self.share = share.Share(lambda: (self.settings["user"], self.settings["password"]), self.commit)
        self.share.folders |= {"in", "done", "out"}

    def snapshot(self) -> Any:
        return {"files": {path: len(content) for path, content in self.share.files.items()}}

    def routes(self) -> list[BaseRoute]:
        verbs = ["GET", "PUT", "PROPFIND", "MOVE", "MKCOL"]
        return [Route("/dav/{path:path}", self.share_served, methods=verbs)]

    def controls(self) -> list[BaseRoute]:
        return [
            Route("/drop", control.guarded(self.drop), methods=["POST"]),
            Route("/upload", control.guarded(self.upload), methods=["POST"]),
            Route("/open", control.guarded(self.open), methods=["POST"]),
        ]

    async def share_served(self, request: Request) -> Response:
        return await self.share.serve(request)

    async def drop(self, request: Request) -> Response:
        wish = await control.body(request)
        self.share.files[f"in/{wish['name']}"] = workbook(wish["rows"])
        return control.answer({"dropped": wish["name"]})

    async def upload(self, request: Request) -> Response:
        wish = await control.body(request)
        content, secret = workbook(wish["rows"]), str(self.settings["upload_secret"])
        headers = {"content-type": "application/octet-stream"}
        if self.settings["upload_signed"]:
            headers["x-file-signature"] = "sha256=" + hmac.new(secret.encode(), content, "sha256").hexdigest()
        else:
            headers["x-file-secret"] = secret
        self.push(self.settings["push_url"], content, headers=headers, label="upload")
        return control.answer({"uploaded": len(wish["rows"])})

    async def open(self, request: Request) -> Response:
        self.share.locked.add(str((await control.body(request))["path"]))
        return control.answer({"locked": sorted(self.share.locked)})

    def throttled(self, request: Request) -> Response:
        return Response("Too many requests", 503, {"Retry-After": "30"})


def workbook(rows: list[list[Any]]) -> bytes:
    """A file as Excel would save it."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
