"""The page on features of neural kernels."""

import pytest


@pytest.mark.slow
def test_neural_features(run):
    space = run("docs/neural_features.md")
    assert space["distance"] < 0.4
    assert space["expanded"]
    assert 0 < space["error"].rms < 0.05
    assert space["needed"].features > 32
