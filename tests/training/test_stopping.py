"""Early stopping on held-out data, clipping and schedules: against loops written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(6, 8)), RNG.normal(size=(50, 8))
W = RNG.normal(size=8)
Y, Y_VAL = X @ W + RNG.normal(size=6), Z @ W
START = jnp.zeros(8)


def linear(params, X):
    return X @ params


def by_hand(steps, rate=0.1):
    """Parameters and validation losses of gradient descent on ½·mean(f − y)², step by step."""
    path = [np.zeros(8)]
    for _ in range(steps):
        path.append(path[-1] - rate * X.T @ (X @ path[-1] - Y) / 6)
    return path, [((Z @ w - Y_VAL) ** 2).mean() / 2 for w in path]


def test_patience_stops_and_returns_the_best():
    path, losses = by_hand(600)
    every, patience = 5, 4
    recorded = losses[::every]
    best = next(i for i in range(len(recorded)) if min(recorded[i + 1 : i + 1 + patience]) >= recorded[i])
    assert 3 < best < 100  # it overfits later, and not at once
    run = rf.train(
        linear, (X, Y), optimizer=optax.sgd(0.1), steps=600, params=START, record=every, validation=(Z, Y_VAL),
        patience=patience,
    )  # fmt: skip
    np.testing.assert_array_equal(run.history.steps, every * np.arange(best + patience + 1))
    np.testing.assert_allclose(run.history.validation, recorded[: best + patience + 1], rtol=1e-11)
    assert int(run.steps) == every * best
    np.testing.assert_allclose(run.params, path[every * best], rtol=1e-10)
    assert "validation" in run.history.table()


def test_without_patience_the_validation_loss_is_recorded_and_nothing_stops():
    path, losses = by_hand(20)
    run = rf.train(linear, (X, Y), optimizer=optax.sgd(0.1), steps=20, params=START, record=5, validation=(Z, Y_VAL))
    np.testing.assert_allclose(run.history.validation, losses[::5], rtol=1e-12)
    np.testing.assert_allclose(run.params, path[-1], rtol=1e-11)


def test_clipping_and_schedules_are_those_of_optax():
    most, decay = 0.05, optax.linear_schedule(0.4, 0.0, 10)
    run = rf.train(
        linear, (X, Y), optimizer=optax.chain(optax.clip_by_global_norm(most), optax.sgd(decay)), steps=10, params=START
    )
    w = np.zeros(8)
    for t in range(10):
        slope = X.T @ (X @ w - Y) / 6
        w = w - 0.4 * (1 - t / 10) * slope * min(1, most / np.linalg.norm(slope))
    np.testing.assert_allclose(run.params, w, rtol=1e-6)  # optax schedules in float32


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"patience": 3}, ValueError, r"pass validation=\(X, y\)"),
        ({"patience": 0, "validation": (Z, Y_VAL)}, ValueError, "patience must be at least 1"),
        ({"validation": Z}, TypeError, r"validation must be a pair \(X, y\)"),
        ({"validation": (Z[:, :3], Y_VAL)}, ValueError, "validation X must have 8 columns"),
        ({"validation": (Z, Y_VAL[:, None])}, ValueError, "validation y must have y's trailing shape"),
    ],
)
def test_bad_stopping_raises(settings, error, message):
    with pytest.raises(error, match=message):
        rf.train(linear, (X, Y), optimizer=optax.sgd(0.1), steps=3, params=START, key=jax.random.key(0), **settings)
