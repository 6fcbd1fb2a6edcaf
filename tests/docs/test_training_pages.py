"""The code of pages in docs/ runs as it stands, and is true."""

import numpy as np
import pytest

import rfjax as rf


@pytest.mark.slow
def test_dynamics(run):
    space = run("docs/dynamics.md")
    flow, krylov, path = space["flow"], space["krylov"], space["path"]
    assert 0 < int(path.best) < 28
    assert float(path.best_error) < 0.9 * float(path.errors[-1])
    assert float(krylov.error(100.0)) < 1e-6
    np.testing.assert_allclose(krylov(100.0, space["X_val"]), flow(100.0, space["X_val"]), rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        space["descent"](10**9, space["X_val"]), space["ens"].mean(np.inf, space["X_val"]), rtol=0, atol=1e-6
    )


def test_saving(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(run("docs/saving.md")["again"], rf.regression.KernelFit)


@pytest.mark.slow
def test_scikit_learn(run):
    pytest.importorskip("sklearn")
    assert run("docs/sklearn.md")["search"].best_score_ > 0.3


@pytest.mark.slow
def test_regression(run):
    space = run("docs/regression.md")
    X, fit = space["X"], space["fit"]
    assert fit.stats.solver == "cholesky"
    for other in ("same", "over"):
        np.testing.assert_allclose(space[other](X), fit(X), rtol=0, atol=1e-2)
    assert float(np.mean((space["small"](X) - fit(X)) ** 2)) < 0.2 * float(np.var(space["y"]))


@pytest.mark.slow
def test_training(run):
    space = run("docs/training.md")
    assert space["runs"].axes.shape == (4, 3, 2)
    assert space["best"][0] in space["table"].learning_rate.unique()
    assert space["shared"].params[0]["weight"].shape[0] % 4 == 0
    assert float(space["run"].history.risk[-1]) < 0.5 * float(space["run"].history.risk[0])
