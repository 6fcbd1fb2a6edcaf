"""Training on the population: fresh samples each step, or the exact risk, whose step counts are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import norm

import rfjax as rf

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
STEP = optax.sgd(1.0)
NEURON = rf.neuron()
STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_draws_whatever_ran_before():
    RNG.bit_generator.state = STATE


def linear(params, X):
    return X @ params


def product(predictions, y):
    """A loss linear in the parameters of `linear`: each step adds the batch mean of x·g(x)."""
    return -(predictions * y).mean()


def test_a_stream_is_fresh_samples_of_the_task_at_every_step(monte_carlo):
    seeds, steps, size = 400, 4, 16
    task = rf.tasks.single_neuron(3, bias=-0.5, direction=np.array([1.0, -2.0, 2.0]))
    keys = jax.random.split(KEY, seeds)
    settings = {"optimizer": STEP, "steps": steps, "batch_size": size, "loss": product, "record": steps}
    run = rf.train(linear, task, key=keys, params=jnp.zeros((seeds, 3)), **settings)
    expected = steps * norm.cdf(-0.5) * np.array([1, -2, 2]) / 3  # E x g(x) = Φ(b)·w, by Gaussian integration by parts
    monte_carlo(run.params, expected, resolution=0.05)
    X = RNG.normal(size=(100_000, 3))
    terms = X * np.maximum(X @ np.array([1, -2, 2]) / 3 - 0.5, 0)[:, None]
    ratio = np.asarray(run.params).var(axis=0, ddof=1) / (steps * terms.var(axis=0) / size)  # independent batches
    assert (np.abs(ratio - 1) < 4.5 * (2 / seeds) ** 0.5 * 1.3).all()
    alone = rf.train(linear, task, key=keys[7], params=jnp.zeros(3), **settings)
    np.testing.assert_allclose(alone.params, run.params[7], rtol=1e-11)
    np.testing.assert_allclose(alone.history.loss, run.history.loss[7], rtol=1e-11)
    assert alone(X[:5]).shape == (5,)


def bias(params):
    return params["bias"]


def overlap(params):
    return params["weight"][0]


D = 400
TASK = rf.tasks.single_neuron(D, bias=-1.0)  # along the first axis


@pytest.fixture(scope="module")
def descents() -> dict[float, rf.Run]:
    """Exact descent on the population risk of a neuron of bias −1 and of bias 0, three seeds each, to 1e-6."""
    runs = {}
    for b in (-1.0, 0.0):
        task = rf.tasks.single_neuron(D, bias=b)
        runs[b] = rf.train(
            NEURON,
            task,
            exact=True,
            optimizer=STEP,
            steps=700,
            key=jax.random.split(KEY, 3),
            record=1,
            target_risk=1e-6 * task.variance,
            metrics={"bias": bias, "overlap": overlap},
        )
    return runs


@pytest.mark.parametrize(("b", "steps", "slack"), [(-1.0, 589, 12), (0.0, 39, 2)])
def test_exact_descent_takes_the_known_number_of_steps(descents, b, steps, slack):
    run, task = descents[b], rf.tasks.single_neuron(D, bias=b)
    assert (np.abs(np.asarray(run.steps) - steps) <= slack).all()
    risk, goal = np.asarray(run.history.risk), 1e-6 * task.variance
    np.testing.assert_allclose(run.history.loss, risk / 2, rtol=1e-12, atol=1e-15)
    for seed, last in enumerate(np.asarray(run.steps)):
        # It stops at the first record at or below the target, and has NaN from there on.
        assert risk[seed, last] <= goal
        assert (risk[seed, :last] > goal).all()
        assert np.isnan(risk[seed, last + 1 :]).all()
    assert run.history.steps[-1] == run.steps.max()
    # No fixed features do that: 3000 of them, as many as the samples of the paper's figure, are above 0.3.
    assert float(rf.theory.risk_lower_bound(rf.tasks.single_neuron(100, bias=-1.0), 3000)) > 0.3
    np.testing.assert_allclose(run.params["bias"], b, rtol=0, atol=0.02)
    np.testing.assert_allclose(run.params["weight"][:, 0], 1, rtol=0, atol=0.02)


def test_exact_descent_follows_the_gradient_of_simulation(descents):
    run = descents[-1.0]
    draws = np.random.default_rng(1).normal(size=(2_000_000, 2))
    for seed in range(3):
        start, tilt = NEURON.init(jax.random.split(KEY, 3)[seed], D), np.asarray(run.history.metrics["overlap"][seed])
        assert float(start["weight"][0]) == pytest.approx(tilt[0], rel=1e-12)
        # In the plane of both directions: u along the student, which has unit length and no bias, v along the teacher.
        u, v = draws[:, 0], tilt[0] * draws[:, 0] + (1 - tilt[0] ** 2) ** 0.5 * draws[:, 1]
        error = np.maximum(u, 0) - np.maximum(v - 1, 0)
        bias_path = np.asarray(run.history.metrics["bias"][seed])
        for moved, slope in ((bias_path[1] - bias_path[0], error * (u > 0)), (tilt[1] - tilt[0], error * (u > 0) * v)):
            assert abs(moved + slope.mean()) < 4 * slope.std() / slope.size**0.5
        squares = error**2
        assert abs(run.history.risk[seed, 0] - squares.mean()) < 4 * squares.std() / squares.size**0.5


def test_a_neuron_learns_from_samples_what_fixed_features_cannot():
    task = rf.tasks.single_neuron(20, bias=-1.0)
    X = RNG.normal(size=(600, 20))
    settings = {"optimizer": STEP, "steps": 4000, "key": KEY, "task": task, "record": 100}
    run = rf.train(NEURON, (X, task(X)), target_risk=1e-12 * task.variance, **settings)
    risk = np.asarray(run.history.risk)
    assert int(run.steps) < 4000
    assert risk[-1] <= 1e-12 * task.variance < risk[-2]
    np.testing.assert_array_equal(run.history.steps, np.arange(0, int(run.steps) + 1, 100))
    assert float(rf.theory.risk_lower_bound(task, 600)) > 0.1
    # Without a target it goes on, and the way there is the same.
    full = rf.train(NEURON, (X, task(X)), **settings)
    assert int(full.steps) == 4000
    np.testing.assert_allclose(full.history.risk[: len(risk)], risk, rtol=0, atol=1e-15)


def test_runs_of_several_seeds_have_a_risk_each(descents):
    run = descents[-1.0]
    risk = rf.population_risk(run, TASK)
    assert risk.value.shape == (3,)
    recorded = np.asarray(run.history.risk)[np.arange(3), np.asarray(run.steps)]
    np.testing.assert_allclose(risk.value, recorded, rtol=0, atol=1e-14)


def test_sampled_risks_of_several_seeds():
    task = rf.tasks.single_neuron(3, bias=-1.0)
    keys = jax.random.split(KEY, 2)
    starts = jnp.asarray(RNG.normal(size=(2, 3)))
    run = rf.train(linear, (RNG.normal(size=(9, 3)), np.ones(9)), optimizer=STEP, steps=1, key=keys, params=starts)
    risk = rf.population_risk(run, task, key=KEY, samples=4000)
    assert risk.value.shape == risk.stderr.shape == (2,)
    w = np.asarray(run.params)
    exact = (w**2).sum(1) - 2 * norm.cdf(-1) * w[:, 0] + task.variance + task.mean**2
    assert (np.abs(np.asarray(risk.value) - exact) < 4.5 * np.asarray(risk.stderr)).all()
