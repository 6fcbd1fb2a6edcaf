"""The code of docs/neural_tangents.md runs top to bottom, and the two sides of its examples agree."""

import numpy as np
import pytest


@pytest.mark.slow
def test_the_page_runs_and_both_sides_agree(run):
    space = run("docs/neural_tangents.md", {":200]": ":60]", "200:300": "200:240"})  # the code is tested, not its time
    assert space["accuracy"] > 0.7
    np.testing.assert_allclose(space["theirs"], space["ours"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(space["theirs_finite"], space["ours_finite"], rtol=0, atol=1e-10)
    assert space["drawn"].shape == (20, 20)
    trained = space["weights"](space["X"][:20])
    np.testing.assert_allclose(trained, space["functions"], rtol=0, atol=0.1)
    assert np.abs(trained - space["labels"]).max() < 1.1 * np.abs(space["labels"]).max()
