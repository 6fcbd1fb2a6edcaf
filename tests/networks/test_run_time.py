"""LayerNorm, Dropout, Parallel and Residual as finite networks run them, against plain NumPy, and in the finite views."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.activations import relu
from rfjax.networks import Activation, Dense, Dropout, LayerNorm, Parallel, Repeat, Residual, Serial, outputs_2d

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(4, 3))
ACT = Activation(relu)
BRANCHES = Parallel(Dense(3), Serial(ACT, Dense(3, 0.7, 0.2)), Residual(Dense(3)))


def linear(params, X):
    return X @ np.asarray(params["weight"]).T / np.sqrt(X.shape[1])


def test_layer_norm_has_mean_zero_and_variance_one(dtype):
    Z = np.concatenate([X, np.full((1, 3), 2.0)]).astype(dtype)  # a row without variance
    centred = Z - Z.mean(axis=1, keepdims=True)
    out = {eps: LayerNorm(eps).apply({}, Z) for eps in (0.0, 0.1)}
    for eps, values in out.items():
        expected = centred / np.maximum(np.sqrt(Z.var(axis=1, keepdims=True) + eps), 1e-30)
        assert values.dtype == dtype
        np.testing.assert_allclose(values, expected, rtol=0, atol=20 * np.finfo(dtype).eps)
    slope = jax.grad(lambda Z: LayerNorm().apply({}, Z)[:, 0].sum())(jnp.asarray(Z))
    assert np.isfinite(slope).all()


def test_dtype_follows_the_data():
    params = BRANCHES.init(KEY, 3)
    wide = BRANCHES.apply(params, X)
    assert wide.dtype == np.float64
    narrow = BRANCHES.apply(params, X.astype(np.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, wide, rtol=0, atol=1e-5)


def test_dropout_scales_what_it_keeps():
    rate, Z = 0.3, np.random.default_rng(1).normal(size=(400, 50))
    layer = Dropout(rate)
    np.testing.assert_array_equal(layer.apply({}, Z), Z)  # at evaluation
    kept = np.asarray(layer.apply({}, Z, key=KEY)) / Z
    dropped = kept == 0
    np.testing.assert_allclose(kept[~dropped], 1 / (1 - rate), rtol=1e-14)
    assert abs(dropped.mean() - rate) < 4.5 * np.sqrt(rate * (1 - rate) / Z.size)
    # Masks of different points and of different units are independent: both agree as often as chance has it.
    agree = rate**2 + (1 - rate) ** 2
    for one, other in ((dropped[:-1], dropped[1:]), (dropped[:, :-1], dropped[:, 1:])):
        assert abs((one == other).mean() - agree) < 4.5 * np.sqrt(agree * (1 - agree) / one.size)
    again = np.asarray(layer.apply({}, Z, key=jax.random.key(1))) == 0
    assert (again != dropped).any()
    with pytest.raises(TypeError, match="key must be a JAX random key"):
        layer.apply({}, Z, key=0)


def test_every_dropout_of_a_network_draws_masks_of_its_own():
    nets = (Serial(Dropout(0.5), Dropout(0.5)), Repeat(Dropout(0.5), 2), Parallel(Dropout(0.5), Dropout(0.5)))
    ones = jnp.ones((50, 40))
    values = jax.jit(lambda: [net._apply(({}, {}) if net is not nets[1] else {}, ones, KEY) for net in nets])()
    for value in values[:2]:  # both masks keep a unit a quarter of the time
        assert set(np.unique(value)) == {0, 4}
        assert abs((np.asarray(value) > 0).mean() - 1 / 4) < 4.5 * np.sqrt(3 / 16 / 2000)
    assert set(np.unique(values[2])) == {0, 2, 4}


def test_sums_of_branches_are_numpy():
    params = BRANCHES.init(KEY, 3)
    hidden = 0.7 * linear(params[1][1], np.maximum(X, 0)) + 0.2 * np.asarray(params[1][1]["bias"])
    expected = linear(params[0], X) + hidden + X + linear(params[2][0], X)
    np.testing.assert_allclose(BRANCHES.apply(params, X), expected, rtol=1e-13)
    weights = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
    assert np.unique(np.stack(weights)).size == 27  # branches are drawn apart
    assert BRANCHES.width_out(3) == 3


# Each has everything new in it; the last layer makes two outputs.
NETWORKS = {
    "ntk": Serial(
        Dense(5, 1.2, 0.3),
        Residual(LayerNorm(0.1), Activation(jnp.tanh), Dense(5, 1.1, 0.2)),
        Dropout(0.5),
        Repeat(Residual(LayerNorm(), ACT, Dense(5)), 2),
        Dense(2, 1.0, 0.1),
    ),
    "standard, sum first": Serial(
        Parallel(Dense(4, parameterization="standard"), Serial(Dense(4, 1.0, 0.2), ACT)),
        LayerNorm(),
        Dense(2, parameterization="standard"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_finite_views_take_the_new_layers(name):
    net = NETWORKS[name]
    params = net.init(KEY, 3)
    moved = jax.tree.map(lambda leaf: leaf + 0.1, params)
    values, J, slope = jax.jit(
        lambda p, q: (
            outputs_2d(net.apply, p, X),
            jax.jacrev(lambda p: net.apply(p, X))(p),
            jax.jvp(lambda p: net.apply(p, X), (p,), (jax.tree.map(jnp.subtract, q, p),))[1],
        )
    )(params, moved)
    J = np.concatenate([np.asarray(leaf).reshape(4, 2, -1) for leaf in jax.tree.leaves(J)], axis=2)
    full = np.einsum("iap,jbp->iajb", J, J)
    scale = np.abs(full).max()
    mean = rf.empirical_ntk(net, params)(X, X)
    np.testing.assert_allclose(mean, full.trace(axis1=1, axis2=3) / 2, rtol=0, atol=1e-13 * scale)
    apart = rf.empirical_ntk(net, params, outputs="full")(X, X)
    np.testing.assert_allclose(apart, full.reshape(8, 8), rtol=0, atol=1e-13 * scale)
    psi = np.asarray(rf.tangent_features(net, params)(X))
    np.testing.assert_allclose(psi @ psi.T, mean, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(rf.linearize(net, params)(moved, X), values + slope, rtol=1e-12, atol=1e-12)
    phi = rf.random_features(net, params=params)
    if name == "ntk":  # in the standard parameterisation weights carry their scale
        last = np.concatenate([np.asarray(params[-1]["weight"]).T, np.asarray(params[-1]["bias"])[None]])
        np.testing.assert_allclose(np.asarray(phi(X)) @ last, values, rtol=1e-12, atol=1e-12)
    assert phi.in_dim == 3


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: LayerNorm(-1.0), ValueError, "eps must be a finite number >= 0"),
        (lambda: Dropout(1.0), ValueError, "rate must be below 1, got 1.0"),
        (lambda: Dropout(-0.1), ValueError, "rate must be a finite number >= 0"),
        (lambda: Dropout("half"), TypeError, "rate must be a real number"),
        (lambda: Parallel(), ValueError, "at least one branch"),
        (lambda: Parallel(Dense(3), relu), TypeError, "Parallel takes layers as branches"),
        (lambda: Residual(), ValueError, "at least one layer"),
        (lambda: Residual(relu), TypeError, "takes layers"),
        (lambda: Parallel(Dense(3), Dense(1)).init(KEY, 3), ValueError, "must have one width, got 3, 1"),
        (lambda: Residual(Dense(1)).init(KEY, 3), ValueError, "must have one width, got 3, 1"),
        (lambda: Residual(Dense(1)).apply(({"weight": jnp.ones((1, 3))},), X), ValueError, "one width, got 3, 1"),
        (lambda: BRANCHES.apply(({}, {}), X), ValueError, "params must be the tuple of 3 branches"),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error, match=says):
        make()


NORM = LayerNorm()


@pytest.mark.parametrize(
    ("layer", "degree", "after"),
    [
        (Dense(3), 1, 1),
        (Dense(3), None, None),
        (Dense(3, 1.0, 0.1), 1, None),
        (Dense(3, 1.0, 0.1), 0, 0),
        (Activation(jnp.tanh), 1, None),
        (Activation(jnp.tanh), 0, 0),
        (ACT, None, None),
        (ACT, 2, 2),
        (Activation(rf.activations.step), 2, 0),
        (NORM, 2, 0),
        (NORM, None, None),
        (LayerNorm(0.1), 1, None),
        (LayerNorm(0.1), 0, 0),
        (Dropout(0.1), 2, 2),
        (Residual(Dense(3)), 1, 1),
        (Residual(Dense(3), NORM), 1, None),
        (Parallel(Serial(Dense(3), NORM), Serial(Dense(4), NORM, Dense(3))), 1, 0),
        (Parallel(Dense(3), Dense(3, 1.0, 0.1)), 1, None),
        (Serial(Dense(3), NORM, Activation(jnp.tanh), Dense(3, 1.0, 0.2)), 1, 0),
        (Repeat(Serial(Dense(3), NORM), 3), 1, 0),
        (Repeat(Serial(Dense(3, 1.0, 0.1), NORM), 3), 1, None),
        (rf.neuron(), 1, None),
    ],
)
def test_homogeneity_is_declared(layer, degree, after):
    assert layer.homogeneity(degree) == after
