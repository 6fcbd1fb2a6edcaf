"""The fast Walsh–Hadamard transform, as products with small Hadamard matrices."""

import jax.numpy as jnp
import scipy
from jaxtyping import Array, Float

from rfjax.numerics import matmul

_FACTOR = 32  # a matrix of this size is multiplied at nearly the full speed of a processor


def hadamard_transform(X: Float[Array, "... m"]) -> Float[Array, "... m"]:
    """x H/√m for every row x, m a power of two, and H one of the Hadamard matrices of that size: orthogonal, entries ±1.

    H is a product H_a ⊗ H_b ⊗ … of factors up to 32, m·(a + b + …) operations, its columns in the order that is fastest:
    where that matters, transform an identity matrix.
    """
    m = X.shape[-1]
    if m & (m - 1):
        raise ValueError(f"X must have a power of two of columns, got {m}")
    size = m
    while size > 1:
        factor = min(size, _FACTOR)
        H = jnp.asarray(scipy.linalg.hadamard(factor) / factor**0.5, X.dtype)
        parts = matmul(X.reshape(*X.shape[:-1], m // factor, factor), H)
        size //= factor
        # What was transformed goes first, so that each factor is last once.  Of the order at the end nobody asks, and
        # this move would cost as much as a product.
        X = (jnp.swapaxes(parts, -1, -2) if size > 1 else parts).reshape(X.shape)
    return X
