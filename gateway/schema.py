"""The OpenAPI document: the problem schema once for all operations, both ways to prove who one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI

REFERENCE = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a router or route: problems for these statuses."""
    words = {
        400: "Not understandable", 401: "Not signed in", 403: "Not allowed", 404: "Not found", 409: "Conflict",
        412: "Changed meanwhile", 413: "Too large", 422: "Not valid", 428: "If-Match is missing",
        503: "The ledger is not available",
    }  # fmt: skip
    return {status: {"description": words[status], "content": REFERENCE} for status in statuses}


def _problem(codes: Sequence[str]) -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "title": "Problem",
        "type": "object",
        "description": "An error (RFC 9457). Words follow Accept-Language: zh (default) or en.",
        "required": ["type", "title", "status", "code", "trace_id"],
        "properties": {
            "type": {**text, "format": "uri-reference", "title": "Where the code is explained"},
            "title": {**text, "title": "What kind of problem"},
            "status": {"type": "integer", "title": "HTTP status"},
            "code": {**text, "enum": list(codes), "title": "Stable code"},
            "detail": {**text, "title": "This very case"},
            "instance": {**text, "title": "The address that was asked"},
            "trace_id": {**text, "pattern": "^[0-9a-f]{32}$", "title": "Found in the log too"},
            "errors": {
                "type": "array",
                "title": "Every wrong field",
                "items": {
                    "type": "object",
                    "required": ["code", "detail"],
                    "properties": {
                        "pointer": {**text, "title": "JSON pointer into the body"},
                        "parameter": {**text, "title": "Name of a query, path or header parameter"},
                        "code": {**text, "title": "What is wrong, for programs"},
                        "detail": {**text, "title": "What is wrong, for people"},
                    },
                },
            },
        },
        "example": {
            "type": "/api/v1/problems/invalid",
            "title": "请求内容不符合要求",
            "status": 422,
            "code": "invalid",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "errors": [{"pointer": "/config/base_url", "code": "missing", "detail": "必填"}],
        },
    }


def install(app: FastAPI, codes: Sequence[str]) -> None:
    """Adds the shared parts to the document that ``app`` generates."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            parts = document.setdefault("components", {})
            schemas = parts.setdefault("schemas", {})
            schemas["Problem"] = _problem(codes)
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            parts["securitySchemes"] = {
                "session": {"type": "apiKey", "in": "cookie", "name": "shuniu_session"},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
                "token": {"type": "http", "scheme": "bearer"},
            }
            for path in document.get("paths", {}).values():
                for method, operation in path.items():
                    _secure(method, operation)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _secure(method: str, operation: dict[str, Any]) -> None:
    if operation.pop("x-public", False):
        operation["security"] = []
    elif method in ("get", "head"):
        operation["security"] = [{"session": []}, {"token": []}]
    else:
        operation["security"] = [{"session": [], "csrf": []}, {"token": []}]
