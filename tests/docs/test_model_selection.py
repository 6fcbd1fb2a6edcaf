"""The page's code runs as it stands, top to bottom, and says what its comments say."""

import numpy as np
import pytest


@pytest.mark.slow
def test_the_code_of_the_page_runs_and_is_true(run):
    space = run("docs/model_selection.md")
    path, tuned, post = (space[name] for name in ("path", "tuned", "post"))
    X_new, found, labels = (space[name] for name in ("X_new", "found", "labels"))
    truth = np.sin(2 * X_new[:, 0])
    assert path.loo.shape == path.gcv.shape == path.degrees_of_freedom.shape == (25,)
    assert np.mean((space["fit"](X_new) - truth) ** 2) < 0.1 * np.var(truth)
    assert abs(float(found.value - space["evidence"](0.0, 0.04))) < 4.5 * float(found.stderr)
    assert tuned.history.shape == (101,)
    assert float(tuned.history[-1]) < float(tuned.history[0])
    # The truth is within what the posterior expects: squared standard scores of mean about 1.
    assert 0.1 < np.mean((post.mean(X_new) - truth) ** 2 / post.variance(X_new)) < 4
    assert space["squares"].classes == ("high", "low", "middle")
    for fit in (space["squares"], space["logistic"]):
        assert np.mean(fit(space["X"]) == labels) > 0.8
        assert fit.decision(X_new).shape == (200, 3)
    np.testing.assert_allclose(space["logistic"].probabilities(X_new).sum(axis=1), 1, rtol=1e-6)
