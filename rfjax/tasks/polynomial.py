"""Random polynomials of given degree: what random features do learn, when the degree is low."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax.numerics import gram, hermite
from rfjax.tasks.base import Task


class RandomPolynomial(Task):
    """g(x) = Σ_{k=1}^{degree} Σ_j c_kj h_k(⟨w_kj, x⟩) with unit w_kj; made by `rf.tasks.polynomial`.

    The h_k of different degrees are orthogonal and E h_k(⟨v, x⟩)h_k(⟨w, x⟩) = ⟨v, w⟩^k, so that the energy of each
    degree is exact: it is 1/degree, and the variance is 1.
    """

    directions: Float[Array, "degree terms d"]
    weights: Float[Array, "degree terms"]
    dimension: int = eqx.field(static=True)

    @property
    def d(self) -> int:
        return self.dimension

    @property
    def degree(self) -> int:
        """The polynomial's degree."""
        return self.weights.shape[0]

    @property
    def mean(self) -> float:
        return 0.0

    @property
    def variance(self) -> float:
        return 1.0

    def _target(self, X: Float[Array, "n d"]) -> Float[Array, " n"]:
        total = jnp.zeros(X.shape[0], X.dtype)
        for k in range(self.degree):
            total += hermite(k + 1, gram(X, self.directions[k].astype(X.dtype))) @ self.weights[k].astype(X.dtype)
        return total


def draw(d: int, degree: int, terms: int, key: Array) -> RandomPolynomial:
    """Uniform directions and Gaussian coefficients, normalised so that each degree has energy exactly 1/degree."""
    direction_key, weight_key = jax.random.split(key)
    directions = jax.random.normal(direction_key, (degree, terms, d))
    directions /= jnp.linalg.norm(directions, axis=-1, keepdims=True)
    weights = jax.random.normal(weight_key, (degree, terms))
    overlaps = jnp.stack([gram(w, w) ** (k + 1) for k, w in enumerate(directions)])
    energy = jnp.einsum("kj,kjl,kl->k", weights, overlaps, weights, precision=jax.lax.Precision.HIGHEST)
    return RandomPolynomial(directions, weights / jnp.sqrt(degree * energy)[:, None], d)
