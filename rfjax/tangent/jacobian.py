"""Parameter gradients of any function, as rows."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax.tangent.selection import PointFunction


def jacobian(one: PointFunction, leaves: list[Array], X: Float[Array, "n d"]) -> Float[Array, "n c P"]:
    """∂f_c(x_i)/∂θ, one row an output and point, the leaves flattened in order."""

    def row(x: Float[Array, " d"]) -> Float[Array, "c P"]:
        parts = jax.jacrev(one)(leaves, x)
        return jnp.concatenate([part.reshape(part.shape[0], -1) for part in parts], axis=1)

    return jax.vmap(row)(X)
