"""How many directions the hidden features use."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.networks import Params, Serial
from rfjax.numerics import gram, normal_matrix, safe_divide
from rfjax.training import Diagnostic


class FeatureRank(Diagnostic):
    """The effective number of directions of the last hidden layer's activations H [n, p] on given points, σ_i their
    singular values:

        measure="entropy"        exp(−Σ p_i log p_i), p_i = σ_i/Σσ     the effective rank of Roy & Vetterli 2007
        measure="participation"  (Σσ_i²)²/Σσ_i⁴                        the participation ratio, without a decomposition

    Both are 1 where all rows are parallel and min(n, p) where all σ are equal.  `net` is an `rf.Serial` network, or any
    function (params, X) → [n, p] that gives the features.

    **Raises** TypeError for anything else, ValueError for another measure or bad points.
    """

    features: Callable[[Params, Float[Array, "n d"]], Float[Array, "n p"]]
    X: Float[Array, "n d"]
    measure: str = eqx.field(static=True)

    def __init__(self, net: Any, X: Float[Array, "n d"], measure: str = "entropy"):
        if not isinstance(net, Serial) and not callable(net):
            raise TypeError(
                f"net must be a Serial network or a function (params, X) -> [n, p], got {type(net).__name__}"
            )
        self.features = net.hidden if isinstance(net, Serial) else net
        self.X = checks.points("X", X)
        self.measure = checks.choice("measure", measure, ("entropy", "participation"))

    def _measure(self, params: Params, start: Params) -> Float[Array, ""]:
        H = self.features(params, self.X.astype(jax.tree.leaves(params)[0].dtype))
        if self.measure == "participation":
            K = gram(H, H) if H.shape[0] <= H.shape[1] else normal_matrix(H)
            return safe_divide(jnp.trace(K) ** 2, jnp.sum(K**2))
        sigma = jnp.linalg.svd(H, compute_uv=False)
        p = safe_divide(sigma, sigma.sum())
        return jnp.exp(-jnp.sum(p * jnp.log(jnp.where(p > 0, p, 1))))
