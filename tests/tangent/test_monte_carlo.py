"""Monte Carlo kernels against those of infinite width, in standard errors, and against their own draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3))
KEY = jax.random.key(0)
NET = rf.mlp(depth=1, width=16, activation=rf.activations.erf, b_std=0.4)


@pytest.mark.parametrize(("reading", "limit"), [pytest.param("nngp", rf.nngp, marks=pytest.mark.slow), ("ntk", rf.ntk)])
def test_one_hidden_layer_has_the_infinite_kernel_as_its_mean(reading, limit):
    found = rf.monte_carlo_kernel(NET, 3, key=KEY, reading=reading, samples=3000, until_stderr=0.03)(X)
    expected = np.asarray(limit(NET)(X))
    assert 16 < int(found.samples) < 3000
    assert float(found.stderr.max()) <= 0.03 * float(np.abs(found.mean).max())
    assert float(found.stderr.max()) > 0.02 * float(np.abs(found.mean).max())  # it did not go on
    assert (np.abs(found.mean - expected) < 4.5 * found.stderr).all()


def test_mean_and_standard_error_are_those_of_the_draws():
    def init(key, in_dim):
        return jax.random.normal(key, (in_dim, 2))

    def apply(params, X):
        return jnp.tanh(X @ params)

    found = rf.monte_carlo_kernel((init, apply), 3, key=KEY, samples=20, reading="nngp")(X, X[:2])
    outputs = [np.tanh(X @ np.asarray(init(jax.random.fold_in(KEY, i), 3))) for i in range(20)]
    draws = np.stack([f @ f[:2].T / 2 for f in outputs])
    assert int(found.samples) == 20
    np.testing.assert_allclose(found.mean, draws.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.stderr, draws.std(axis=0, ddof=1) / 20**0.5, rtol=1e-10)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"net": lambda p, X: X}, TypeError, "init and apply"),
        ({"reading": "gp"}, ValueError, "reading"),
        ({"samples": 1}, ValueError, "samples"),
        ({"until_stderr": 0.0}, ValueError, "until_stderr"),
        ({"key": None}, ValueError, "key"),
    ],
)
def test_bad_input_is_named(settings, error, says):
    given = {"net": NET, "in_dim": 3, "key": KEY} | settings
    with pytest.raises(error, match=says):
        rf.monte_carlo_kernel(given.pop("net"), given.pop("in_dim"), **given)
