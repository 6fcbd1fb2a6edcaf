"""Products that are written for what compilers do with them, beside NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax.numerics import adjoint_matmul, from_stripes, gram_stripes

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
