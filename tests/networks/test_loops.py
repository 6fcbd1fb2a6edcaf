"""Repeat, and the loops that Serial finds by itself: the values of the layers one by one, in a program that stays small."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax.activations import abs as absolute
from rfjax.activations import relu
from rfjax.networks import Activation, Dense, Dropout, LayerNorm, Repeat, Residual, Serial, mlp
from rfjax.networks.serial import _runs

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(5, 3))
ACT = Activation(relu)
BLOCK = Serial(Residual(LayerNorm(), ACT, Dropout(0.2), Dense(6, 0.9, 0.3)), LayerNorm())


def one_by_one(layers, state):
    for layer in layers:
        state = layer._propagate(state)
    return state


@pytest.mark.parametrize(
    ("sequence", "runs"),
    [
        ("a", [(0, 1, 1)]),
        ("aa", [(0, 1, 1), (1, 1, 1)]),
        ("aaa", [(0, 1, 3)]),
        ("ababababc", [(0, 2, 4), (8, 1, 1)]),
        ("abababab" + "a" + "cccc", [(0, 2, 4), (8, 1, 1), (9, 1, 4)]),
        ("xabcabcabcabcab", [(0, 1, 1), (1, 3, 4), (13, 1, 1), (14, 1, 1)]),
        ("aabaabaabaab", [(0, 3, 4)]),
        ("aaaabaaaabaaaabaaaab", [(0, 5, 4)]),
        ("aaaaaaaa", [(0, 1, 8)]),
    ],
)
def test_repetitions_are_found(sequence, runs):
    assert list(_runs(sequence, 2)) == runs


@pytest.mark.slow
def test_repeat_is_serial_of_the_same_layers():
    net = Serial(Dense(6), Repeat(BLOCK, 5), Dense(2))
    flat = Serial(Dense(6), *[BLOCK] * 5, Dense(2))

    @jax.jit
    def both(key, X):
        params = net.init(key, 3)
        parts = [jax.tree.map(lambda leaf: leaf[i], params[1]) for i in range(5)]  # noqa: B023
        keys = jax.random.split(jax.random.split(key, 3)[1], 5)
        h = net.layers[0].apply(params[0], X)
        for own, k in zip(parts, keys, strict=True):
            h = BLOCK.apply(own, h, key=k)
        trained = net.layers[2].apply(params[2], h)
        again = flat.apply((params[0], *parts, params[2]), X)
        return params, net.apply(params, X), again, net.apply(params, X, key=key), trained

    params, once, again, dropped, trained = both(KEY, X)
    assert once.shape == (5, 2) and net.width_out(3) == 2
    np.testing.assert_allclose(once, again, rtol=1e-13)
    np.testing.assert_allclose(dropped, trained, rtol=1e-13)
    weights = params[1][0][3]["weight"]
    assert weights.shape == (5, 6, 6)
    assert np.unique(weights).size == 5 * 36  # each its own
    keys = jax.random.split(KEY, 2)
    batched = jax.eval_shape(lambda k: Repeat(Dense(3), 4).init(k, 3), keys)
    assert batched["weight"].shape == (2, 4, 3, 3)


def layers(scale) -> list:
    """Every layer with numbers of its own, some traced and some without a dtype; the first period changes the width."""
    blocks = [
        [Dense(9, w * scale, 1 - w, parameterization="standard"), LayerNorm(w), ACT] for w in (0.7, 0.9, 0.8, 0.6)
    ]
    return [*(layer for block in blocks for layer in block), *[Dense(9, 1.1), ACT] * 4, Dense(1)]


@pytest.mark.slow
def test_loops_are_the_layers_one_by_one(pairs_of):
    def after(run, state, scale):
        state = run(layers(scale), state)
        return state.ntk.sum(), state

    def loops(layers, state):
        return Serial(*layers).propagate(state)

    @jax.jit
    def both(scales, state):
        looped = jax.value_and_grad(partial(after, loops, state), has_aux=True)(scales[1])
        return looped, jax.vmap(partial(after, one_by_one, state))(scales)

    step = 1e-4
    ((_, looped), slope), (sums, single) = both(0.9 + step * jnp.linspace(-1, 1, 3), pairs_of(X[:3]))
    np.testing.assert_allclose(slope, (sums[2] - sums[0]) / (2 * step), rtol=1e-6)
    assert jax.tree.structure(looped) == jax.tree.structure(single)
    for one, other in zip(jax.tree.leaves(looped), jax.tree.leaves(single), strict=True):
        np.testing.assert_allclose(one, other[1], rtol=1e-12, atol=1e-14)


def test_loops_keep_the_dtype(dtype, pairs_of):
    @jax.jit
    def after(scale, state):
        return Serial(*layers(scale), Repeat(Serial(ACT, Dense(3)), 4)).propagate(state)

    state = jax.eval_shape(after, jnp.asarray(0.9, dtype), pairs_of(X.astype(dtype)))
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {dtype}


def test_programs_do_not_grow(pairs_of):
    state = pairs_of(X)

    def roots(net) -> tuple[int, int]:
        text = jax.jit(lambda net, state: net.propagate(state)).lower(net, state).as_text()
        return text.count("atan2"), len(text.splitlines())

    def run(net) -> int:
        params = jax.eval_shape(lambda: net.init(KEY, 6))
        return len(jax.jit(lambda p, x: net.apply(p, x)).lower(params, jnp.ones((2, 6))).as_text().splitlines())

    def deep(depth):
        return mlp(depth=depth, width=6, activation=absolute, b_std=0.1)

    repeats = [Serial(Dense(6), Repeat(BLOCK, times)) for times in (4, 64)]
    assert roots(repeats[0]) == roots(repeats[1])
    assert roots(deep(5))[0] == roots(deep(50))[0] == 2 * roots(deep(1))[0]
    blocks = [Repeat(BLOCK, times) for times in (4, 64)]
    assert run(blocks[0]) == run(blocks[1])


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Repeat(relu, 2), TypeError, "Repeat takes a layer"),
        (lambda: Repeat(Dense(3), 0), ValueError, "times must be at least 1"),
        (lambda: Repeat(Dense(3), 2.0), TypeError, "times must be an integer"),
        (lambda: Repeat(Dense(3), 2).init(KEY, 4), ValueError, "keeps the width: it makes 3 columns of 4"),
        (lambda: Repeat(Dense(3), 2).apply({"weight": jnp.ones((3, 3, 3))}, X), ValueError, "leading axis of 2"),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error, match=says):
        make()
