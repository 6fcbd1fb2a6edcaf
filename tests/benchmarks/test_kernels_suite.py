"""`python -m benchmarks kernels`: it runs and says what was measured on what.  How fast it is, is no test."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FIELDS = {
    "group", "name", "settings", "seconds", "repetitions", "against", "ratio", "temp_bytes", "peak_rss_bytes",
    "compilations", "error", "target", "met", "note",
}  # fmt: skip


@pytest.mark.slow
def test_the_smoke_preset_writes_every_group(tmp_path):
    out = tmp_path / "results" / "kernels.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "kernels", "--preset", "smoke", "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    text = out.read_text()
    assert str(ROOT) not in text
    assert str(tmp_path) not in text
    found = json.loads(text)
    assert {"date", "commit", "cpu", "cores", "device", "versions", "preset", "rows"} <= found.keys()
    assert {"rfjax", "jax", "jaxlib", "numpy"} <= found["versions"].keys()
    assert all(row.keys() == FIELDS for row in found["rows"])
    groups = {row["group"] for row in found["rows"]}
    assert groups == {"depth", "peer", "fitted", "call", "ragged", "crowd", "matvec", "error"}
    assert all(group in done.stdout for group in groups)
    for row in found["rows"]:
        assert row["note"] or {"n", "m", "d", "dtype"} <= row["settings"].keys()
        assert row["note"] or row["error"] is not None or (row["seconds"] > 0 and row["ratio"] > 0)
        assert row["met"] is not None or not row["target"]
    (call,) = (row for row in found["rows"] if row["group"] == "call")
    assert call["compilations"] == 0
    (error,) = (row for row in found["rows"] if row["group"] == "error")
    assert error["met"]


def test_an_unknown_group_is_one_line(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "kernels", "--only", "speed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "kernels has the groups depth, peer, fitted, call, ragged, crowd, matvec, error; got 'speed'" in done.stderr
