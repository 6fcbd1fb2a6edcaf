"""Factors that exist, and rows whitened by them, beside SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from rfjax.numerics import shifted_cholesky, solve_factored, solve_lower, whitened


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 3)])
def test_what_is_solved_with_a_factor(shape):
    rng = np.random.default_rng(0)
    L, b = np.tril(rng.normal(size=(6, 6))) + 3 * np.eye(6), rng.normal(size=shape)
    for found, A in (
        (solve_lower(jnp.asarray(L), jnp.asarray(b)), L),
        (solve_lower(jnp.asarray(L), jnp.asarray(b), transposed=True), L.T),
        (solve_factored(jnp.asarray(L), jnp.asarray(b)), L @ L.T),
    ):
        assert found.shape == shape
        np.testing.assert_allclose(A @ found, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [1, 5, 512, 513, 1300])
def test_rows_are_whitened_as_by_a_triangular_solve(size):
    rng = np.random.default_rng(0)
    L = np.tril(rng.normal(size=(size, size))) / size + np.eye(size)
    rows = rng.normal(size=(7, size))
    found = jax.jit(whitened)(*(jnp.asarray(part, jnp.float32) for part in (L, rows)))
    np.testing.assert_allclose(found, scipy.linalg.solve_triangular(L, rows.T, lower=True).T, rtol=0, atol=3e-5)


def test_a_singular_matrix_has_a_factor_to_rounding():
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    A = rows @ rows.T
    L, shift = shifted_cholesky(jnp.asarray(A), 0.0)
    assert 0 < shift < 1e-5 * np.trace(A)
    np.testing.assert_allclose(L @ L.T, A + np.asarray(shift) * np.eye(40), rtol=0, atol=1e-5 * np.trace(A))
