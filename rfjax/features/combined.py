"""Feature maps made of others, as kernels are: sums, scalings and columns."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.features.base import FeatureMap
from rfjax.kernels import Kernel


class Concatenated(FeatureMap):
    """φ(x) = [√c_1·φ_1(x), √c_2·φ_2(x), …], which stands for Σ_i c_i k_i: a scaled sum of kernels."""

    approximates: Kernel
    maps: tuple[FeatureMap, ...]
    factors: tuple[Float[Array, ""] | float, ...]

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        parts = zip(self.maps, self.factors, strict=True)
        return jnp.concatenate([jnp.sqrt(jnp.asarray(c, X.dtype)) * phi._features(X) for phi, c in parts], axis=1)

    @property
    def in_dim(self) -> int | None:
        return self.maps[0].in_dim


class OnColumns(FeatureMap):
    """φ(x) = map(x_c) on some columns c: what `k.on(columns)` is for kernels."""

    approximates: Kernel
    map: FeatureMap
    columns: tuple[int, ...] = eqx.field(static=True)
    width: int = eqx.field(static=True)

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        return self.map._features(X[:, np.array(self.columns)])

    @property
    def in_dim(self) -> int:
        return self.width
