"""Random polynomials: mean 0, variance 1, and the energy of each degree, exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax import tasks

KEY = jax.random.key(3)
D, DEGREE = 2, 3
TASK = tasks.polynomial(D, DEGREE, key=KEY, terms=4)


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Hermite nodes and weights in two dimensions, exact for polynomials of degree 39."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    x, y = np.meshgrid(nodes, nodes)
    return np.stack([x.ravel(), y.ravel()], axis=1), np.outer(weights, weights).ravel() / weights.sum() ** 2


def test_moments_are_exact():
    X, w = grid()
    g = np.asarray(TASK(jnp.asarray(X)))
    assert TASK.mean == 0
    assert TASK.variance == 1
    assert abs(w @ g) < 1e-13
    assert w @ g**2 == pytest.approx(1, rel=1e-12)


def test_every_degree_has_the_same_energy():
    # Project on all products h_i(x₁)h_j(x₂): the energy of degree k is the squares of those with i + j = k.
    X, w = grid()
    g = np.asarray(TASK(jnp.asarray(X)))
    one = [np.polynomial.hermite_e.HermiteE.basis(i) for i in range(DEGREE + 2)]
    energy = np.zeros(DEGREE + 2)
    for i, first in enumerate(one):
        for j, second in enumerate(one[: DEGREE + 2 - i]):
            norm = np.prod([np.prod(np.arange(1.0, n + 1)) for n in (i, j)])
            energy[i + j] += (w @ (g * first(X[:, 0]) * second(X[:, 1]))) ** 2 / norm
    np.testing.assert_allclose(energy, [0, 1 / 3, 1 / 3, 1 / 3, 0], atol=1e-12)
    assert TASK.degree == DEGREE
    assert TASK.d == D


def test_moments_in_high_dimension_by_monte_carlo(monte_carlo):
    @jax.jit
    def draw(task_key, key):
        task = tasks.polynomial(30, 2, key=task_key)
        assert task.weights.shape == (2, 30)  # as many terms as dimensions, unless said
        return task.sample(key, 10_000)[1]

    y = np.asarray(draw(KEY, jax.random.key(4)))
    monte_carlo(y, 0.0, resolution=0.02, scale=1)
    monte_carlo(y**2, 1.0, resolution=0.04)


def test_float32_points_give_float32_values():
    X = np.random.default_rng(0).normal(size=(5, D)).astype(np.float32)
    values = TASK(jnp.asarray(X))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, TASK(jnp.asarray(X, np.float64)), rtol=0, atol=1e-5)


def test_keys_decide():
    other = tasks.polynomial(D, DEGREE, key=jax.random.key(4), terms=4)
    again = tasks.polynomial(D, DEGREE, key=KEY, terms=4)
    np.testing.assert_array_equal(TASK.weights, again.weights)
    assert not np.allclose(TASK.weights, other.weights)
    np.testing.assert_allclose(np.linalg.norm(TASK.directions, axis=-1), 1, rtol=1e-14)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: tasks.polynomial(0, 2, key=KEY), ValueError, "d must"),
        (lambda: tasks.polynomial(3, 0, key=KEY), ValueError, "degree"),
        (lambda: tasks.polynomial(3, 1.5, key=KEY), TypeError, "degree"),
        (lambda: tasks.polynomial(3, 2, key=KEY, terms=0), ValueError, "terms"),
        (lambda: tasks.polynomial(3, 2, key=None), ValueError, "key is required"),
        (lambda: tasks.polynomial(3, 2), TypeError, "key"),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error, match=says):
        make()
