"""LayerNorm, Dropout, sums and repetitions at infinite width: wide finite networks, and the textbook recursion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.activations import erf, relu, step
from rfjax.networks import Activation, Dense, Dropout, LayerNorm, Parallel, Repeat, Residual, Serial

X = np.array([[1.0, 0.5], [-0.3, 0.8], [1.9, 1.1]])
WIDTH, OUT, SEEDS = 128, 16, 600
ACT = Activation(relu)


def dense(w_std, b_std=0.0, width=WIDTH):
    return Dense(width, w_std, b_std)


FINITE = {
    "layer norm": Serial(dense(1.3, 0.4), LayerNorm(), ACT, dense(1.2, 0.3), LayerNorm(0.1), ACT, dense(0.9, 0.2, OUT)),
    "sums": Serial(
        dense(1.1, 0.3),
        Residual(ACT, dense(0.8, 0.2)),
        Parallel(dense(0.7), Serial(LayerNorm(), ACT, dense(1.0)), Serial(ACT)),
        dense(1.0, 0.1, OUT),
    ),
    "dropout": Serial(dense(1.3, 0.4), ACT, Dropout(0.3), dense(1.2, 0.1), ACT, Dropout(0.5), dense(0.9, 0.2, OUT)),
}


@pytest.fixture(scope="module")
def finite():
    """Of SEEDS networks in training: f(X)f(X)ᵀ a unit and the Jacobian's Gram matrix, for each network."""

    rng, points = np.random.default_rng(2), jnp.asarray(X, jnp.float32)

    def draw(net):  # faster than `init`, whose law it is
        shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), 2))
        return jax.tree.map(lambda leaf: rng.standard_normal((SEEDS, *leaf.shape), np.float32), shapes)

    def one(drawn):
        key, params = drawn

        def both(net, params):
            values, back = jax.vjp(lambda p: net.apply(p, points, key=key), params)
            rows = jnp.eye(3, dtype=points.dtype)[:, :, None] * jnp.eye(1, OUT, dtype=points.dtype)
            leaves = jax.tree.leaves(jax.vmap(back)(rows))
            jacobian = jnp.concatenate([leaf.reshape(3, -1) for leaf in leaves], axis=1)
            return values @ values.T / OUT, jacobian @ jacobian.T

        return {name: both(net, params[name]) for name, net in FINITE.items()}

    draws = jax.random.split(jax.random.key(1), SEEDS), {name: draw(net) for name, net in FINITE.items()}
    return jax.tree.map(np.asarray, jax.jit(lambda draws: jax.lax.map(one, draws, batch_size=16))(draws))


@pytest.fixture(scope="module")
def infinite(limits):
    return limits(FINITE, X)


@pytest.mark.slow
@pytest.mark.parametrize("name", FINITE)
def test_wide_finite_networks_have_these_moments(name, finite, infinite, monte_carlo):
    for draws, limit, resolution in zip(finite[name], infinite[name], (0.03, 0.015), strict=True):
        monte_carlo(draws, limit, resolution=resolution)


def standard(width, w_std, b_std=0.0):
    return Dense(width, w_std, b_std, parameterization="standard")


# name: the network, and the same in the textbook recursion
CLOSED_FORMS = {
    "layer norm": (
        Serial(dense(1.3, 0.4), LayerNorm(), ACT, dense(1.2, 0.3), LayerNorm(0.1), ACT, dense(0.9)),
        lambda t: t.dense(1.3, 0.4).norm().relu().dense(1.2, 0.3).norm(0.1).relu().dense(0.9),
    ),
    "residual": (
        Serial(dense(1.3), Residual(LayerNorm(), ACT, dense(0.7, 0.2)), ACT, dense(1.1)),
        lambda t: (t.dense(1.3) + t.dense(1.3).norm().relu().dense(0.7, 0.2)).relu().dense(1.1),
    ),
    "residual of the inputs": (
        Serial(Residual(dense(0.7, 0.2, 2)), dense(1.1), ACT, dense(1.0)),
        lambda t: (t + t.dense(0.7, 0.2)).dense(1.1).relu().dense(1.0),
    ),
    "nested sums": (
        Serial(dense(1.3), Parallel(Residual(ACT, dense(0.5)), Parallel(dense(0.7), dense(0.4, 0.1))), LayerNorm()),
        lambda t: (
            t.dense(1.3) + t.dense(1.3).relu().dense(0.5) + t.dense(1.3).dense(0.7) + t.dense(1.3).dense(0.4, 0.1)
        ).norm(),
    ),
    "standard": (
        Serial(standard(7, 1.3, 0.2), Residual(ACT, standard(7, 0.7)), LayerNorm(), standard(5, 1.1, 0.3)),
        lambda t: (
            (t.dense(1.3, 0.2, fan_in=2) + t.dense(1.3, 0.2, fan_in=2).relu().dense(0.7, fan_in=7))
            .norm()
            .dense(1.1, 0.3, fan_in=7)
        ),
    ),
    "standard, inputs added": (
        Serial(Residual(standard(2, 0.7)), standard(5, 1.1)),
        lambda t: (t + t.dense(0.7, fan_in=2)).dense(1.1, fan_in=2),
    ),
    "dropout": (
        Serial(dense(1.3), ACT, Dropout(0.3), dense(1.2, 0.1), ACT, Dropout(0.5), dense(0.9, 0.2)),
        lambda t: t.dense(1.3).relu().drop(0.3).dense(1.2, 0.1).relu().drop(0.5).dense(0.9, 0.2),
    ),
    "dropout of nothing": (Serial(dense(1.3), ACT, Dropout(0.0), dense(1.2)), lambda t: t.dense(1.3).relu().dense(1.2)),
    "dropout in a branch": (
        Serial(dense(1.3), Parallel(Serial(dense(0.8), Dropout(0.2)), ACT), dense(1.2)),
        lambda t: (t.dense(1.3).dense(0.8).drop(0.2) + t.dense(1.3).relu()).dense(1.2),
    ),
    "repeat": (
        Serial(dense(1.3), Repeat(Residual(ACT, dense(0.7, 0.2)), 2), Repeat(Serial(ACT, dense(1.1)), 1)),
        lambda t: [t := t.dense(1.3), *(t := t + t.relu().dense(0.7, 0.2) for _ in range(2)), t.relu().dense(1.1)][-1],
    ),
}


@pytest.fixture(scope="module")
def closed_form_limits(limits):
    return limits({name: net for name, (net, _) in CLOSED_FORMS.items()}, X)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_limits_are_the_textbook_recursion(name, closed_form_limits, textbook):
    expected = CLOSED_FORMS[name][1](textbook.of(X))
    np.testing.assert_allclose(closed_form_limits[name][0], expected.K, rtol=1e-12)
    np.testing.assert_allclose(closed_form_limits[name][1], expected.T, rtol=1e-12)


def test_layer_norm_forgets_length_and_a_zero_row_is_zero(limits):
    Z = np.array([[1.0, 0.5], [100.0, 50.0], [0.0, 0.0]])
    nngp, ntk = limits({"": Serial(dense(1.3), LayerNorm())}, Z)[""]
    np.testing.assert_allclose(nngp, [[1, 1, 0], [1, 1, 0], [0, 0, 0]], rtol=1e-14)
    np.testing.assert_allclose(ntk, nngp, rtol=1e-14)


NO_LIMIT = {
    "activation of inputs": (ACT, "Activation has no infinite-width limit .* after a Dense layer"),
    "activation twice": (Serial(dense(1.0), ACT, ACT), "Activation has no infinite-width limit"),
    "activation of raw sums": (Serial(Residual(dense(1.0, width=2)), ACT), "Activation has no infinite-width limit"),
    "norm of inputs": (LayerNorm(), "LayerNorm has no infinite-width limit .* after a Dense layer"),
    "norm of an activation": (Serial(dense(1.0), ACT, LayerNorm()), "LayerNorm has no infinite-width limit"),
    "norm of dropout": (Serial(dense(1.0), Dropout(0.1), LayerNorm()), "LayerNorm has no infinite-width limit"),
    "dropout of inputs": (Dropout(0.1), "Dropout of the inputs has no infinite-width limit"),
    "dependent": (
        Serial(dense(1.0), Parallel(ACT, dense(1.0), Serial(dense(1.0), ACT))),
        r"all but one must end in a Dense layer .*branches \[0, 2\]",
    ),
    "dependent residual": (Serial(dense(1.0), Residual(dense(1.0), ACT)), "put the Activation first"),
    "residual in a sum": (Serial(dense(1.0), Parallel(Residual(dense(1.0)), ACT)), r"branches \[0, 1\]"),
    "widths": (Parallel(dense(1.0, width=4), dense(1.0, width=5)), "branches .* must have one width, got 4, 5"),
    "residual width": (Serial(dense(1.0, width=4), Residual(dense(1.0, width=5))), "one width, got 4, 5"),
    "mean field": (Repeat(Dense(3, parameterization="mean_field"), 2), "mean_field network has no NNGP"),
}


@pytest.mark.parametrize(("net", "says"), NO_LIMIT.values(), ids=NO_LIMIT)
def test_networks_without_this_limit_say_so(net, says, pairs_of):
    with pytest.raises(ValueError, match=says):
        jax.eval_shape(net.propagate, pairs_of(X))


INDEPENDENT = {
    "residual after new weights": Residual(Serial(dense(1.0), Residual(ACT, dense(1.0)))),
    "normalised and dropped": Residual(Serial(dense(1.0), LayerNorm(), Dropout(0.1))),
    "repeated": Residual(Serial(ACT, Repeat(dense(1.0), 3))),
    "sum of new weights": Residual(Parallel(dense(1.0), Serial(ACT, dense(1.0)))),
}


@pytest.mark.parametrize("layer", INDEPENDENT.values(), ids=INDEPENDENT)
def test_branches_that_end_in_new_weights_are_independent(layer, pairs_of):
    jax.eval_shape(Serial(dense(1.0), layer).propagate, pairs_of(X))


HOMOGENEOUS = {
    "relu": (Serial(dense(1.3), Residual(ACT, Dropout(0.2), dense(0.7)), ACT, dense(1.1)), 1),
    "norm": (Serial(dense(1.3), LayerNorm(), Activation(erf), dense(1.1, 0.3)), 0),
    "step": (Serial(standard(9, 1.3), Parallel(dense(0.8), dense(0.3)), Activation(step), standard(9, 1.1, 0.3)), 0),
}


@pytest.mark.slow
def test_declared_degrees_are_the_degrees(limits):
    lengths = np.array([2.0, 0.1, 3.0])
    networks = {name: net for name, (net, _) in HOMOGENEOUS.items()}
    before, after = limits(networks, X), limits(networks, lengths[:, None] * X)
    for name, (net, degree) in HOMOGENEOUS.items():
        assert net.homogeneity(1) == degree
        for one, other in zip(before[name], after[name], strict=True):
            np.testing.assert_allclose(other, one * np.outer(lengths, lengths) ** degree, rtol=1e-11)


def test_sums_and_norms_keep_small_angles_in_float32(pairs_of):
    # Pairs 1e-6…1e-2 apart, of one length or nearly: `below`, and so the next layer's kernel, keeps its digits.
    apart = np.logspace(-6, -2, 5)
    Z = np.concatenate([[[1.3, 0.4]], np.stack([1.3 - 0.4 * apart, 0.4 + 1.3 * apart], axis=1), [[1.3001, 0.4]]])
    net = Serial(dense(1.3), Residual(LayerNorm(), ACT, Dropout(0.0), dense(0.7, 0.2)), LayerNorm(), ACT, dense(1.1))

    def below(dtype):
        state = pairs_of(Z)
        state = jax.tree.map(lambda leaf: leaf.astype(jnp.float32).astype(dtype), state)
        return np.asarray(jax.jit(net.propagate)(state).covariance.below, float)

    low, high = below(jnp.float32), below(jnp.float64)
    exact = high[0, 1:6]
    assert (exact > 0).all() and exact[0] < 1e-10
    np.testing.assert_allclose(low[0, 1:6], exact, rtol=2e-4)


@pytest.mark.slow
def test_derivatives_are_finite_at_degenerate_pairs_and_right_elsewhere():
    net = Serial(dense(1.3), LayerNorm(), Residual(ACT, Dropout(0.3), dense(0.7, 0.1)), dense(1.1))
    points = np.concatenate([X, -X[:1], np.zeros((1, 2)), X[1:2] + 1e-9])
    away = np.array([[0.4, -1.3], [2.0, 0.1], [-0.6, -0.7], [0.0, 1.0], [1.5, 1.5], [-2.0, 0.4]])
    move, step = np.array([0.6, -0.8]), 1e-5

    def total(Y):
        return rf.ntk(net)(Y, jnp.asarray(X)).sum(axis=1)

    slope = jax.jit(jax.grad(lambda Y: total(Y).sum()))
    assert np.isfinite(slope(points)).all()
    difference = (total(away + step * move) - total(away - step * move)) / (2 * step)
    np.testing.assert_allclose(slope(away) @ move, difference, rtol=1e-6, atol=1e-8)
