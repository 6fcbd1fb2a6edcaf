"""How far the network is from its tangent model."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.networks import Function, Layer, Params, as_function
from rfjax.numerics import safe_sqrt
from rfjax.training import Diagnostic
from rfjax.views import linearize


class LinearizationGap(Diagnostic):
    """Root mean square over points of f(θ_t, x) − f(θ_0, x) − ∂f(θ_0, x)/∂θ·(θ_t − θ_0), summed over outputs.

    What the network does that its linearisation at the start, given the same parameters, does not: O(1/√width) in the
    lazy regime.

    **Raises** TypeError or ValueError for bad points.
    """

    net: Layer | Function
    X: Float[Array, "n d"]

    def __init__(self, net: Any, X: Float[Array, "n d"]):
        self.net, self.X = net, checks.points("X", X)

    def _measure(self, params: Params, start: Params) -> Float[Array, ""]:
        X = self.X.astype(jax.tree.leaves(params)[0].dtype)
        gap = as_function(self.net)(params, X) - linearize(self.net, start)(params, X)
        return safe_sqrt(jnp.sum(gap**2) / X.shape[0])
