"""Early stopping: held-out errors along a training."""

import jax
import numpy as np
import pytest

import rfjax as rf

TIMES = np.array([0.0, 0.5, 5.0, 50.0, np.inf])


def test_errors_are_mean_squares_and_the_best_time_is_the_least(p):
    flow = rf.gradient_flow(p.kernel, p.X, p.Y)
    held_out = np.asarray(flow(5.0, p.Z)) + 0.01 * p.Y[:4]
    path = flow.path(TIMES, p.Z, held_out)
    expected = [float(((np.asarray(flow(t, p.Z)) - held_out) ** 2).mean()) for t in TIMES]
    np.testing.assert_allclose(path.errors, expected, rtol=1e-12)
    np.testing.assert_array_equal(path.times, TIMES)
    assert (int(path.best), float(path.best_time), float(path.best_error)) == (2, 5.0, pytest.approx(expected[2]))
    compiled = jax.jit(lambda flow, y: flow.path(TIMES, p.Z, y))(flow, held_out)
    np.testing.assert_allclose(compiled.errors, expected, rtol=1e-10)


def test_steps_of_descent_are_times_too(p):
    descent = rf.gradient_descent(p.kernel, p.X, p.Y[:, 0], learning_rate=1.0)
    path = descent.path([0, 10, 100], p.X, p.Y[:, 0])
    assert int(path.best_time) == 100
    np.testing.assert_allclose(path.errors[0], (p.Y[:, 0] ** 2).mean(), rtol=1e-12)


def test_bad_input_raises(p):
    flow = rf.gradient_flow(p.kernel, p.X, p.Y)
    with pytest.raises(ValueError, match=r"times must have shape \[T\]"):
        flow.path(1.0, p.Z, p.Y[:4])
    with pytest.raises(ValueError, match=r"y must have the shape of the predictions, \[4, 2\], got \[4\]"):
        flow.path(TIMES, p.Z, p.Y[:4, 0])
    with pytest.raises(ValueError, match="y must have one row a data point"):
        flow.path(TIMES, p.Z, p.Y)
