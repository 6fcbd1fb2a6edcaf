"""`python -m benchmarks empirical`: it runs, its contestants agree, and it says what is missing."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_the_smoke_preset_writes_every_group(tmp_path):
    out = tmp_path / "empirical.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "empirical", "--preset", "smoke", "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert {row["group"] for row in rows} == {"fcn", "cnn", "bound"}
    assert all(row["error"] < 1e-4 for row in rows if row["error"] is not None)
    assert {"structured", "contraction", "vector_products"} <= {row["name"] for row in rows}
