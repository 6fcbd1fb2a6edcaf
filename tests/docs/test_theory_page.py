"""The code of docs/theory.md runs as it stands, and is true."""

import numpy as np


def test_theory(run):
    space = run("docs/theory.md")
    assert np.all(space["best"].risk <= space["curve"].risk)
    assert np.all(np.diff(space["predicted"].test_error) < 0)
    assert space["predicted"].test_error[-1] < 0.5
    assert space["run"].failure_rate == 0
