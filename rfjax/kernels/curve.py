"""Depth for free: where a kernel is one function of the angle, it is evaluated as one short polynomial.

A network that is positively homogeneous (ReLU without bias), or any network on points of one norm, has
k(x, y) = (‖x‖‖y‖)^p f(θ) whatever its depth.  In t = sin(θ/2) up to θ = π/2, and t = cos(θ/2) beyond, f is analytic
wherever ReLUs and smooth functions make it, and a polynomial of a dozen terms a side replaces all layers.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rfjax.numerics import Covariance, matmul, safe_divide

_TOLERANCE = {"float32": 2e-6, "float64": 1e-11}  # of the largest coefficient: what the series may leave out
_FEW = 20  # terms, up to which it is evaluated in powers
_GROWTH = (
    100  # of the sum of the powers' coefficients over the largest of the series: digits that Horner's scheme loses
)


class Curve(eqx.Module):
    """f(θ) by polynomials in u = 2t/√½ − 1 on both sides of π/2, and whether they have converged.

    `near` and `far` are the coefficients of Chebyshev polynomials, or, of few, of powers of u: two operations a term
    instead of four, and as exact while the series falls faster than the powers' coefficients in it grow.
    """

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
        series = matmul(values.reshape(2, terms), jnp.asarray(transform, values.dtype))
        largest = jnp.abs(series).max()
        converged = _left_out(series).max() <= _TOLERANCE.get(str(values.dtype), 1e-5) * largest
        if terms > _FEW:
            return cls(series[0], series[1], converged)
        powers = matmul(series, jnp.asarray(_powers(terms), values.dtype))
        return cls(powers[0], powers[1], converged & (jnp.abs(powers).sum(axis=1).max() <= _GROWTH * largest))

    def __call__(self, smaller: Float[Array, "..."], beyond: Bool[Array, "..."]) -> Float[Array, "..."]:
        """f from 1 − |cos θ| and whether θ is beyond π/2: Horner's scheme for powers, Clenshaw's for Chebyshev's."""
        u = 2 * jnp.sqrt(jnp.maximum(smaller, jnp.finfo(smaller.dtype).tiny)) - 1  # derivative 0 at 0

        def coefficient(k: int) -> Float[Array, "..."]:
            return jnp.where(beyond, self.far[k], self.near[k])

        terms = self.near.shape[0]
        following, current = jnp.zeros_like(u), coefficient(terms - 1)
        if terms <= _FEW:
            for k in range(terms - 2, -1, -1):
                current = current * u + coefficient(k)
            return current
        for k in range(terms - 2, 0, -1):
            following, current = current, 2 * u * current - following + coefficient(k)
        return u * current - following + coefficient(0)


def _left_out(coefficients: Float[Array, "... terms"]) -> Float[Array, "..."]:
    """Σ_{k >= terms} |c_k| if the last two pairs go on as they fall; at most the last pair, which rounding may be all of."""
    size = jnp.abs(coefficients)
    before, last = size[..., -4:-2].sum(axis=-1), size[..., -2:].sum(axis=-1)
    ratio = safe_divide(last, before)
    return last * jnp.minimum(safe_divide(ratio, jnp.maximum(1 - ratio, 0.1)), 1)


def terms_for(depth: int, dtype: jnp.dtype, power: float | None) -> int:
    """Terms with which kernels of this depth converge: leaky ReLUs' curves bend at angles of 1/depth, others sooner.

    `power` is that of a homogeneous network: of rectified powers the curve is as steep.
    """
    if dtype != jnp.float32:
        return round(22 + 4.5 * depth**0.5)
    if power is None:
        return round(14 + 2 * depth**0.5)
    return max(10, round(5 * depth**0.5 - 1)) + round(math.log2(max(power, 1)))


def _chebyshev(terms: int) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, "q q"]]:
    """Nodes t in (0, √½), and the matrix from values there to Chebyshev coefficients."""
    angles = np.pi * (np.arange(terms) + 0.5) / terms
    k = np.arange(terms)
    transform = 2 / terms * np.cos(angles[:, None] * k)
    transform[:, 0] /= 2
    return (np.cos(angles) + 1) / 2 * np.sqrt(0.5), transform


def _powers(terms: int) -> Float[np.ndarray, "q q"]:
    """The matrix from Chebyshev coefficients to those of powers."""
    rows = [np.polynomial.chebyshev.cheb2poly(unit) for unit in np.eye(terms)]
    return np.array([np.pad(row, (0, terms - len(row))) for row in rows])
