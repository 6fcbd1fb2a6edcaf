"""`python -m benchmarks training`: it runs, and its slopes and errors are what they say."""

import pathlib

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_the_smoke_preset_writes_every_group(smoke):
    rows = smoke("training")
    assert {row["group"] for row in rows} == {"seeds", "flow", "widths"}
    (flow,) = (row for row in rows if row["group"] == "flow")
    assert flow["error"] < 1e-5
    assert all(row["ratio"] > 0 for row in rows if row["group"] == "seeds" and row["ratio"] is not None)


def test_the_slope_of_a_power_law_and_its_error(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.training import slope_with_error

    widths, rng = (64, 128, 256, 512), np.random.default_rng(0)
    found = [
        slope_with_error(widths, 3 * np.array(widths)[:, None] ** -0.9 * np.exp(0.2 * rng.normal(size=(4, 10))))
        for _ in range(400)
    ]
    slopes, errors = np.array(found).T
    assert abs(slopes.mean() + 0.9) < 4.5 * slopes.std() / 20
    np.testing.assert_allclose(errors.mean(), slopes.std(), rtol=0.15)
