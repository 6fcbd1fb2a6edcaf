"""`python -m benchmarks features`: every group runs and says what was measured."""

import importlib.util
from pathlib import Path

import pytest

from benchmarks.timing import GEMM

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_smoke_preset_writes_every_group(smoke):
    rows = smoke("features")
    assert {"ridge", "fourier", "structured", "gram-error"} <= {row["group"] for row in rows}
    for row in rows:
        assert row["note"] or row["error"] is not None or (row["seconds"] > 0 and row["ratio"] > 0)
    errors = [row for row in rows if row["group"] == "gram-error"]
    maps = {f"rbf {draw}" for draw in ("iid", "orthogonal", "structured", "sobol", "halton")}
    assert {row["name"] for row in errors} == maps | {"relu iid", "relu orthogonal", "relu sobol"}
    assert all(0 < row["error"] < 2 for row in errors)


@pytest.mark.slow
def test_ntk_features_are_measured_and_drawn(smoke, tmp_path):
    rows = smoke("ntk_features")
    assert {row["settings"]["data"] for row in rows} == {"made up"}
    assert {row["error"] for row in rows if row["name"] == "exact"} == {0.0}
    assert {row["name"] for row in rows if row["against"] == GEMM} == {"exact", "rf.approximate"}
    assert all(row["error"] > 0 and row["settings"]["p"] == 16 for row in rows if row["name"] != "exact")
    spec = importlib.util.spec_from_file_location("drawing", ROOT / "docs/examples/ntk_features.py")
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    drawing.main(tmp_path, tmp_path / "ntk_features.json")
    assert (tmp_path / "figures/ntk_features.svg").stat().st_size > 10_000
