"""A feature map some rows at a time, so that a block's angles stay in the cache until its features are written."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

_BLOCK = 2**21  # bytes of features a block
_FEWEST = 2  # blocks below which there is nothing to gain

Rows = Callable[[Any, Float[Array, "n d"]], Float[Array, "n p"]]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def by_rows(function: Rows, phi: Any, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
    """function(phi, X), whose row i depends on row i of X alone: on a CPU by blocks, each written to its place once."""
    n, d = X.shape
    width = jax.eval_shape(function, phi, X).shape[1]
    size = max(16, _BLOCK // (width * X.dtype.itemsize))
    if jax.default_backend() != "cpu" or n < _FEWEST * size:
        return function(phi, X)

    def write(i: Int[Array, ""], out: Float[Array, "n p"]) -> Float[Array, "n p"]:
        start = jnp.minimum(i * size, n - size)  # the last block overlaps the one before it
        rows = lax.dynamic_slice(X, (start, 0), (size, d))
        return lax.dynamic_update_slice(out, function(phi, rows), (start, 0))

    return lax.fori_loop(0, -(-n // size), write, jnp.zeros((n, width), X.dtype))


@by_rows.defjvp
def _by_rows_jvp(function: Rows, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # A loop that writes in place would keep every version of its result for the reverse pass.
    return jax.jvp(function, primals, tangents)
