"""Build hook of the wheel: the admin UI is part of it, so who installs the package needs no Node."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class AdminUi(BuildHookInterface):  # type: ignore[type-arg]
    """Builds ``gateway/static`` unless it is there and fits the sources."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the files are gathered; an editable install shows what is built already."""
        if version == "editable":
            return
        place = Path(self.root) / "scripts" / "ui.py"
        spec = importlib.util.spec_from_file_location("shuniu_ui", place)
        assert spec is not None
        assert spec.loader is not None
        ui = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(ui)
        if ui.SOURCES.is_dir() and not ui.fresh():
            ui.build()
