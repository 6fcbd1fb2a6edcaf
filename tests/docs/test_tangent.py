"""The code of docs/tangent.md runs as it stands, and is true."""

import numpy as np
import pytest


@pytest.mark.slow
def test_the_page_runs_and_is_true(run):
    space = run("docs/tangent.md")
    K, X = np.asarray(space["K"]), space["X"]
    largest = float(K.max())
    np.testing.assert_allclose(space["same"], K, rtol=0, atol=1e-12 * largest)
    np.testing.assert_allclose(space["v"], K @ K[:, :3], rtol=0, atol=1e-12 * largest**2 * 12)
    np.testing.assert_allclose(sum(layer(X) for layer in space["layers"].values()), K, rtol=0, atol=1e-12 * largest)
    np.testing.assert_allclose(space["psi"].kernel(X), K, rtol=0, atol=1e-12 * largest)
    assert space["few"](X).shape == (12, 256)
    np.testing.assert_allclose(space["linear"](space["moved"], X), space["solved"](X), rtol=0, atol=1e-10)
    assert space["adapters"].chosen == (False, False, True, True, False)
    assert space["last"].chosen == (False, False, False, False, True)
    estimate = space["estimate"]
    assert 16 <= int(estimate.samples) <= 500
