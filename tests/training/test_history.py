"""What a run records and when, where it stops, and that it compiles once."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=12)
W = jnp.asarray(RNG.normal(size=3))
KEY = jax.random.key(0)
SGD = optax.sgd(0.1)


def linear(params, X):
    return X @ params


def train(**settings):
    settings = {"optimizer": SGD, "steps": 10, "params": W} | settings
    return rf.train(linear, settings.pop("data", (X, Y)), **settings)


@pytest.mark.parametrize(
    ("record", "recorded"),
    [
        (3, [0, 3, 6, 9, 10]),
        (10, [0, 10]),
        (99, [0, 10]),
        ([7, 2, 2], [0, 2, 7, 10]),
        (np.array([4]), [0, 4, 10]),
        ((), [0, 10]),
        (None, list(range(11))),
    ],
)
def test_steps_recorded_are_the_first_the_last_and_those_asked_for(record, recorded):
    run = train(record=record)
    np.testing.assert_array_equal(run.history.steps, recorded)
    assert run.history.loss.shape == (len(recorded),)
    # What is recorded does not change what is done.
    np.testing.assert_allclose(run.params, train(record=10).params, rtol=1e-13)


def test_about_a_hundred_records_when_nothing_is_said():
    steps = train(steps=1050).history.steps
    np.testing.assert_array_equal(steps, [*range(0, 1050, 10), 1050])


def norm(params):
    return jnp.sqrt((params**2).sum())


def test_metrics_are_functions_of_the_parameters():
    run = train(record=5, metrics={"norm": norm, "first": lambda w: w[0]})
    w, norms, firsts = np.asarray(W), [], []
    for t in range(11):
        if t % 5 == 0:
            norms.append(np.linalg.norm(w))
            firsts.append(w[0])
        w = w - 0.1 * X.T @ (X @ w - Y) / 12
    np.testing.assert_allclose(run.history.metrics["norm"], norms, rtol=1e-12)
    np.testing.assert_allclose(run.history.metrics["first"], firsts, rtol=1e-12)


def test_metrics_may_count():
    run = train(record=5, metrics={"positive": lambda w: (w > 0).sum()})
    assert run.history.metrics["positive"].shape == (3,)
    assert int(run.history.metrics["positive"][0]) == int((np.asarray(W) > 0).sum())


def test_divergence_stops_warns_and_keeps_the_last_good_parameters():
    # Two seeds: one starts at the minimum, where it stays; one next to it, at a rate that is far too large.
    starts, keys = jnp.stack([jnp.zeros(3), W]), jax.random.split(KEY, 2)
    with pytest.warns(RuntimeWarning, match="training diverged in 1 of 2 seeds: .* at step"):
        run = train(data=(X, 0 * Y), optimizer=optax.sgd(1e3), steps=200, params=starts, key=keys, record=10)
    np.testing.assert_array_equal(run.diverged, [False, True])
    good = int(run.steps[1])
    assert int(run.steps[0]) == 200
    assert good % 10 == 0
    assert 0 < good < 200
    at = int(run.diverged_at[1])  # the first step with an infinite loss, by the same descent written out
    path = np.asarray(W)
    with np.errstate(over="ignore"):
        for _ in range(at - 1):
            path = path - 1e3 * X.T @ (X @ path) / 12
        assert np.isfinite(np.sum((X @ path) ** 2))
        path = path - 1e3 * X.T @ (X @ path) / 12
        assert not np.isfinite(np.sum((X @ path) ** 2))
    assert good <= at <= good + 10
    assert int(run.diverged_at[0]) == -1
    expected = np.linalg.matrix_power(np.eye(3) - 1e3 * X.T @ X / 12, good) @ np.asarray(W)
    np.testing.assert_allclose(run.params[1], expected, rtol=1e-9)
    np.testing.assert_array_equal(run.params[0], 0)
    row = run.history.loss[1]
    assert np.isfinite(row[: good // 10 + 1]).all()
    assert not np.isfinite(row[good // 10 + 1 :]).any()
    np.testing.assert_array_equal(run.history.loss[0], 0)


def test_a_run_that_diverges_alone_ends_its_history_there():
    with pytest.warns(RuntimeWarning, match=r"training diverged: .*smaller learning rate"):
        run = train(optimizer=optax.sgd(1e3), steps=200, record=10)
    assert bool(run.diverged)
    assert np.isfinite(run.params).all()
    assert run.history.steps[-1] == int(run.steps) + 10
    assert not np.isfinite(run.history.loss[-1])


def test_progress_is_reported_at_every_record():
    calls = []
    train(record=4, progress=lambda step, steps: calls.append((step, steps)))
    assert sorted(calls) == [(0, 10), (4, 10), (8, 10), (10, 10)]


def test_a_bar_is_shown_when_asked_for():
    run = train(record=5, progress=True)
    np.testing.assert_array_equal(run.history.steps, [0, 5, 10])


def test_the_same_training_compiles_once():
    traces = 0

    def counted(predictions, y):
        nonlocal traces
        traces += 1
        return ((predictions - y) ** 2).mean()

    optimizer = optax.sgd(0.1, momentum=0.9)
    rf.train(linear, (X, Y), optimizer=optimizer, steps=10, params=W, loss=counted, record=5)
    once = traces
    assert once > 0
    for data, params, steps in (((2 * X, Y), W, 10), ((X, -Y), 3 * W, 20)):  # other values, and other steps as often
        rf.train(linear, data, optimizer=optimizer, steps=steps, params=params, loss=counted, record=steps // 2)
    assert traces == once


def test_good_runs_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(record=10)
