"""A small WebDAV share: PROPFIND, GET, PUT, MOVE, MKCOL, with Basic login; files in memory."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import openpyxl
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response


class Share:
    """The files by path (``in/a.xlsx``). ``commit`` journals what really changed: a file put away, a row written."""

    def __init__(self, login: Callable[[], tuple[str, str]], commit: Callable[[str, str, Any], Any]) -> None:
        self.login, self.commit = login, commit
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()
        self.locked: set[str] = set()
        self.rows: dict[str, list[tuple[Any, ...]]] = {}

    async def serve(self, request: Request) -> Response:
        user, password = self.login()
        wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        if request.headers.get("authorization") != wanted:
            return PlainTextResponse("Unauthorized", 401)
        path = request.path_params["path"].strip("/")
        verb = request.method
        if verb == "MKCOL":
            known = path in self.folders
            self.folders.add(path)
            return Response(status_code=405 if known else 201)
        if path in self.locked:
            return PlainTextResponse("Locked", 423)
        if verb == "PROPFIND":
            return self._listed(path, request)
        if verb == "PUT":
            return self._put(path, await request.body())
        if path not in self.files:
            return PlainTextResponse("Not Found", 404)
        if verb == "MOVE":
            target = unquote(urlsplit(request.headers["destination"]).path).partition("/dav/")[2]
            self.files[target] = self.files.pop(path)
            self.commit("file.done", path, None)
            return Response(status_code=201)
        return Response(self.files[path], media_type="application/octet-stream")

    def _listed(self, folder: str, request: Request) -> Response:
        if folder not in self.folders:
            return PlainTextResponse("Not Found", 404)
        entries = [f"<D:response><D:href>{quote(request.url.path)}</D:href>{_props('')}</D:response>"]
        for path, content in self.files.items():
            if path.startswith(f"{folder}/"):
                mark = hashlib.md5(content, usedforsecurity=False).hexdigest()
                told = f'<D:getetag>"{mark}"</D:getetag><D:getcontentlength>{len(content)}</D:getcontentlength>'
                href = quote(f"/excel/dav/{path}")
                entries.append(f"<D:response><D:href>{href}</D:href>{_props(told)}</D:response>")
        body = f'<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:">{"".join(entries)}</D:multistatus>'
        return Response(body, 207, media_type="application/xml; charset=utf-8")

    def _put(self, path: str, content: bytes) -> Response:
        if path.partition("/")[0] not in self.folders:
            return PlainTextResponse("Conflict", 409)
        new = path not in self.files
        self.files[path] = content
        if path.startswith("out/"):
            self._read(path, content)
        return Response(status_code=201 if new else 204)

    def _read(self, path: str, content: bytes) -> None:
        """What a person would see that was not there before."""
        if not path.endswith(".xlsx"):
            return
        sheet = openpyxl.load_workbook(io.BytesIO(content), read_only=True).worksheets[0]
        rows = [tuple(row) for row in sheet.iter_rows(min_row=2, values_only=True)]
        before = self.rows.get(path, [])
        for number, row in enumerate(rows):
            if row not in before:
                self.commit("row.write", f"{path}:{row[0]}:{number}", None)
        self.rows[path] = rows


def _props(inner: str) -> str:
    return f"<D:propstat><D:prop>{inner}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>"
