"""Products that are written for what compilers do with them, beside NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax.numerics import adjoint_matmul, finer, from_stripes, gram_stripes, half_squared_distance

RNG = np.random.default_rng(0)
A = RNG.normal(size=(9, 20))


@pytest.mark.parametrize("shape", [(9, 1), (9, 4), (96, 1), (64 * 97, 2)])
def test_products_with_the_adjoint(shape):
    A, B = RNG.normal(size=(shape[0], 20)), RNG.normal(size=shape)
    found = adjoint_matmul(jnp.asarray(A), jnp.asarray(B))
    assert found.shape == (20, *shape[1:])
    np.testing.assert_allclose(found, A.T @ B, rtol=0, atol=1e-11)


def test_long_sums_keep_their_digits():
    A, v = (RNG.normal(size=(4096, m)).astype("float32") for m in (200, 1))
    error = np.asarray(adjoint_matmul(jnp.asarray(A), jnp.asarray(v)), float) - A.T.astype(float) @ v.astype(float)
    assert np.sqrt(np.mean(error**2)) < 4 * np.finfo(np.float32).eps * np.linalg.norm(v)


@pytest.mark.parametrize("columns", [1, 20, 129, 300])
def test_stripes_make_the_whole_gram_matrix(columns):
    F = RNG.normal(size=(9, columns))
    found = jax.jit(lambda F: from_stripes(gram_stripes(F)))(jnp.asarray(F))
    np.testing.assert_allclose(found, F.T @ F, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(found, found.T)
    lower = from_stripes(gram_stripes(jnp.asarray(F)), lower=True)
    np.testing.assert_array_equal(np.tril(lower), np.tril(found))
    T = np.tril(RNG.normal(size=(columns, columns)))
    found = from_stripes(gram_stripes(jnp.asarray(T), triangular=True))
    np.testing.assert_allclose(found, T.T @ T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("d", [1, 9, 784])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distances_have_half_of_the_digits_more(d, dtype):
    x = RNG.normal(size=(50, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x, y = x.astype(dtype), (x + 1e-3 * RNG.normal(size=x.shape) / d**0.5).astype(dtype)
    sign = np.where(RNG.random((50, 50)) < 0.5, -1.0, 1.0).astype(dtype)
    difference = x[:, None].astype(np.longdouble) - sign[..., None] * y[None]
    expected, found = (difference**2).sum(-1) / 2, np.asarray(half_squared_distance(x, y, sign))
    eps = np.finfo(dtype).eps
    near = expected < 1e-3
    assert near.sum() > 10
    assert (np.abs(found - expected) < eps * (4 * finer(dtype) * d**0.5 + 2 * expected))[near].all()
    assert np.abs(found - expected).max() < 4 * eps


def test_derivatives_of_distances_are_those_of_the_formula():
    x, y = 0.3 * RNG.normal(size=(5, 3)), 0.3 * RNG.normal(size=(4, 3))
    found = jax.jacobian(half_squared_distance, (0, 1))(x, y)
    expected = jax.jacobian(lambda x, y: ((x[:, None] - y) ** 2).sum(-1) / 2, (0, 1))(x, y)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-14)
