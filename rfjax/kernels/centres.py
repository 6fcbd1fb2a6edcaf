"""Centres: the few points that stand for all others in a Nyström approximation."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax.kernels.base import Kernel
from rfjax.kernels.pivoted import pivoted_cholesky
from rfjax.numerics import gram, safe_divide, shifted_cholesky, solve_lower

CHOICES = ("uniform", "rpcholesky", "leverage", "kmeans")
_CANDIDATES = 20_000  # points among which centres are looked for
_ROUNDS = 10  # of Lloyd's, after which centres hardly move
_ENTRIES = 2**22  # distances that are held at once


def choose_centres(
    kernel: Kernel, X: Any, count: int, choice: str, *, ridge: float | None, key: PRNGKeyArray
) -> Float[Array, "m d"]:
    """`count` rows of X [n, d], an array of any kind or a memory map, or means of rows; all rows where count = n.

        uniform      without replacement
        rpcholesky   with probability of what is left of the diagonal (`pivoted_cholesky`)
        leverage     with probability of the ridge leverage scores diag K(K + ridge·I)⁻¹, by a factor of K of that rank
        kmeans       the means of clusters: Lloyd's algorithm from uniform rows

    All but the first look at 20,000 rows.  `ridge` None is tr K/count, at which the effective dimension is below
    `count`.  There may be fewer where only rounding is left.  Eager: rows are drawn on the host.

    Alaoui & Mahoney 2015 (leverage scores); Zhang, Tsang & Kwok 2008 (k-means).
    """
    n = X.shape[0]
    among, draw = jax.random.split(key)
    if choice == "uniform" or count == n:
        return jnp.asarray(X[some(draw, n, count)])
    pool = jnp.asarray(X[some(among, n, min(n, max(_CANDIDATES, count)))])
    if choice == "kmeans":
        return _cluster_means(pool, pool[some(draw, len(pool), count)])
    found = pivoted_cholesky(kernel, pool, count, key=draw)
    pivots = found.pivots[: int(found.count)]
    if choice == "rpcholesky":
        return pool[pivots]
    if ridge is None:
        ridge = float(kernel.diag(pool).sum()) / count * n / len(pool)
    scores = _leverage(found.factor, jnp.asarray(ridge * len(pool) / n, found.factor.dtype))
    chance = np.asarray(scores, np.float64)
    picks = np.random.default_rng(np.asarray(jax.random.key_data(draw))).choice(
        len(pool), min(count, int((chance > 0).sum())), replace=False, p=chance / chance.sum()
    )
    return pool[np.sort(picks)]


@jax.jit
def whitening(kernel: Kernel, Z: Float[Array, "m d"]) -> Float[Array, "m m"]:
    """T, lower, with T Tᵀ = k(Z, Z) up to rounding; I where that is zero, as it is for networks at Z = 0."""
    K = kernel(Z)
    return shifted_cholesky(K, jnp.where(jnp.trace(K) == 0, jnp.ones((), K.dtype), 0))[0]


def some(key: PRNGKeyArray, n: int, count: int) -> np.ndarray:
    """`count` different numbers below n in their order."""
    return np.sort(np.random.default_rng(np.asarray(jax.random.key_data(key))).choice(n, count, replace=False))


@jax.jit
def _leverage(factor: Float[Array, "m n"], ridge: Float[Array, ""]) -> Float[Array, " n"]:
    """diag of FᵀF(FᵀF + ridge·I)⁻¹, through the small matrix FFᵀ."""
    lower, _ = shifted_cholesky(gram(factor, factor), ridge)
    return jnp.sum(solve_lower(lower, factor) ** 2, axis=0)


@jax.jit
def _cluster_means(X: Float[Array, "n d"], Z: Float[Array, "m d"]) -> Float[Array, "m d"]:
    """The means of the rows that are nearest to each centre, again and again; a centre that is nearest to none stays."""
    middle = X.mean(axis=0)  # distances cancel less around it
    X, Z = X - middle, Z - middle

    def moved(_: int, Z: Float[Array, "m d"]) -> Float[Array, "m d"]:
        half = (Z**2).sum(axis=1) / 2
        nearest = lax.map(lambda x: jnp.argmin(half - Z @ x), X, batch_size=max(1, _ENTRIES // len(Z)))
        sums = jax.ops.segment_sum(X, nearest, len(Z))
        members = jax.ops.segment_sum(jnp.ones(len(X), X.dtype), nearest, len(Z))[:, None]
        return jnp.where(members > 0, safe_divide(sums, members), Z)

    return lax.fori_loop(0, _ROUNDS, moved, Z) + middle
