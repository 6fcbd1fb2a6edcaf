"""`python -m benchmarks features`: every group runs and says what was measured."""

import pytest


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
