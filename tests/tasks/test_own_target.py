"""A target of the user's own: its moments given, estimated, or asked for in vain."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax import tasks
from rfjax.tasks.function import SAMPLES

KEY = jax.random.key(0)


def target(X):
    return X[:, 0] * X[:, 1] + 0.5


def test_given_moments_are_reported():
    task = tasks.function(target, 3, mean=0.5, variance=1.0)
    assert (task.d, task.mean, task.variance) == (3, 0.5, 1.0)
    X, y = task.sample(KEY, 6)
    np.testing.assert_allclose(y, np.asarray(X)[:, 0] * np.asarray(X)[:, 1] + 0.5, rtol=1e-14)


def test_estimated_moments_are_within_their_standard_errors():
    # Var x₁x₂ = 1 and Var (x₁x₂)² = E x₁⁴ E x₂⁴ − 1 = 8.
    task = tasks.function(target, 2, key=KEY)
    assert 0 < abs(task.mean - 0.5) < 4.5 / math.sqrt(SAMPLES)
    assert 0 < abs(task.variance - 1) < 4.5 * math.sqrt(8 / SAMPLES)
    assert tasks.function(target, 2, key=KEY).variance == task.variance


@pytest.mark.slow
def test_estimates_come_in_batches_in_high_dimension():
    # 2¹⁸ points in 40 dimensions are drawn in several batches.
    task = tasks.function(lambda X: jnp.sum(X, axis=1), 40, key=KEY)
    assert abs(task.mean) < 4.5 * math.sqrt(40 / SAMPLES)
    assert abs(task.variance / 40 - 1) < 4.5 * math.sqrt(2 / SAMPLES)


def test_unknown_moments_raise_and_say_what_to_do():
    task = tasks.function(target, 2)
    assert task(jnp.ones((1, 2))).shape == (1,)
    for moment in ("mean", "variance"):
        with pytest.raises(ValueError, match=r"not known: give .*variance=.* or key="):
            getattr(task, moment)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: tasks.function(3, 2), TypeError, "target must be a function"),
        (lambda: tasks.function(target, 0), ValueError, "d must"),
        (lambda: tasks.function(target, 2, variance=-1.0), ValueError, "variance"),
        (lambda: tasks.function(target, 2, variance=np.nan), ValueError, "variance"),
        (lambda: tasks.function(target, 2, mean=np.inf, variance=1.0), ValueError, "mean"),
        (lambda: tasks.function(target, 2, mean=0.5), ValueError, "mean= needs variance="),
        (lambda: tasks.function(target, 2, mean=0.0, key=KEY), ValueError, "mean= needs variance="),
        (lambda: tasks.function(target, 2, key=3), TypeError, "key"),
        (lambda: tasks.function(lambda X: X, 2)(jnp.ones((4, 2))), ValueError, r"\[n, d\] to \[n\].*returned \[4, 2\]"),
        (lambda: tasks.function(lambda X: X[:, :1], 2).sample(KEY, 4), ValueError, r"returned \[4, 1\]"),
        (lambda: tasks.function(lambda X: 1.0, 2)(jnp.ones((4, 2))), ValueError, r"\[n, d\] to \[n\]"),
        (lambda: tasks.function(lambda X: jnp.log(X[:, 0]), 2, key=KEY), ValueError, "finite"),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error, match=says):
        make()
