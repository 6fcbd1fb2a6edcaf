"""`python -m benchmarks features`: every group runs and says what was measured."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_the_smoke_preset_writes_every_group(tmp_path):
    out = tmp_path / "features.json"
    command = [sys.executable, "-m", "benchmarks", "features", "--preset", "smoke", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert {"ridge", "fourier", "structured", "gram-error"} <= {row["group"] for row in rows}
    for row in rows:
        assert row["note"] or row["error"] is not None or (row["seconds"] > 0 and row["ratio"] > 0)
    errors = [row for row in rows if row["group"] == "gram-error"]
    assert {row["name"] for row in errors} >= {"rbf iid", "rbf orthogonal", "rbf sobol", "relu iid"}
    assert all(0 < row["error"] < 2 for row in errors)
