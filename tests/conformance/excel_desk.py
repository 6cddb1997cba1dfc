"""What the spreadsheet tests share: workbooks, a connection, and the folder it works in."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import openpyxl

from connectors.core import model, registry
from connectors.excel import simulator

SPEC = registry.get("excel")
HEAD = ["订单号", "订单状态", "订单金额", "商品编码", "数量"]
SECRET = "upload-secret-of-the-desk"


def book(*rows: list[Any]) -> bytes:
    return simulator.workbook(list(rows))


def cells(content: bytes) -> list[list[Any]]:
    loaded = openpyxl.load_workbook(io.BytesIO(content))
    return [list(row) for row in loaded.worksheets[0].iter_rows(values_only=True)]


def connection(**config: Any) -> model.Connection:
    settings = {"kind": "order", "place": "folder", "collect": "on", **config}
    return model.Connection("desk", SPEC, settings, {"upload_secret": SECRET})


def drop(tmp_path: Path, name: str, content: bytes) -> Path:
    folder = tmp_path / "desk" / "in"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def listed(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir()) if folder.exists() else []
