"""The verbs that take a network to its views: what they return, and which networks have none."""

import jax
import numpy as np
import pytest

import rfjax as rf
from rfjax.features import NetworkFeatures
from rfjax.kernels import InfiniteWidth
from rfjax.tangent import EmpiricalNTK, Linearized, TangentFeatures

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(4, 3))
NET = rf.mlp(depth=1, width=5, b_std=0.3)
PARAMS = NET.init(KEY, 3)


def function(params, X):
    return X @ params


def test_each_verb_gives_its_view():
    assert isinstance(rf.nngp(NET), InfiniteWidth)
    assert isinstance(rf.ntk(NET), InfiniteWidth)
    assert isinstance(rf.random_features(NET, params=PARAMS), NetworkFeatures)
    assert isinstance(rf.empirical_ntk(NET, PARAMS), EmpiricalNTK)
    assert isinstance(rf.tangent_features(NET, PARAMS), TangentFeatures)
    assert isinstance(rf.linearize(NET, PARAMS), Linearized)


def test_random_features_from_a_key_are_those_of_the_network_that_it_draws():
    drawn, given = rf.random_features(NET, 3, key=KEY), rf.random_features(NET, params=PARAMS)
    np.testing.assert_array_equal(drawn(X), given(X))
    assert drawn(X).shape == (4, 6)  # width + [b_std ≠ 0]
    assert rf.random_features(rf.mlp(depth=1, width=5), 3, key=KEY)(X).shape == (4, 5)


def test_the_views_are_pytrees_whose_hyperparameters_differentiate():
    def nngp(w_std):
        return rf.nngp(rf.mlp(depth=1, width=5, w_std=w_std))(X, X).sum()

    value, slope = jax.value_and_grad(nngp)(1.3)  # a ReLU network is homogeneous: k = w_std⁴·k₁
    assert float(slope) == pytest.approx(4 * float(value) / 1.3, rel=1e-12)


@pytest.mark.parametrize("view", [rf.nngp, rf.ntk])
def test_networks_without_a_limit_say_so(view):
    with pytest.raises(ValueError, match="mean_field network has no NNGP or NTK limit"):
        view(rf.mlp(depth=1, width=5, parameterization="mean_field"))
    with pytest.raises(ValueError, match="neuron has no infinite-width limit"):
        view(rf.neuron())
    with pytest.raises(TypeError, match=f"{view.__name__} needs a network made of rfjax layers"):
        view(function)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: rf.random_features(function, 3, key=KEY), TypeError, "Serial network"),
        (lambda: rf.random_features(rf.neuron(), 3, key=KEY), TypeError, "Serial network"),
        (lambda: rf.random_features(rf.Serial(rf.Dense(1)), 3, key=KEY), TypeError, "hidden layers"),
        (lambda: rf.random_features(rf.Serial(*NET.layers[:2]), 3, key=KEY), TypeError, "last Dense layer"),
        (lambda: rf.random_features(NET, 3), ValueError, "key="),
        (lambda: rf.random_features(NET, key=KEY), ValueError, "in_dim"),
        (lambda: rf.random_features(NET, 3, key=KEY, params=PARAMS), ValueError, "not both"),
        (lambda: rf.random_features(NET, 7, params=PARAMS), ValueError, "in_dim"),
        (lambda: rf.random_features(NET, 0, key=KEY), ValueError, "in_dim"),
        (lambda: rf.random_features(NET, -3, key=KEY), ValueError, "in_dim"),
        (lambda: rf.random_features(NET, 3.0, key=KEY), TypeError, "in_dim"),
        (lambda: rf.random_features(NET, 3, key=0), TypeError, "key"),
        (lambda: rf.random_features(NET, 3, key=jax.random.split(KEY)), ValueError, "key"),
        (lambda: rf.random_features(NET, params=PARAMS[:2]), ValueError, "params"),
        (lambda: rf.random_features(NET, params=PARAMS)(X[:, :2]), ValueError, "X must have 3 columns"),
        (lambda: rf.empirical_ntk(3, PARAMS), TypeError, "net must be a network or a function"),
        (lambda: rf.empirical_ntk(function, np.ones(3, int)), TypeError, "parameter must have a floating dtype"),
        (lambda: rf.empirical_ntk(function, {"w": np.ones(3), "n": 2}), TypeError, "parameter must have a floating"),
        (lambda: rf.empirical_ntk(NET, PARAMS, outputs="all"), ValueError, "outputs must be one of mean"),
        (lambda: rf.empirical_ntk(NET, PARAMS)(X[:, :2]), ValueError, "X must have 3 columns"),
        (lambda: rf.empirical_ntk(NET, PARAMS[:2])(X), ValueError, "params"),
        (lambda: rf.empirical_ntk(lambda p, X: X, np.ones(3))(X[:, :, None]), ValueError, "X must have shape"),
        (lambda: rf.tangent_features(None, PARAMS), TypeError, "net must be a network or a function"),
        (lambda: rf.tangent_features(function, np.ones(3, int)), TypeError, "parameter must have a floating dtype"),
        (lambda: rf.tangent_features(function, np.ones(3))(X[0]), ValueError, "X must have shape"),
        (lambda: rf.linearize("net", PARAMS), TypeError, "net must be a network or a function"),
        (lambda: rf.linearize(function, np.ones(3, int)), TypeError, "parameter must have a floating dtype"),
        (lambda: rf.tangent_features(lambda p, X: p.sum(), np.ones(3))(X), ValueError, "network must return"),
        (lambda: rf.empirical_ntk(lambda p, X: p.sum(), np.ones(3))(X), ValueError, "network must return"),
    ],
)
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
