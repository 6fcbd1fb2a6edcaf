"""Depth for free: where a kernel is one function of the angle, it is evaluated as one short polynomial.

A network that is positively homogeneous (ReLU without bias) has k(x, y) = (‖x‖‖y‖)^p f(θ) whatever its depth.  In
t = sin(θ/2) up to θ = π/2, and t = cos(θ/2) beyond, f is analytic wherever ReLUs and smooth functions make it, and a
polynomial of a dozen terms a side replaces all layers.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rfjax.numerics import Covariance, matmul, safe_divide

Function = Callable[[Covariance], Float[Array, "..."]]

_TOLERANCE = {"float32": 2e-6, "float64": 1e-11}  # of the largest coefficient: what the series may leave out
FEW = 20  # terms, up to which it is evaluated in powers
_GROWTH = 100  # of the powers' coefficients over the largest of the series: digits that Horner's scheme loses


class Curve(eqx.Module):
    """(E u² E v²)^{power/2}·f(θ), by polynomials in u = 2t/√½ − 1 on both sides of π/2, and whether they have converged.

    `near` and `far` are the coefficients of Chebyshev polynomials, or, of few, of powers of u: two operations a term
    instead of four, and as exact while the series falls faster than the powers' coefficients in it grow.
    """

    near: Float[Array, " terms"]
    far: Float[Array, " terms"]
    converged: Bool[Array, ""]
    power: float = eqx.field(static=True)

    @classmethod
    def fit(cls, function: Function, dtype: jnp.dtype, terms: int, power: float) -> "Curve":
        """Interpolate `function`, a kernel homogeneous of degree `power` in each point, at Chebyshev nodes of the angle."""
        t, transform = angle_nodes(terms)
        one = jnp.ones(2 * terms, dtype)
        values = function(at_angles(one, one, np.concatenate([t, t]), np.repeat([False, True], terms)))
        series = matmul(values.reshape(2, terms), jnp.asarray(transform, values.dtype))
        largest = jnp.abs(series).max()
        converged = _left_out(series).max() <= _TOLERANCE.get(str(values.dtype), 1e-5) * largest
        if terms > FEW:
            return cls(series[0], series[1], converged, power)
        powers = matmul(series, jnp.asarray(in_powers(terms), values.dtype))
        converged &= jnp.abs(powers).sum(axis=1).max() <= _GROWTH * largest
        return cls(powers[0], powers[1], converged, power)

    def __call__(
        self, a: Float[Array, "n 1"], b: Float[Array, "1 m"], smaller: Float[Array, "n m"], beyond: Bool[Array, "n m"]
    ) -> Float[Array, "n m"]:
        """The kernel from √(E u²), √(E v²), 1 − |cos θ| and whether θ is beyond π/2."""
        value = polynomial(self.near, self.far, of_angle(smaller), beyond)
        return value if self.power == 0 else value * a**self.power * b**self.power


def at_angles(
    left: Float[Array, "..."], right: Float[Array, "..."], t: Float[np.ndarray, "..."], beyond: Bool[np.ndarray, "..."]
) -> Covariance:
    """The covariance of variances left and right with t = sin(θ/2), or cos(θ/2) `beyond` π/2."""
    geometric = jnp.sqrt(left * right)
    small, large = (jnp.asarray(v, geometric.dtype) * geometric for v in (2 * t**2, 2 - 2 * t**2))
    below, above = jnp.where(beyond, large, small), jnp.where(beyond, small, large)
    return Covariance(left, right, below, above)


def of_angle(smaller: Float[Array, "..."]) -> Float[Array, "..."]:
    """u = 2t/√½ − 1 from 1 − |cos θ| = 2t²; its derivative at 0 is 0."""
    return 2 * jnp.sqrt(jnp.maximum(smaller, jnp.finfo(smaller.dtype).tiny)) - 1


def polynomial(
    near: Float[Array, "terms ..."], far: Float[Array, "terms ..."], u: Float[Array, "..."], beyond: Bool[Array, "..."]
) -> Float[Array, "..."]:
    """A polynomial in u, another one `beyond` π/2: Horner's scheme for powers, Clenshaw's for Chebyshev's."""

    def coefficient(k: int) -> Float[Array, "..."]:
        return jnp.where(beyond, far[k], near[k])

    terms = near.shape[0]
    following, current = jnp.zeros_like(u), coefficient(terms - 1)
    if terms <= FEW:
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
        return round(15 + 2 * depth**0.5)
    return max(10, round(5 * depth**0.5 - 1)) + round(math.log2(max(power, 1)))


def angle_nodes(terms: int) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, "q q"]]:
    """Nodes t in (0, √½), and the matrix from values there to Chebyshev coefficients."""
    angles = np.pi * (np.arange(terms) + 0.5) / terms
    k = np.arange(terms)
    transform = 2 / terms * np.cos(angles[:, None] * k)
    transform[:, 0] /= 2
    return (np.cos(angles) + 1) / 2 * np.sqrt(0.5), transform


def in_powers(terms: int) -> Float[np.ndarray, "q q"]:
    """The matrix from Chebyshev coefficients to those of powers."""
    rows = [np.polynomial.chebyshev.cheb2poly(unit) for unit in np.eye(terms)]
    return np.array([np.pad(row, (0, terms - len(row))) for row in rows])
