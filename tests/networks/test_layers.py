"""Layers and networks as they are drawn and run, against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax import activations
from rfjax.networks import Activation, Dense, Serial, is_network, mlp

X = np.random.default_rng(0).normal(size=(6, 3))
KEY = jax.random.key(0)
apply = jax.jit(lambda net, params, X: net.apply(params, X))


def shapes(net, key, in_dim) -> list[dict[str, tuple[int, ...]]]:
    """Of the parameters that `init` would draw, without drawing them."""
    params = jax.eval_shape(lambda k: net.init(k, in_dim), key)
    return [{name: leaf.shape for name, leaf in layer.items()} for layer in params]


def test_parameters_have_the_declared_shapes():
    net = mlp(depth=2, width=5, out=4, b_std=0.1)
    expected = [
        {"weight": (5, 3), "bias": (5,)},
        {},
        {"weight": (5, 5), "bias": (5,)},
        {},
        {"weight": (4, 5), "bias": (4,)},
    ]
    assert shapes(net, KEY, 3) == expected
    assert shapes(net, KEY, (32, 3)) == expected  # an input shape that ends in the columns
    assert net.width_out(3) == 4
    assert shapes(mlp(depth=1, width=5), KEY, 3) == [{"weight": (5, 3)}, {}, {"weight": (1, 5)}]
    keys = jax.random.split(KEY, 3)
    batched = [{"weight": (3, 5, 3), "bias": (3, 5)}, {}, {"weight": (3, 1, 5), "bias": (3, 1)}]
    assert shapes(mlp(depth=1, width=5, b_std=0.1), keys, 3) == batched


def test_a_vector_of_keys_draws_as_many_networks():
    net = Serial(Dense(3, 1.0, 0.7), Dense(3))
    keys = jax.random.split(KEY, 3)
    together = jax.jit(lambda k: net.init(k, 3))(keys)
    alone = net.init(keys[1], 3)
    jax.tree.map(lambda many, one: np.testing.assert_array_equal(many[1], one), together, alone)
    legacy = net.init(jax.random.PRNGKey(0), 3)  # a raw uint32 key is a key too
    jax.tree.map(np.testing.assert_array_equal, legacy, net.init(KEY, 3))


def test_layers_of_one_network_are_independent_standard_normals():
    params = Serial(*(Dense(50, 1.0, 1.0) for _ in range(3))).init(KEY, 50)
    draws = [np.asarray(layer["weight"]) for layer in params]
    for i, one in enumerate(draws):
        assert abs(one.mean()) < 4.5 / 50
        assert abs(one.std() - 1) < 4.5 / np.sqrt(2) / 50
        for other in draws[i + 1 :]:
            assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4.5 / 50
    biases = [np.asarray(layer["bias"]) for layer in params]
    assert abs(np.concatenate(biases).std() - 1) < 4.5 / np.sqrt(2 * 150)
    assert np.unique(np.concatenate([*biases, *(d.ravel() for d in draws)])).size == 3 * 2550


@pytest.mark.parametrize("b_std", [0.0, 0.7])
@pytest.mark.parametrize("parameterization", ["ntk", "standard", "mean_field", "mup", "mup_readout"])
def test_a_dense_layer_is_its_formula(parameterization, b_std):
    layer = Dense(4, 1.3, b_std, parameterization=parameterization)
    params = layer.init(KEY, 3)
    W, b = np.asarray(params["weight"]), np.asarray(params.get("bias", np.zeros(4)))
    expected = {
        "ntk": 1.3 / np.sqrt(3) * X @ W.T + b_std * b,
        "standard": X @ W.T + b,
        "mean_field": 1.3 / 3 * X @ W.T + b_std * b,
        "mup": 1.3 * np.sqrt(4 / 3) * X @ W.T + b_std * 2 * b,
        "mup_readout": 1.3 / np.sqrt(3) * X @ W.T + b_std * b,
    }[parameterization]
    np.testing.assert_allclose(apply(layer, params, X), expected, rtol=1e-13)
    assert layer.has_bias == (b_std != 0) == ("bias" in params)


def test_standard_parameters_are_the_ntk_ones_times_the_stds():
    ntk, standard = (Dense(3, 1.3, 0.7, parameterization=p).init(KEY, 3) for p in ("ntk", "standard"))
    np.testing.assert_allclose(standard["weight"], 1.3 / np.sqrt(3) * np.asarray(ntk["weight"]), rtol=1e-14)
    np.testing.assert_allclose(standard["bias"], 0.7 * np.asarray(ntk["bias"]), rtol=1e-14)


def test_a_network_is_its_layers_in_a_row(dtype):
    net = mlp(depth=2, width=3, activation=activations.leaky_relu(0.1), w_std=1.2, b_std=0.3, out=3)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), net.init(KEY, 3))
    first, second, last = ({k: np.asarray(v, float) for k, v in params[i].items()} for i in (0, 2, 4))
    h = 1.2 / np.sqrt(3) * X.astype(dtype) @ first["weight"].T + 0.3 * first["bias"]
    h = np.maximum(h, 0.1 * h)
    h = 1.2 / np.sqrt(3) * h @ second["weight"].T + 0.3 * second["bias"]
    h = np.maximum(h, 0.1 * h)
    expected = 1.2 / np.sqrt(3) * h @ last["weight"].T + 0.3 * last["bias"]
    computed = apply(net, params, X.astype(dtype))
    assert computed.dtype == dtype
    assert computed.shape == (6, 3)
    np.testing.assert_allclose(computed, expected, rtol=0, atol=30 * np.finfo(dtype).eps)
    np.testing.assert_allclose(jax.jit(net.hidden)(params, X.astype(dtype)), h, rtol=0, atol=30 * np.finfo(dtype).eps)


def test_last_layer_features_and_their_gradient():
    h = jnp.asarray(X)
    for kind, feature, gradient in (
        ("ntk", np.hstack([1.3 / np.sqrt(3) * X, np.full((6, 1), 0.7)]), None),
        ("standard", np.hstack([1.3 / np.sqrt(3) * X, np.full((6, 1), 0.7)]), np.hstack([X, np.ones((6, 1))])),
        ("mean_field", np.hstack([1.3 / 3 * X, np.full((6, 1), 0.7)]), None),
        (
            "mup",
            np.hstack([1.3 / np.sqrt(3) * X, np.full((6, 1), 0.7)]),
            np.sqrt(2) * np.hstack([1.3 / np.sqrt(3) * X, np.full((6, 1), 0.7)]),
        ),
        (
            "mup_readout",
            np.hstack([1.3 / 3 * X, np.full((6, 1), 0.7)]),
            np.hstack([1.3 / np.sqrt(3) * X, np.full((6, 1), 0.7)]),
        ),
    ):
        layer = Dense(2, 1.3, 0.7, parameterization=kind)
        np.testing.assert_allclose(layer.features(h), feature, rtol=1e-14)
        np.testing.assert_allclose(layer.gradient_features(h), feature if gradient is None else gradient, rtol=1e-14)
    np.testing.assert_allclose(Dense(2, 1.3).features(h), 1.3 / np.sqrt(3) * X, rtol=1e-14)


def test_zero_output_is_the_zero_function_with_its_hidden_layers_kept():
    net = mlp(depth=1, width=3, b_std=0.3, out=3)
    params = net.init(KEY, 3)
    start = net.zero_output(params)
    np.testing.assert_array_equal(apply(net, start, X), 0)
    np.testing.assert_array_equal(start[0]["weight"], params[0]["weight"])
    assert np.any(np.asarray(apply(net, params, X)) != 0)


def test_mean_field_averages_only_the_last_layer():
    # The same weights: mean-field divides by the width where the NTK parameterisation divides by its root.
    ntk, mean_field = (mlp(depth=2, width=3, out=3, parameterization=p) for p in ("ntk", "mean_field"))
    params = ntk.init(KEY, 3)
    np.testing.assert_allclose(apply(mean_field, params, X), apply(ntk, params, X) / np.sqrt(3), rtol=1e-13)


def test_networks_nest_and_a_function_is_an_activation():
    inner = Serial(Dense(3, 1.0, 0.1), Activation(jnp.tanh))
    net = Serial(inner, Dense(3))
    params = net.init(KEY, 3)
    hidden = np.tanh(X @ np.asarray(params[0][0]["weight"]).T / np.sqrt(3) + 0.1 * np.asarray(params[0][0]["bias"]))
    expected = hidden @ np.asarray(params[1]["weight"]).T / np.sqrt(3)
    np.testing.assert_allclose(apply(net, params, X), expected, rtol=1e-13)
    assert is_network(net)
    assert is_network(Dense(1))
    assert not is_network(np.tanh)


NET = mlp(depth=1, width=3, out=3)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Dense(0), ValueError, "width must be at least 1, got 0"),
        (lambda: Dense(2.5), TypeError, "width must be an integer"),
        (lambda: Dense(3, -1.0), ValueError, "w_std"),
        (lambda: Dense(3, np.inf), ValueError, "w_std"),
        (lambda: Dense(3, "large"), TypeError, "w_std"),
        (lambda: Dense(3, 1.0, -0.1), ValueError, "b_std"),
        (lambda: Dense(3, parameterization="mup2"), ValueError, "parameterization must be one of"),
        (lambda: mlp(depth=0, width=3), ValueError, "depth"),
        (lambda: mlp(depth=1, width=0), ValueError, "width"),
        (lambda: mlp(depth=1, width=3, out=0), ValueError, "out"),
        (lambda: mlp(depth=1, width=3, parameterization="nkt"), ValueError, "parameterization"),
        (lambda: mlp(depth=1, width=3, activation="relu"), TypeError, "activation"),
        (lambda: Serial(), ValueError, "at least one layer"),
        (lambda: Serial(Dense(3), jnp.tanh), TypeError, "takes layers"),
        (lambda: NET.init(None, 3), ValueError, "key"),
        (lambda: NET.init(0, 3), TypeError, "key"),
        (lambda: NET.init(KEY, 0), ValueError, "in_dim"),
        (lambda: NET.init(KEY, 3.0), TypeError, "in_dim"),
        (lambda: NET.init(KEY, ()), ValueError, "in_dim"),
        (lambda: NET.apply(NET.init(KEY, 3), jnp.ones((2, 4))), ValueError, "3 columns"),
        (lambda: NET.apply(NET.init(KEY, 3), jnp.ones(3)), ValueError, "X must have shape"),
        (lambda: NET.apply(NET.init(KEY, 3), jnp.ones((2, 3), int)), TypeError, "X must have a floating dtype"),
        (lambda: NET.apply(NET.init(KEY, 3), jnp.full((2, 3), jnp.nan)), ValueError, "X must be finite"),
        (lambda: NET.apply(NET.init(KEY, 3)[:2], jnp.ones((2, 3))), ValueError, "params must be the tuple of 3"),
        (lambda: NET.zero_output({}), ValueError, "params must be the tuple of 3"),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error, match=says):
        make()
