"""Parameter gradients of any function f(params, X), as rows."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from rfjax.networks import Function, Params, outputs_2d


def jacobian(function: Function, params: Params, X: Float[Array, "n d"]) -> Float[Array, "n c P"]:
    """∂f_c(x_i)/∂θ, one row an output and point, the parameters flattened in pytree order."""
    flat, unravel = ravel_pytree(params)

    def one(x: Float[Array, " d"]) -> Float[Array, "c P"]:
        return jax.jacrev(lambda theta: outputs_2d(function, unravel(theta), x[None])[0])(flat)

    return jax.vmap(one)(X)


def output_count(function: Function, params: Params, X: Float[Array, "n d"]) -> int:
    """The number c of outputs, without running the function."""
    return jax.eval_shape(lambda p, x: outputs_2d(function, p, x), params, X[:1]).shape[1]


def parameter_count(params: Params) -> int:
    """The number P of parameters."""
    return sum(jnp.size(leaf) for leaf in jax.tree.leaves(params))
