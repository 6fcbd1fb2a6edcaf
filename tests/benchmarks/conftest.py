"""How the smoke preset of a suite is run: as a user runs it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def smoke(tmp_path: Path) -> Callable[[str], list[dict[str, Any]]]:
    """A function of a suite's name: it runs the smoke preset, which must succeed, and returns its rows."""

    def run(suite: str) -> list[dict[str, Any]]:
        out = tmp_path / f"{suite}.json"
        command = [sys.executable, "-m", "benchmarks", suite, "--preset", "smoke", "--out", str(out)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return json.loads(out.read_text())["rows"]

    return run
