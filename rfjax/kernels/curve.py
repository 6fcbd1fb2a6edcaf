"""Depth for free: where a kernel is one function of the angle, it is evaluated as one short polynomial.

A network that is positively homogeneous (ReLU without bias), or any network on points of one norm, has
k(x, y) = (‖x‖‖y‖)^p f(θ) whatever its depth.  In t = sin(θ/2) up to θ = π/2, and t = cos(θ/2) beyond, f is analytic
wherever ReLUs and smooth functions make it, and a Chebyshev series of a dozen terms a side replaces all layers.
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rfjax.kernels.pairs import CrossPairs
from rfjax.numerics import Covariance, matmul, safe_divide, safe_sqrt

_TOLERANCE = {"float32": 2e-6, "float64": 1e-11}  # of the largest coefficient: what the series may leave out


class Curve(eqx.Module):
    """f(θ) by Chebyshev series in 2t/√½ − 1 on both sides of π/2, and whether they have converged."""

    near: Float[Array, " terms"]
    far: Float[Array, " terms"]
    converged: Bool[Array, ""]

    @classmethod
    def fit(cls, function: Callable[[Covariance], Float[Array, " q"]], square: Array, terms: int) -> "Curve":
        """Interpolate `function`, a kernel of pairs of variance `square`, at Chebyshev nodes of the angle."""
        nodes, transform = _chebyshev(terms)
        t = np.concatenate([nodes, nodes])
        small, large = (jnp.asarray(v, square.dtype) * square for v in (2 * t**2, 2 - 2 * t**2))
        near = np.repeat([True, False], terms)
        one = jnp.full_like(small, 1) * square
        values = function(Covariance(one, one, jnp.where(near, small, large), jnp.where(near, large, small)))
        coefficients = matmul(values.reshape(2, terms), jnp.asarray(transform, values.dtype))
        converged = (
            _left_out(coefficients).max() <= _TOLERANCE.get(str(values.dtype), 1e-5) * jnp.abs(coefficients).max()
        )
        return cls(coefficients[0], coefficients[1], converged)

    def __call__(self, pairs: CrossPairs) -> Float[Array, "n m"]:
        """f at the angles of the pairs, by Clenshaw's recursion."""
        folded = pairs.folded
        beyond = folded < 0
        u = 2 * safe_sqrt(jnp.abs(folded)) - 1

        def coefficient(k: int) -> Float[Array, "n m"]:
            return jnp.where(beyond, self.far[k], self.near[k])

        following, current = jnp.zeros_like(u), jnp.zeros_like(u)
        for k in range(self.near.shape[0] - 1, 0, -1):
            following, current = current, 2 * u * current - following + coefficient(k)
        return u * current - following + coefficient(0)


def _left_out(coefficients: Float[Array, "... terms"]) -> Float[Array, "..."]:
    """Σ_{k >= terms} |c_k| if the last two pairs go on as they fall; at most the last pair, which rounding may be all of."""
    size = jnp.abs(coefficients)
    before, last = size[..., -4:-2].sum(axis=-1), size[..., -2:].sum(axis=-1)
    ratio = safe_divide(last, before)
    return last * jnp.minimum(safe_divide(ratio, jnp.maximum(1 - ratio, 0.1)), 1)


def terms_for(depth: int, dtype: jnp.dtype, *, homogeneous: bool) -> int:
    """Terms with which kernels of this depth converge: leaky ReLUs' curves bend at angles of 1/depth, others sooner."""
    if dtype != jnp.float32:
        return round(22 + 4.5 * depth**0.5)
    return max(12, round(5 * depth**0.5 - 2)) if homogeneous else round(14 + 2 * depth**0.5)


def _chebyshev(terms: int) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, "q q"]]:
    """Nodes t in (0, √½), and the matrix from values there to Chebyshev coefficients."""
    angles = np.pi * (np.arange(terms) + 0.5) / terms
    k = np.arange(terms)
    transform = 2 / terms * np.cos(angles[:, None] * k)
    transform[:, 0] /= 2
    return (np.cos(angles) + 1) / 2 * np.sqrt(0.5), transform
