"""Projected tangent features: their Gram matrix has the empirical NTK as its mean, whatever the blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3))
PARAMS = {"in": RNG.normal(size=(3, 4)), "out": RNG.normal(size=(4, 2))}
KEY = jax.random.key(0)
COUNT = 4000


def network(params, X):
    return jnp.tanh(X @ params["in"]) @ params["out"]


@pytest.mark.parametrize("projection", ["gaussian", "rademacher", "sparse"])
def test_the_gram_matrix_has_the_empirical_ntk_as_its_mean(projection, monte_carlo):
    psi = rf.tangent_features(network, PARAMS, features=COUNT, key=KEY, projection=projection)
    features = np.asarray(psi(X))
    assert features.shape == (4, COUNT)
    # A feature is one draw: its products, COUNT times, have the kernel as their mean.
    draws = COUNT * features.T[:, :, None] * features.T[:, None, :]
    monte_carlo(draws, np.asarray(rf.empirical_ntk(network, PARAMS)(X)), resolution=0.05)


def test_the_draws_do_not_depend_on_the_blocks_and_feed_a_ridge():
    psi = rf.tangent_features(network, PARAMS, features=10, key=KEY, projection="rademacher")
    with rf.kernels.memory_bound(600):
        few = jax.jit(lambda X: psi._features(X))(X)
    np.testing.assert_allclose(few, psi(X), rtol=1e-12)
    fit = rf.ridge_regression(psi, X, X[:, 0], ridge=1e-2)
    np.testing.assert_allclose(fit(X), fit(jnp.asarray(X)), rtol=0, atol=1e-12)
    assert fit.stats.form == "dual"
    low = rf.tangent_features(network, PARAMS, features=10, key=KEY, parameters="out")(X.astype(np.float32))
    assert low.dtype == np.float32


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"features": 5}, ValueError, "belong together"),
        ({"key": KEY}, ValueError, "belong together"),
        ({"features": 0, "key": KEY}, ValueError, "features"),
        ({"features": 5, "key": 3}, TypeError, "key"),
        ({"features": 5, "key": KEY, "projection": "dense"}, ValueError, "projection"),
    ],
)
def test_bad_input_is_named(settings, error, says):
    with pytest.raises(error, match=says):
        rf.tangent_features(network, PARAMS, **settings)


def test_a_bound_without_room_for_one_feature_is_refused():
    psi = rf.tangent_features(network, PARAMS, features=8, key=KEY)
    with rf.kernels.memory_bound(100), pytest.raises(ValueError, match="too small for one projected tangent feature"):
        psi(X)
