"""The tangent model: its features, and the linearised function."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.networks import Function, Params
from rfjax.tangent.jacobian import jacobian


class TangentFeatures(FeatureMap):
    """ψ(x) = ∂f(x)/∂θ flattened to [n, c·P] and divided by √c: its Gram matrix is the empirical NTK."""

    function: Function
    params: Params

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, X.dtype), self.params)
        J = jacobian(self.function, params, X)
        return J.reshape(J.shape[0], -1) / J.shape[1] ** 0.5

    @property
    def in_dim(self) -> None:
        return None

    @property
    def neurons(self) -> None:
        return None


class Linearized(eqx.Module):
    """f(θ', x) = f(θ, x) + ∂f(θ, x)/∂θ·(θ' − θ), a function of (new_params, X) like the network it comes from."""

    function: Function
    params: Params

    def __call__(self, new_params: Params, X: Float[Array, "n d"]) -> Float[Array, "..."]:
        """The first-order Taylor model at `new_params`.  Raises ValueError when their structure is another one."""
        wanted: Any = jax.tree.structure(self.params)
        if wanted != jax.tree.structure(new_params):
            raise ValueError("new_params must have the structure of the parameters that the model was linearised at")
        for new, old in zip(jax.tree.leaves(new_params), jax.tree.leaves(self.params), strict=True):
            if jnp.shape(new) != jnp.shape(old):
                raise ValueError(f"new_params must have the model's shapes: got {jnp.shape(new)} for {jnp.shape(old)}")
        X = checks.points("X", X)
        # dtype follows the input
        new_params, base = (
            jax.tree.map(lambda leaf: jnp.asarray(leaf, X.dtype), tree) for tree in (new_params, self.params)
        )
        step = jax.tree.map(lambda new, old: new - old, new_params, base)
        value, change = jax.jvp(lambda p: self.function(p, X), (base,), (step,))
        return value + change
