"""The single neuron: its values, its direction, and its moments in closed form and by Monte Carlo."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from rfjax import activations, tasks

KEY = jax.random.key(0)


def test_values_are_the_neurons(dtype):
    w = np.array([3.0, 0.0, -4.0])
    task = tasks.single_neuron(3, norm=2.0, bias=-0.5, direction=jnp.asarray(w))
    X = np.random.default_rng(0).normal(size=(7, 3)).astype(dtype)
    values = task(jnp.asarray(X))
    assert values.dtype == dtype
    assert values.shape == (7,)
    np.testing.assert_allclose(values, np.maximum(2 * X @ w / 5 - 0.5, 0), atol=20 * np.finfo(dtype).eps)
    np.testing.assert_allclose(task.weight, 2 * w / 5, rtol=1e-15)
    assert task.d == 3


def test_the_default_direction_is_the_first_axis():
    np.testing.assert_array_equal(tasks.single_neuron(4).direction, [1, 0, 0, 0])


def test_a_key_draws_a_uniform_direction():
    directions = np.array([tasks.single_neuron(3, key=k).direction for k in jax.random.split(KEY, 40)])
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-14)
    assert np.unique(directions, axis=0).shape == (40, 3)
    # Uniform on the sphere in R³: every coordinate is uniform on [−1, 1], of variance 1/3.
    assert abs(directions.mean()) < 4.5 / math.sqrt(3 * 120)
    np.testing.assert_array_equal(tasks.single_neuron(3, key=KEY).direction, tasks.single_neuron(3, key=KEY).direction)


def closed_form(norm: float, bias: float) -> tuple[float, float]:
    """Mean and variance of [norm·z + bias]₊."""
    b = bias / norm
    cdf, density = scipy.special.ndtr(b), math.exp(-(b**2) / 2) / math.sqrt(2 * math.pi)
    mean = norm * (b * cdf + density)
    return mean, norm**2 * ((1 + b**2) * cdf + b * density) - mean**2


@pytest.mark.parametrize(("norm", "bias"), [(1.0, 0.0), (1.0, -1.0), (3.0, 2.0), (0.5, -2.0)])
def test_relu_moments_in_closed_form(norm, bias):
    task = tasks.single_neuron(5, norm=norm, bias=bias)
    mean, variance = closed_form(norm, bias)
    assert task.mean == pytest.approx(mean, rel=1e-11)
    assert task.variance == pytest.approx(variance, rel=1e-11)


@pytest.mark.parametrize("activation", [activations.relu, activations.erf, activations.sign, jnp.tanh])
def test_moments_by_monte_carlo(activation, monte_carlo):
    task = tasks.single_neuron(4, norm=1.5, bias=-0.4, activation=activation, key=KEY)
    X, y = task.sample(jax.random.key(1), 100_000)
    assert X.shape == (100_000, 4)
    assert y.shape == (100_000,)
    np.testing.assert_array_equal(y, task(X))
    y = np.asarray(y)
    monte_carlo(y, task.mean, resolution=0.01, scale=math.sqrt(task.variance))
    monte_carlo((y - task.mean) ** 2, task.variance, resolution=0.02)
    # The inputs are standard normal, coordinates uncorrelated.
    X = np.asarray(X)
    monte_carlo(X[:, :, None] * X[:, None, :], np.eye(4), resolution=0.01)


def test_hermite_coefficients_are_those_of_the_profile():
    task = tasks.single_neuron(3, norm=1.5, bias=-0.4, key=KEY)
    a = task.hermite_coefficients(3)
    assert a[0] == pytest.approx(task.mean, rel=1e-12)
    # a₁ = E g(x)·⟨direction, x⟩ = norm·Φ(bias/norm) by Stein's lemma.
    assert a[1] == pytest.approx(1.5 * scipy.special.ndtr(-0.4 / 1.5), rel=1e-12)
    assert np.sum(task.hermite_coefficients(2000) ** 2) - a[0] ** 2 == pytest.approx(task.variance, rel=1e-4)


def test_samples_are_reproducible_and_differ_between_keys():
    task = tasks.single_neuron(3)
    one, again, other = (task.sample(jax.random.key(k), 5)[0] for k in (7, 7, 8))
    np.testing.assert_array_equal(one, again)
    assert not np.any(np.asarray(one) == np.asarray(other))


TASK = tasks.single_neuron(3)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: tasks.single_neuron(0), ValueError, "d must be at least 1"),
        (lambda: tasks.single_neuron(2.0), TypeError, "d must be an integer"),
        (lambda: tasks.single_neuron(3, norm=0.0), ValueError, "norm"),
        (lambda: tasks.single_neuron(3, norm=-1.0), ValueError, "norm"),
        (lambda: tasks.single_neuron(3, bias=np.inf), ValueError, "bias"),
        (lambda: tasks.single_neuron(3, bias="low"), TypeError, "bias"),
        (lambda: tasks.single_neuron(3, activation="relu"), TypeError, "activation"),
        (
            lambda: tasks.single_neuron(3, direction=jnp.ones(4)),
            ValueError,
            r"direction must have shape \[3\], got \[4\]",
        ),
        (lambda: tasks.single_neuron(3, direction=jnp.zeros(3)), ValueError, "direction must be finite and not zero"),
        (lambda: tasks.single_neuron(3, direction=jnp.array([1, jnp.nan, 0])), ValueError, "direction must be finite"),
        (lambda: tasks.single_neuron(3, direction=jnp.ones(3, int)), TypeError, "direction must have a floating dtype"),
        (lambda: tasks.single_neuron(3, direction=jnp.ones(3), key=KEY), ValueError, "not both"),
        (lambda: tasks.single_neuron(3, key=0), TypeError, "key"),
        (lambda: TASK.sample(KEY, 0), ValueError, "n must be at least 1"),
        (lambda: TASK.sample(None, 5), ValueError, "key is required"),
        (lambda: TASK.sample(jax.random.split(KEY, 2), 5), ValueError, "one key"),
        (lambda: TASK(jnp.ones((2, 4))), ValueError, "X must have 3 columns"),
        (lambda: TASK(jnp.ones((2, 3), int)), TypeError, "floating"),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error, match=says):
        make()
