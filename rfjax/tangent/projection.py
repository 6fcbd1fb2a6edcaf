"""Tangent features projected at random to few dimensions: the projection is drawn as it is used, and never held."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import held_bytes
from rfjax.kernels.tiles import require_fits
from rfjax.networks import Function, Params
from rfjax.tangent.selection import Chosen, choose, point_function

PROJECTIONS = ("gaussian", "rademacher", "sparse")
_TOGETHER = 64  # features that one forward pass makes, at most


class ProjectedTangentFeatures(FeatureMap):
    """ψ_j(x) = (1/√(p·c)) Σ_a s_{ja} ⟨r_j, ∂f_a(x)/∂θ⟩, j = 1…p: [n, p], whose Gram matrix has the empirical NTK as mean.

    s are random signs, and r_j has independent entries of mean 0 and variance 1: gaussian, rademacher (±1) or sparse
    (±√s with probability 1/(2s) each, else 0, s = √P; Li, Hastie & Church 2006, *Very sparse random projections*).
    Feature j is drawn from fold_in(key, j), whatever the blocks, and costs one forward-mode pass.
    """

    function: Function
    params: Params
    bits: UInt32[Array, "..."]
    implementation: str = eqx.field(static=True)
    features: int = eqx.field(static=True)
    projection: str = eqx.field(static=True)
    chosen: Chosen = eqx.field(static=True)

    def __init__(
        self, function: Function, params: Params, features: int, key: PRNGKeyArray, projection: str, parameters: Any
    ):
        self.function, self.params, self.chosen = function, params, choose(params, parameters)
        key = checks.prng_key("key", key)
        self.bits, self.implementation = jax.random.key_data(key), str(jax.random.key_impl(key))
        self.features = checks.count("features", features)
        self.projection = checks.choice("projection", projection, PROJECTIONS)

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        one, leaves = point_function(self.function, self.params, self.chosen, X.dtype)
        c = jax.eval_shape(one, leaves, X[0]).shape[0]
        key = jax.random.wrap_key_data(self.bits, impl=self.implementation)
        count = sum(leaf.size for leaf in leaves)

        def feature(j: Int[Array, ""]) -> Float[Array, " n"]:
            sign_key, *keys = jax.random.split(jax.random.fold_in(key, j), len(leaves) + 1)
            direction = [self._draw(k, leaf, count) for k, leaf in zip(keys, leaves, strict=True)]
            signs = jax.random.rademacher(sign_key, (c,), X.dtype)
            _, change = jax.jvp(lambda theta: jax.vmap(one, (None, 0))(theta, X), (leaves,), (direction,))
            return jnp.matmul(change, signs, precision=lax.Precision.HIGHEST)

        each = 2 * count * X.dtype.itemsize
        require_fits(each, "one projected tangent feature")
        together = max(1, min(_TOGETHER, self.features, int(held_bytes({"cpu": 2**28}, 2**31) // each)))
        made = lax.map(feature, jnp.arange(self.features), batch_size=together)
        return made.T / (self.features * c) ** 0.5

    def _draw(self, key: PRNGKeyArray, leaf: Array, count: int) -> Array:
        if self.projection == "gaussian":
            return jax.random.normal(key, leaf.shape, leaf.dtype)
        if self.projection == "rademacher":
            return jax.random.rademacher(key, leaf.shape, leaf.dtype)
        rarity = count**0.5
        u = jax.random.uniform(key, leaf.shape, leaf.dtype)
        own = jnp.where(u < 0.5 / rarity, -1.0, jnp.where(u >= 1 - 0.5 / rarity, 1.0, 0.0))
        return (rarity**0.5 * own).astype(leaf.dtype)

    @property
    def in_dim(self) -> None:
        return None
