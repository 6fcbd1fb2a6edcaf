"""The linearised model is the first-order Taylor polynomial of the network, in its parameters."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3))
PARAMS = {"in": RNG.normal(size=(3, 4)), "out": RNG.normal(size=4)}
STEP = {"in": RNG.normal(size=(3, 4)), "out": RNG.normal(size=4)}


def network(params, X, xp=jnp):
    return xp.tanh(X @ params["in"]) @ params["out"]


def along(t):
    return {name: PARAMS[name] + t * STEP[name] for name in PARAMS}


LINEAR = rf.linearize(network, PARAMS)


def test_it_is_the_taylor_polynomial():
    values = [network(along(t), X, np) for t in (2e-3, 1e-3, -1e-3, -2e-3)]
    slope = (8 * (values[1] - values[2]) - (values[0] - values[3])) / 12e-3
    np.testing.assert_allclose(LINEAR(PARAMS, X), network(PARAMS, X, np), rtol=1e-13)
    np.testing.assert_allclose(LINEAR(along(1.5), X), network(PARAMS, X, np) + 1.5 * slope, rtol=0, atol=1e-9)


def test_its_error_is_of_second_order():
    gaps = [np.abs(np.asarray(LINEAR(along(t), X)) - network(along(t), X, np)).max() for t in (1e-2, 1e-3)]
    assert 90 < gaps[0] / gaps[1] < 110


def test_its_tangent_kernel_is_that_of_the_network_wherever_it_is():
    expected = rf.empirical_ntk(network, PARAMS)(X, X)
    np.testing.assert_allclose(rf.empirical_ntk(LINEAR, along(1.5))(X, X), expected, rtol=0, atol=1e-12)


def test_networks_linearise_with_their_output_shape():
    net = rf.mlp(depth=1, width=4, out=2)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape)),
        jax.eval_shape(lambda k: net.init(k, 3), jax.random.key(0)),
    )
    assert rf.linearize(net, params)(params, X).shape == (5, 2)
    assert LINEAR(PARAMS, X).shape == (5,)


@pytest.mark.parametrize(
    ("new_params", "points", "says"),
    [
        ({"in": PARAMS["in"]}, X, "new_params"),
        (list(PARAMS.values()), X, "new_params"),
        ({"in": PARAMS["in"], "out": np.ones(1)}, X, "new_params"),  # would broadcast
        (PARAMS, X[0], "X must have shape"),
        (PARAMS, np.full((2, 3), np.nan), "X must be finite"),
    ],
)
def test_bad_input_is_named(new_params, points, says):
    with pytest.raises(ValueError, match=says):
        LINEAR(new_params, points)


def test_higher_orders_are_the_taylor_polynomials():
    # Of a polynomial in its parameters: order 3 is all of it, and each order below differs by the next power alone.
    def cubic(params, X):
        return (X @ params["in"]) ** 2 @ params["out"]

    exact = np.asarray(cubic(along(1.5), X))
    np.testing.assert_allclose(rf.linearize(cubic, PARAMS, order=3)(along(1.5), X), exact, rtol=1e-12)
    for order in (1, 2):
        model = rf.linearize(cubic, PARAMS, order=order)
        gaps = [np.asarray(model(along(t), X)) - np.asarray(cubic(along(t), X)) for t in (1.0, -1.0, 0.5, -0.5)]
        both = {1: [a + b for a, b in (gaps[:2], gaps[2:])], 2: [a - b for a, b in (gaps[:2], gaps[2:])]}[order]
        np.testing.assert_allclose(both[0], 2 ** (order + 1) * both[1], rtol=1e-9)


def test_the_linearised_model_is_solved_by_ridge_on_tangent_features():
    y = np.sin(X[:, 0])
    fit = rf.ridge_regression(
        rf.tangent_features(network, PARAMS), X, y, ridge=1e-3, start=lambda x: network(PARAMS, x)
    )
    flat, unravel = jax.flatten_util.ravel_pytree(PARAMS)
    moved = unravel(flat + fit.coefficients)
    np.testing.assert_allclose(LINEAR(moved, X), fit(X), rtol=0, atol=1e-11)


def test_an_order_below_one_is_refused():
    with pytest.raises(ValueError, match="order must be at least 1"):
        rf.linearize(network, PARAMS, order=0)
