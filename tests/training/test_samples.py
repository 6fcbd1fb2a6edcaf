"""Training on samples against loops written by hand: in NumPy with its own gradients, and with optax step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(12, 3)), RNG.normal(size=(4, 3))
Y = RNG.normal(size=(12, 2))
KEY = jax.random.key(0)
SGD = optax.sgd(0.1)
NET = rf.mlp(depth=1, width=5, w_std=1.3, b_std=0.3)
STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_draws_whatever_ran_before():
    RNG.bit_generator.state = STATE


def tanh(params, X):
    return jnp.tanh(X @ params["in"]) @ params["out"]


def linear(params, X):
    return X @ params


def draw(*shape):
    return jnp.asarray(RNG.normal(size=shape))


def step(params, X, y, rate):
    """One step of gradient descent on ½·mean(f − y)² for NET, and the loss before it."""
    (W, b), (v, c) = params
    gain = 1.3 / 3**0.5, 1.3 / 5**0.5
    z = gain[0] * X @ W.T + 0.3 * b
    h = np.maximum(z, 0)
    error = gain[1] * h @ v + 0.3 * c - y
    back = gain[1] * np.outer(error, v) * (z > 0) / len(y)
    slopes = (gain[0] * back.T @ X, 0.3 * back.sum(0)), (gain[1] * h.T @ error / len(y), 0.3 * error.mean())
    moved = tuple(tuple(p - rate * g for p, g in zip(*pair, strict=True)) for pair in zip(params, slopes, strict=True))
    return moved, (error**2).mean() / 2


def test_full_batch_descent_is_the_loop_in_numpy():
    params = NET.init(KEY, 3)
    run = rf.train(NET, (X, Y[:, 0]), optimizer=SGD, steps=20, key=KEY, record=6)
    by_hand = tuple((np.asarray(p["weight"]), np.asarray(p["bias"])) for p in (params[0], params[2]))
    by_hand = by_hand[0], (by_hand[1][0][0], by_hand[1][1][0])
    losses = []
    for _ in range(21):
        last = by_hand
        by_hand, loss = step(by_hand, X, Y[:, 0], 0.1)
        losses.append(loss)
    np.testing.assert_array_equal(run.history.steps, [0, 6, 12, 18, 20])
    np.testing.assert_allclose(run.history.loss, np.array(losses)[[0, 6, 12, 18, 20]], rtol=1e-12)
    for layer, (weight, bias) in zip((run.params[0], run.params[2]), last, strict=True):
        np.testing.assert_allclose(np.squeeze(layer["weight"]), weight, rtol=1e-11)
        np.testing.assert_allclose(np.squeeze(layer["bias"]), bias, rtol=1e-11)
    assert run(Z).shape == (4,)
    np.testing.assert_allclose(run(Z), NET.apply(run.params, jnp.asarray(Z))[:, 0], rtol=1e-13)
    assert int(run.steps) == 20
    assert not bool(run.diverged)
    assert run.history.risk is None
    assert run.history.metrics == {}


def absolute(predictions, y):
    return jnp.abs(predictions - y).mean()


@pytest.mark.parametrize("name", ["adamw", "polyak_sgd"])
def test_any_optimiser_and_loss_is_the_loop_in_optax(name):
    # adamw wants the parameters, polyak_sgd the value of the loss; optax itself relies on the usual dtype promotion.
    optimizer = optax.adamw(0.05) if name == "adamw" else optax.polyak_sgd(0.3)
    params = {"in": draw(3, 4), "out": draw(4, 2)}
    with jax.numpy_dtype_promotion("standard"):
        run = rf.train(tanh, (X, Y), optimizer=optimizer, steps=15, params=params, loss=absolute, record=15)

    @jax.jit
    def update(params, state):
        value, slope = jax.value_and_grad(lambda p: absolute(tanh(p, X), Y))(params)
        arguments = {"value": value} if name == "polyak_sgd" else {}
        change, state = optimizer.update(slope, state, params, **arguments)
        return optax.apply_updates(params, change), state

    with jax.numpy_dtype_promotion("standard"):
        state = optimizer.init(params)
        for _ in range(15):
            params, state = update(params, state)
    jax.tree.map(lambda got, expected: np.testing.assert_allclose(got, expected, rtol=1e-10), run.params, params)
    assert float(run.history.loss[-1]) == pytest.approx(np.abs(np.asarray(tanh(params, X)) - Y).mean(), rel=1e-10)


@pytest.mark.parametrize(("y", "width"), [(Y[:, :1], 1), (Y, 2)])
def test_predictions_have_the_trailing_shape_of_y(y, width):
    run = rf.train(linear, (X, y), optimizer=SGD, steps=3000, params=draw(3, width), record=3000)
    assert run(Z).shape == (4, width)
    # The loss sums over outputs and averages over points: its minimum is least squares.
    best = np.linalg.lstsq(X, y)[0]
    np.testing.assert_allclose(run(Z), Z @ best, rtol=0, atol=1e-9)
    assert float(run.history.loss[-1]) == pytest.approx(((X @ best - y) ** 2).sum() / 24, rel=1e-9)


def test_a_vector_output_counts_as_a_column_where_y_is_one():
    column = rf.train(linear, (X, Y[:, :1]), optimizer=SGD, steps=3, params=jnp.zeros(3), record=3)
    vector = rf.train(linear, (X, Y[:, 0]), optimizer=SGD, steps=3, params=jnp.zeros(3), record=3)
    assert (column(Z).shape, vector(Z).shape) == ((4, 1), (4,))
    np.testing.assert_array_equal(column.params, vector.params)


def test_several_seeds_are_as_many_runs():
    keys, settings = jax.random.split(KEY, 3), {"optimizer": SGD, "steps": 8, "batch_size": 4, "record": 4}
    together = rf.train(rf.neuron(), (X, Y[:, 0]), key=keys, **settings)
    assert together(Z).shape == (3, 4)
    assert together.history.loss.shape == (3, 3)
    assert together.steps.shape == together.diverged.shape == (3,)
    for seed, key in enumerate(keys):
        alone = rf.train(rf.neuron(), (X, Y[:, 0]), key=key, **settings)
        np.testing.assert_allclose(together(Z)[seed], alone(Z), rtol=1e-11)
        np.testing.assert_allclose(together.history.loss[seed], alone.history.loss, rtol=1e-11)
        for name in ("weight", "bias"):
            np.testing.assert_allclose(together.params[name][seed], alone.params[name], rtol=1e-11)
    assert len(np.unique(together.history.loss[:, -1])) == 3


def test_seeds_with_given_parameters_and_several_outputs():
    starts = draw(2, 3, 2)
    keys = jax.random.split(KEY, 2)
    run = rf.train(linear, (X, Y), optimizer=SGD, steps=1, key=keys, params=starts, record=1)
    expected = starts - 0.1 * np.einsum("nd,snc->sdc", X, X @ np.asarray(starts) - Y) / 12
    np.testing.assert_allclose(run.params, expected, rtol=1e-12)
    np.testing.assert_allclose(run(Z), Z @ expected, rtol=1e-11)
    assert run(Z).shape == (2, 4, 2)


def product(predictions, y):
    """A loss linear in the parameters of `linear`: each step adds the batch mean of x·y, whatever came before."""
    return -(predictions * y).mean()


def test_batches_are_drawn_uniformly_and_afresh_each_step(monte_carlo):
    seeds, steps, size, y = 400, 4, 3, Y[:, 0]
    keys = jax.random.split(KEY, seeds)
    run = rf.train(
        linear,
        (X, y),
        optimizer=optax.sgd(1.0),
        steps=steps,
        key=keys,
        params=jnp.zeros((seeds, 3)),
        batch_size=size,
        loss=product,
        record=steps,
    )
    terms = X * y[:, None]
    monte_carlo(run.params, steps * terms.mean(0), resolution=0.1, scale=np.abs(steps * terms).max())
    # Rows with replacement, independent from step to step and seed to seed: variances add.
    expected = steps * terms.var(axis=0) / size
    ratio = np.asarray(run.params).var(axis=0, ddof=1) / expected
    assert (np.abs(ratio - 1) < 4.5 * (2 / seeds) ** 0.5 * 1.3).all()
    # The history reports the loss on all samples.
    np.testing.assert_allclose(run.history.loss[:, -1], -np.asarray(run.params) @ terms.mean(0), rtol=0, atol=1e-12)


def test_float32_stays_float32():
    low = {"in": draw(3, 4).astype(np.float32), "out": draw(4).astype(np.float32)}
    run = rf.train(
        tanh, (X.astype(np.float32), Y[:, 0].astype(np.float32)), optimizer=SGD, steps=5, params=low, record=5
    )
    assert run.params["in"].dtype == run.history.loss.dtype == run(Z.astype(np.float32)).dtype == np.float32


def test_networks_drawn_for_float32_data_are_float32():
    # As kernels and features are: dtype follows the data, with float64 switched on too.
    run = rf.train(NET, (X.astype(np.float32), Y[:, 0].astype(np.float32)), optimizer=SGD, steps=5, key=KEY, record=5)
    assert run.params[0]["weight"].dtype == run.history.loss.dtype == np.float32


def test_it_compiles_and_maps():
    def final(y, start):
        return rf.train(linear, (X, y), optimizer=SGD, steps=4, params=start, record=2)

    start = draw(3)
    runs = jax.jit(jax.vmap(final, (0, None)))(Y.T, start)
    for output in range(2):
        alone = final(Y[:, output], start)
        np.testing.assert_allclose(runs.params[output], alone.params, rtol=1e-12)
        np.testing.assert_allclose(runs.history.loss[output], alone.history.loss, rtol=1e-12)
