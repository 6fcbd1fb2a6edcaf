"""The model near its parameters: its features, exact, and its Taylor polynomials."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.networks import Function, Params
from rfjax.tangent.jacobian import jacobian
from rfjax.tangent.selection import Chosen, cast, choose, point_function


class TangentFeatures(FeatureMap):
    """ψ(x) = ∂f(x)/∂θ flattened to [n, c·P] and divided by √c: its Gram matrix is the empirical NTK."""

    function: Function
    params: Params
    chosen: Chosen = eqx.field(static=True)

    def __init__(self, function: Function, params: Params, parameters: Any = None):
        self.function, self.params, self.chosen = function, params, choose(params, parameters)

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        one, leaves = point_function(self.function, self.params, self.chosen, X.dtype)
        J = jacobian(one, leaves, X)
        return J.reshape(J.shape[0], -1) / J.shape[1] ** 0.5

    @property
    def in_dim(self) -> None:
        return None


class Linearized(eqx.Module):
    """The Taylor polynomial of f in its parameters, a function of (new_params, X) like the network it comes from.

    f(θ', x) = Σ_{k ≤ order} (1/k!) dᵏ/dtᵏ f(θ + t(θ' − θ), x) at t = 0: order 1 is the linearisation, 2 the quadratic model.
    """

    function: Function
    params: Params
    order: int = eqx.field(static=True, default=1)

    def __call__(self, new_params: Params, X: Float[Array, "n d"]) -> Float[Array, "..."]:
        """The polynomial at `new_params`.  Raises ValueError when their structure is another one."""
        wanted: Any = jax.tree.structure(self.params)
        if wanted != jax.tree.structure(new_params):
            raise ValueError("new_params must have the structure of the parameters that the model was linearised at")
        for new, old in zip(jax.tree.leaves(new_params), jax.tree.leaves(self.params), strict=True):
            if jnp.shape(new) != jnp.shape(old):
                raise ValueError(f"new_params must have the model's shapes: got {jnp.shape(new)} for {jnp.shape(old)}")
        X = checks.points("X", X)
        new_params, base = cast(new_params, X.dtype), cast(self.params, X.dtype)  # dtype follows the input
        step = jax.tree.map(lambda new, old: new - old, new_params, base)

        def along(t: Float[Array, ""]) -> Float[Array, "..."]:
            return self.function(jax.tree.map(lambda old, change: old + t * change, base, step), X)

        terms = _derivatives(along, self.order)(jnp.zeros((), X.dtype))
        return sum((term / math.factorial(k) for k, term in enumerate(terms[1:], 1)), terms[0])


def _derivatives(function: Callable[[Array], Array], order: int) -> Callable[[Array], tuple[Array, ...]]:
    """t to (f, f', …, f^(order)) at t, by forward mode of forward mode: any function, at a cost of 2^order."""
    if order == 0:
        return lambda t: (function(t),)
    lower = _derivatives(function, order - 1)

    def derivatives(t: Array) -> tuple[Array, ...]:
        values, changes = jax.jvp(lower, (t,), (jnp.ones_like(t),))
        return (*values, changes[-1])

    return derivatives
