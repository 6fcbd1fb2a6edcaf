"""One code for all parameterisations: their draws, their learning rates, and what a sweep over widths shows of each."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 3))
Y = np.sin(2 * X[:, 0])
KEY = jax.random.key(0)


@pytest.mark.parametrize("name", ["mup", "mup_readout"])
def test_weights_have_the_stated_spread(name):
    layer = rf.Dense(400, 1.3, 0.7, parameterization=name)
    params = layer.init(KEY, 100)
    W, b = np.asarray(params["weight"]), np.asarray(params["bias"])
    spread = {"mup": (1 / 20, 1 / 20), "mup_readout": (1 / 10, 1.0)}[name]
    for draw, std in zip((W, b), spread, strict=True):
        assert abs(draw.std() / std - 1) < 4.5 / (2 * draw.size) ** 0.5


def test_maximal_update_is_one_rate_a_layer():
    # On the matrices that multiply, a step of rate η is a step of rate η·w_std²·(n/d, 1, 1/n): Yang & Hu 2021.
    n, rate, w_std = 6, 0.3, 1.2
    net = rf.mlp(depth=2, width=n, activation=jnp.tanh, w_std=w_std, parameterization="mup")
    params = net.init(KEY, 3)
    run = rf.train(net, (X, Y), optimizer=optax.sgd(rate), steps=1, params=params, record=1)
    factors = w_std * np.array([np.sqrt(n / 3), 1.0, np.sqrt(1 / n)])

    def plain(matrices):
        h = jnp.tanh(X @ matrices[0].T)
        f = (jnp.tanh(h @ matrices[1].T) @ matrices[2].T)[:, 0]
        return ((f - Y) ** 2).mean() / 2

    before, after = (
        [a * np.asarray(layer["weight"]) for a, layer in zip(factors, values[::2], strict=True)]
        for values in (params, run.params)
    )
    slopes = jax.grad(plain)([jnp.asarray(matrix) for matrix in before])
    for a, old, new, slope in zip(w_std**2 * np.array([n / 3, 1, 1 / n]), before, after, slopes, strict=True):
        np.testing.assert_allclose(new, old - rate * a * np.asarray(slope), rtol=0, atol=1e-14)


def test_one_hidden_layer_of_maximal_update_is_mean_field_at_rate_times_width():
    n = 8
    nets = {p: rf.mlp(depth=1, width=n, w_std=1.3, parameterization=p) for p in ("mean_field", "mup")}
    start = nets["mean_field"].init(KEY, 3)
    small = jax.tree.map(lambda leaf: leaf / n**0.5, start)  # both layers' weights, as mup draws them
    runs = {
        p: rf.train(net, (X, Y), optimizer=optax.sgd(rate), steps=20, params=params, record=10)
        for (p, net), rate, params in zip(nets.items(), (0.2 * n, 0.2), (start, small), strict=True)
    }
    np.testing.assert_allclose(runs["mup"].history.loss, runs["mean_field"].history.loss, rtol=1e-11)
    np.testing.assert_allclose(runs["mup"](X), runs["mean_field"](X), rtol=1e-10)


def movement(name: str, n: int) -> tuple[float, float]:
    """How far units move, relative to their start, and the share of the loss that is left after 30 steps of one rate."""
    net = rf.mlp(depth=1, width=n, activation=rf.activations.erf, parameterization=name)
    params = net.init(jax.random.split(KEY, 4), 3)
    run = rf.train(
        net, (X, Y), optimizer=optax.sgd(0.5), steps=30, params=params, key=jax.random.split(KEY, 4), record=30
    )
    before, after = (jax.vmap(lambda p: net.hidden(p, jnp.asarray(X)))(p) for p in (params, run.params))
    moved = jnp.linalg.norm(after - before, axis=(1, 2)) / jnp.linalg.norm(before, axis=(1, 2))
    return float(moved.mean()), float((run.history.loss[:, -1] / run.history.loss[:, 0]).mean())


@pytest.mark.slow
def test_a_sweep_over_widths_tells_lazy_from_feature_learning():
    # One learning rate for all widths: NTK units move as 1/√n and the loss falls all the same; mup units move O(1);
    # mean-field networks, whose rate would have to grow with n, come to a stand.
    narrow, wide = 32, 2048
    moves = {p: [movement(p, n) for n in (narrow, wide)] for p in ("ntk", "mup", "mean_field")}
    ratio = {p: moves[p][0][0] / moves[p][1][0] for p in moves}
    assert 0.7 * 8 < ratio["ntk"] < 1.4 * 8  # √(2048/32) = 8
    assert 0.7 < ratio["mup"] < 1.4
    assert moves["mup"][1][0] > 5 * moves["ntk"][1][0]
    assert moves["ntk"][1][1] < 0.8
    assert moves["mup"][1][1] < 0.8
    assert moves["mean_field"][1][1] > 0.95
