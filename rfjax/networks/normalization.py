"""Normalisation over the units of a layer."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.networks.base import Layer, Params, State, require_gaussian
from rfjax.numerics import safe_divide, safe_sqrt


class LayerNorm(Layer):
    """Every point's units brought to mean 0 and variance 1, without trainable scale or shift: it has no parameters.

        h' = (h − mean h)/√(var h + eps)            mean and variance over units; 0 where var h + eps = 0

    Infinite width, with q the NNGP and Θ the NTK before the layer: the mean of Gaussian units tends to 0 and their
    variance to q, and both move with the parameters only by O(1/width), so that the normaliser is a constant,

        q'(x, y) = q(x, y)/√((q(x, x) + eps)(q(y, y) + eps)),   Θ' = Θ/√((q(x, x) + eps)(q(y, y) + eps)).

    Ba, Kiros & Hinton 2016, *Layer normalization*.

    **Raises** ValueError for a negative or infinite eps; the infinite-width reading ValueError where units are not
    centred Gaussians: it belongs after a Dense layer, or after a sum of such.
    """

    eps: Float[Array, ""] | float
    exact: bool = eqx.field(static=True)

    def __init__(self, eps: Float[Array, ""] | float = 0.0):
        self.eps = checks.number("eps", eps, least=0.0)
        self.exact = isinstance(eps, (int, float, np.number)) and eps == 0

    def _init(self, key: PRNGKeyArray, in_dim: int) -> Params:
        return {}

    def _apply(self, params: Params, X: Float[Array, "n in"], key: PRNGKeyArray | None = None) -> Float[Array, "n in"]:
        centred = X - jnp.mean(X, axis=1, keepdims=True)
        return safe_divide(centred, safe_sqrt(jnp.mean(centred**2, axis=1, keepdims=True) + self.eps))

    def _propagate(self, state: State) -> State:
        require_gaussian("LayerNorm", state)
        pair = state.covariance
        roots = safe_sqrt(pair.left + self.eps), safe_sqrt(pair.right + self.eps)
        ntk = safe_divide(safe_divide(state.ntk, roots[0]), roots[1])
        return dataclasses.replace(state, covariance=pair.normalize(self.eps), ntk=ntk)

    def width_out(self, in_dim: int) -> int:
        return in_dim

    def fresh(self, before: bool = False) -> bool:
        return before

    def homogeneity(self, degree: float | None) -> float | None:
        return 0 if degree == 0 or (self.exact and degree is not None) else None
