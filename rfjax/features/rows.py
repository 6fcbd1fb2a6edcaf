"""A feature map some rows at a time, so that a block's angles stay in the cache until its features are written."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

_BLOCK = 2**23  # bytes of features a block
_FEWEST = 64  # rows a block, for products to run at full speed

Parts = Callable[[Any, Float[Array, "n d"]], tuple[Float[Array, "n c"], ...]]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def by_rows(function: Parts, phi: Any, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
    """The parts of function(phi, X) side by side, row i being that of row i of X alone.

    On a CPU it goes by blocks of rows, and every part of a block is written to its place once.
    """
    n, d = X.shape
    widths = [part.shape[1] for part in jax.eval_shape(function, phi, X)]
    size = max(_FEWEST, _BLOCK // (sum(widths) * X.dtype.itemsize))
    if jax.default_backend() != "cpu" or n <= size:
        return _beside(function, phi, X)

    def write(i: Int[Array, ""], out: Float[Array, "n p"]) -> Float[Array, "n p"]:
        start = jnp.minimum(i * size, n - size)  # the last block overlaps the one before it
        parts = function(phi, lax.dynamic_slice(X, (start, 0), (size, d)))
        for part, column in zip(parts, np.cumsum([0, *widths]), strict=False):
            out = lax.dynamic_update_slice(out, part, (start, int(column)))
        return out

    return lax.fori_loop(0, -(-n // size), write, jnp.zeros((n, sum(widths)), X.dtype))


@by_rows.defjvp
def _by_rows_jvp(function: Parts, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # A loop that writes in place would keep every version of its result for the reverse pass.
    return jax.jvp(partial(_beside, function), primals, tangents)


def _beside(function: Parts, phi: Any, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
    return jnp.concatenate(function(phi, X), axis=1)
