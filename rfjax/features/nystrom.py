"""Nyström features: any kernel at all, seen from some points of the data."""

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.features.base import FeatureMap
from rfjax.kernels import Kernel
from rfjax.kernels.base import as_operand
from rfjax.kernels.centres import CHOICES, choose_centres, whitening
from rfjax.numerics import matmul, solve_lower, whitened


class Nystrom(FeatureMap):
    """φ(x) = T⁻¹k(Z, x) for centres Z of some `choice`, with T Tᵀ = k(Z, Z) + μI.  Prefer `rf.features.nystrom`."""

    approximates: Kernel
    points: Float[Array, "p d"]
    whitening: Float[Array, "p p"]
    choice: str = eqx.field(static=True, default="uniform")

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        K = self.approximates(X, self.points.astype(X.dtype))
        return whitened(self.whitening.astype(K.dtype), K)

    def _product(self, X: Float[Array, "n d"], c: Float[Array, "p ..."]) -> Float[Array, "n ..."]:
        K = self.approximates(X, self.points.astype(X.dtype))
        return matmul(K, solve_lower(self.whitening.astype(K.dtype), c.astype(K.dtype), transposed=True))

    @property
    def in_dim(self) -> int:
        return self.points.shape[1]


def nystrom(
    kernel: Kernel,
    X: Float[Array, "n d"],
    *,
    features: int,
    key: PRNGKeyArray,
    centres: str = "rpcholesky",
    ridge: float | None = None,
) -> Nystrom:
    """Features of any kernel from `features` rows of X: φ(x)·φ(y) = k(x, Z)(k(Z, Z) + μI)⁻¹k(Z, y).

    `centres` are drawn uniformly ("uniform"), by randomly pivoted Cholesky ("rpcholesky": near the best that any p
    columns allow), by ridge leverage scores ("leverage", at `ridge`, by default tr k(X)/p) or are the means of clusters
    ("kmeans"); the latter three look at 20,000 rows.  μ = 10·eps·tr k(Z, Z) keeps points that nearly coincide, or
    repeat, from ruining the factor in float32; where k(Z, Z) = 0 it is 1.

    Not unbiased: k − φ·φ is positive semi-definite, so that k is approximated from below, and exactly (to μ) on Z.
    p = `features`, or fewer where pivots run out of anything but rounding.  Eager; the map it returns jits, vmaps,
    differentiates and shards.  Williams & Seeger 2001.

    **Raises** TypeError or ValueError for bad data, unknown names, or more features than rows.
    """
    kernel, X = as_operand(kernel), checks.points("X", X)
    count = checks.count("features", features)
    checks.choice("centres", centres, CHOICES)
    if ridge is not None:
        checks.number("ridge", ridge, above=0.0)
    if count > X.shape[0]:
        raise ValueError(f"features must be at most the number of points, {X.shape[0]}, got {count}")
    Z = choose_centres(kernel, X, count, centres, ridge=ridge, key=checks.prng_key("key", key))
    return Nystrom(kernel, Z, whitening(kernel, Z), centres)
