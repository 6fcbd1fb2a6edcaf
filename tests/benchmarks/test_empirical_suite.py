"""`python -m benchmarks empirical`: it runs, its contestants agree, and it says what is missing."""

import pytest


@pytest.mark.slow
def test_the_smoke_preset_writes_every_group(smoke):
    rows = smoke("empirical")
    assert {row["group"] for row in rows} == {"fcn", "cnn", "bound"}
    assert all(row["error"] < 1e-4 for row in rows if row["error"] is not None)
    assert {"structured", "contraction", "vector_products"} <= {row["name"] for row in rows}
