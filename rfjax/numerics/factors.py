"""Cholesky factors that exist, as the matrix is kept from being singular, and what is solved with them."""

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from rfjax.numerics.products import matmul

_ROUNDING = 10  # units of it that the smallest eigenvalue keeps from 0
_LEAF = 512  # columns whose factor is inverted: its cost beside the products falls as this over their number


def shifted_cholesky(
    A: Float[Array, "m m"], ridge: Float[Array, ""] | float
) -> tuple[Float[Array, "m m"], Float[Array, ""]]:
    """L with LLᵀ = A + μI, and μ = max(ridge, 10·eps·tr A): rounding takes no eigenvalue below 0.

    Of A the lower triangle is read.
    """
    # The trace bounds the norm; the spectra here fall off so fast that it is of its size.
    shift = jnp.maximum(ridge, _ROUNDING * jnp.finfo(A.dtype).eps * jnp.trace(A))
    return jnp.linalg.cholesky(A + shift * jnp.eye(A.shape[0], dtype=A.dtype), symmetrize_input=False), shift


def solve_lower(L: Float[Array, "m m"], B: Float[Array, "m ..."], *, transposed: bool = False) -> Float[Array, "m ..."]:
    """L⁻¹B for a lower triangular L; L⁻ᵀB where `transposed`.

    Written for U = Lᵀ: solvers read columns, which are the rows of L as they lie, where of L itself they would make a
    copy at several times the cost of solving for one column.
    """
    return solve_triangular(L.T, B, trans="N" if transposed else "T", lower=False)


def solve_factored(L: Float[Array, "m m"], B: Float[Array, "m ..."]) -> Float[Array, "m ..."]:
    """(LLᵀ)⁻¹B."""
    return solve_lower(L, solve_lower(L, B), transposed=True)


def whitened(L: Float[Array, "m m"], rows: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """rows L⁻ᵀ for a lower triangular L, by products of which every row stays where it lies.

        [a, b] [[P, 0], [Q, R]]⁻ᵀ = [a P⁻ᵀ, (b − a P⁻ᵀ Qᵀ) R⁻ᵀ]

    Compilers divide products among devices, but no triangular solve: only inverses of small blocks are solved for here.
    """
    size = L.shape[0]
    if size <= _LEAF:
        return matmul(rows, solve_lower(L, jnp.eye(size, dtype=L.dtype)).T)
    half = -(-size // (2 * _LEAF)) * _LEAF
    first = whitened(L[:half, :half], rows[:, :half])
    rest = rows[:, half:] - matmul(first, L[half:, :half].T)
    return jnp.concatenate([first, whitened(L[half:, half:], rest)], axis=1)
