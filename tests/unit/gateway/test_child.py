"""What a process of the supervisor loads: no drawing of terminals, no object mapper."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CODE = """
import json, sys
sys.argv = ["child", "nobody"]
from gateway import child
code = child.main()  # no such role: it has loaded and configured what each role needs
import gateway.beacon, gateway.wiring, gateway.worker
print(json.dumps([code, [name for name in NAMES if sys.modules.get(name)]]))
"""
NAMES = ("rich", "pygments", "click", "tornado", "sqlalchemy.orm")


def test_a_worker_loads_neither_terminals_nor_a_mapper(tmp_path: Path) -> None:
    environment = {**os.environ, "SHUNIU_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-P", "-c", CODE.replace("NAMES", repr(NAMES))]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    code, names = json.loads(told.stdout.splitlines()[-1])
    assert code != 0
    assert names == []
