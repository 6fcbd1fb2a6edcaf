"""The code of the start page, of the pages on concepts and of the one on extending runs, and says what its text says."""

import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf


@pytest.mark.slow
def test_extending(run):
    assert run("docs/extending.md")["own"].stats.solver == "eigen"


def test_limits(run):
    space = run("docs/concepts/limits.md")
    assert abs(space["bound"] - 0.38) < 0.005
    assert abs(space["width"].log10 - 13.66) < 0.005
    # The table's other ends.
    for bias, error, d, log10 in ((0, 0.1, 10, 1.67), (-1, 0.01, 1000, 27.03), (-2, 0.1, 1000, 14.28)):
        task = rf.tasks.single_neuron(d=d, bias=float(bias))
        assert abs(rf.theory.minimal_width(task, error).log10 - log10) < 0.006, (bias, error, d)


@pytest.mark.slow
def test_start_page(run):
    space = run("docs/index.md")
    risk = rf.population_risk(space["fit"], space["task"], key=space["jax"].random.key(1))
    # The figure beside it says 0.34; the least that the samples allow is below.
    assert abs(float(risk.relative) - 0.34) < 0.03
    assert rf.theory.risk_lower_bound(space["task"], 1000) < float(risk.relative)


@pytest.mark.slow
def test_views(run):
    space = run("docs/concepts/views.md")
    psi, k, X = space["psi"], space["k"], space["X"]
    np.testing.assert_allclose(psi @ psi.T, k, rtol=0, atol=1e-10)
    assert 1e-3 < float(jnp.abs(k - rf.ntk(space["net"])(X)).max()) < 1


@pytest.mark.slow
def test_infinite_width(run):
    space = run("docs/concepts/infinite_width.md")
    np.testing.assert_allclose(space["k"], space["by_hand"], rtol=0, atol=1e-7)


@pytest.mark.slow
def test_random_features(run):
    space = run("docs/concepts/random_features.md")
    assert space["phi"](space["X"]).shape == (30, 201)


@pytest.mark.slow
def test_tangent_model(run):
    space = run("docs/concepts/tangent_model.md")
    net, f, X, params = (space[name] for name in ("net", "f", "X", "params"))
    moves = [
        np.abs(net.apply(space["moved"], X) - other).max() for other in (f(space["moved"], X), net.apply(params, X))
    ]
    assert moves[0] < moves[1] / 5


@pytest.mark.slow
def test_kernel_regression(run):
    space = run("docs/concepts/kernel_regression.md")
    np.testing.assert_allclose(space["primal"](space["X"]), space["dual"](space["X"]), rtol=0, atol=1e-10)
