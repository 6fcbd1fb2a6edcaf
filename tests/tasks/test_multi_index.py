"""Tasks of a few directions: values written out, and moments by Monte Carlo and by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax import activations, tasks


def test_values_are_the_formula():
    d, key = 7, jax.random.key(0)
    X = np.random.default_rng(0).standard_normal((20, d))
    task = tasks.multi_index(
        d, [(2.0, {0: activations.relu}), (-0.5, {0: jnp.tanh, 2: activations.erf}), (0.3, {})], key=key
    )
    W = np.asarray(task.directions)
    np.testing.assert_allclose(W @ W.T, np.eye(3), atol=1e-6)
    z = X @ W.T
    expected = 2 * np.maximum(z[:, 0], 0) - 0.5 * np.tanh(z[:, 0]) * np.vectorize(math.erf)(z[:, 2]) + 0.3
    np.testing.assert_allclose(task(jnp.asarray(X)), expected, atol=1e-6)
    np.testing.assert_allclose(
        tasks.staircase(d, (1, 2))(jnp.asarray(X)), (X[:, 0] + X[:, 0] * X[:, 1] * X[:, 2]) / math.sqrt(2), atol=1e-12
    )
    np.testing.assert_array_equal(tasks.parity(d, 3)(jnp.asarray(X)), np.sign(X[:, 0] * X[:, 1] * X[:, 2]))
    wave = tasks.modulated(d, frequency=3.0)
    np.testing.assert_allclose(wave(jnp.asarray(X)), X[:, 0] + math.sqrt(2) * np.sin(3 * X[:, 0]), atol=1e-12)


def test_moments_match_samples(monte_carlo):
    task = tasks.multi_index(
        5, [(2.0, {0: activations.relu}), (-0.5, {0: jnp.tanh, 1: activations.erf}), (0.3, {})], key=jax.random.key(1)
    )
    _, y = task.sample(jax.random.key(2), 40_000)
    monte_carlo(y, task.mean, resolution=0.02)
    monte_carlo((np.asarray(y) - task.mean) ** 2, task.variance, resolution=0.02)


def test_exact_moments():
    for task in (tasks.staircase(9), tasks.staircase(9, (2, 3)), tasks.parity(9, 4)):
        assert task.mean == pytest.approx(0.0, abs=1e-14)
        assert task.variance == pytest.approx(1.0, rel=1e-12)
    for d in (4, 100):
        w = math.sqrt(d)
        exact = 1 + (1 - math.exp(-2 * d)) + 2 * math.sqrt(2) * w * math.exp(-d / 2)
        assert tasks.modulated(d).variance == pytest.approx(exact, rel=1e-12)
    assert tasks.modulated(4).activation == tasks.modulated(4).activation  # compiled once
    square = tasks.multi_index(3, [(1.0, {0: activations.monomial(2)}), (1.0, {1: activations.monomial(2)})])
    assert (square.mean, square.variance) == pytest.approx((2.0, 4.0), rel=1e-12)


def test_bad_input_is_refused():
    for ask, error, message in (
        (lambda: tasks.multi_index(3, []), ValueError, "terms must hold at least one"),
        (lambda: tasks.multi_index(3, [{0: activations.relu}]), TypeError, "terms must be pairs"),
        (lambda: tasks.multi_index(3, [(1.0, {3: activations.relu})]), ValueError, "at most d = 3"),
        (lambda: tasks.multi_index(3, [(1.0, {-1: activations.relu})]), ValueError, "terms must be at least 0"),
        (lambda: tasks.parity(3, 4), ValueError, "at most d = 3"),
        (lambda: tasks.parity(3, 0), ValueError, "k must be at least 1"),
        (lambda: tasks.staircase(3, ()), ValueError, "leaps must hold"),
        (lambda: tasks.staircase(3, (0, 1)), ValueError, "leaps must be at least 1"),
        (lambda: tasks.parity(3, 2, directions=jnp.ones((2, 3))), ValueError, "orthonormal"),
        (lambda: tasks.parity(3, 2, directions=jnp.eye(1, 3)), ValueError, "must have shape"),
        (lambda: tasks.parity(3, 2, directions=jnp.eye(2, 3), key=jax.random.key(0)), ValueError, "not both"),
        (lambda: tasks.modulated(3, frequency=0.0), ValueError, "frequency must be"),
    ):
        with pytest.raises(error, match=message):
            ask()
