"""A Cholesky factor that exists: the matrix is kept from being singular by as much as rounding asks."""

import jax.numpy as jnp
from jaxtyping import Array, Float

_ROUNDING = 10  # units of it that the smallest eigenvalue keeps from 0


def shifted_cholesky(
    A: Float[Array, "m m"], ridge: Float[Array, ""] | float
) -> tuple[Float[Array, "m m"], Float[Array, ""]]:
    """L with LLᵀ = A + μI, and μ = max(ridge, 10·eps·tr A): rounding takes no eigenvalue below 0."""
    # The trace bounds the norm; the spectra here fall off so fast that it is of its size.
    shift = jnp.maximum(ridge, _ROUNDING * jnp.finfo(A.dtype).eps * jnp.trace(A))
    return jnp.linalg.cholesky(A + shift * jnp.eye(A.shape[0], dtype=A.dtype)), shift
