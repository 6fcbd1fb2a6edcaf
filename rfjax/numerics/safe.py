"""Roots, norms and angles whose values and derivatives stay finite where the textbook forms do not."""

import math
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def safe_sqrt(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """√max(x, 0), with derivative 0 where x <= 0 (the limit of ½/√x is infinite there)."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)


def safe_divide(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    """a / b, and 0 with derivative 0 where b = 0."""
    nonzero = b != 0
    return jnp.where(nonzero, a / jnp.where(nonzero, b, 1), 0)


def fusible(ratio: Float[Array, "..."]) -> Float[Array, "..."]:
    """`ratio` itself, a quotient that several others are made of.

    XLA's CPU compiler repeats no division: where it has several readers, it and all of them are written to memory, pass
    after pass.  A maximum it repeats, and finds that all of them are one loop.
    """
    return jnp.maximum(ratio, jnp.finfo(ratio.dtype).min)


def norm(x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Euclidean norms of rows, without overflow or underflow of squares; derivative 0 at the zero row.

    s = max_j |x_j|;  ‖x‖ = s·√Σ_j (x_j/s)²

    Where the squares of all rows are within range, they are summed as they are, in a quarter of the time.
    """

    def scaled(x: Float[Array, "n d"]) -> Float[Array, " n"]:
        scale = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
        return scale[..., 0] * safe_sqrt(jnp.sum(safe_divide(x, scale) ** 2, axis=-1))

    def plain(x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return safe_sqrt(jnp.sum(x**2, axis=-1))

    range_of = jnp.finfo(x.dtype)
    square = jax.lax.stop_gradient(jnp.sum(x**2, axis=-1))
    return jax.lax.cond(((square > range_of.tiny / range_of.eps) & (square < range_of.max)).all(), plain, scaled, x)


@jax.custom_jvp
def angle(below: Float[Array, "..."], above: Float[Array, "..."]) -> Float[Array, "..."]:
    """The angle θ in [0, π] with cos θ = (above − below)/(above + below), right to the last digits near 0 and π.

        θ = 2·atan2(√below, √above)

    For vectors u, v take below = ‖u‖‖v‖ − ⟨u,v⟩ and above = ‖u‖‖v‖ + ⟨u,v⟩, each computed without cancellation
    (½‖û−v̂‖², say).  θ has a kink at 0 and π: there its derivative is taken as 0, the mean over directions.
    θ(0, 0) = 0.
    """
    low, high = jnp.minimum(below, above), jnp.maximum(below, above)
    ratio = safe_divide(low, high)
    acute = 2 * safe_sqrt(ratio) * _arctan_over(ratio)
    return jnp.where(below > above, math.pi - acute, acute)


@angle.defjvp
def _angle_jvp(primals, tangents):
    (below, above), (dbelow, dabove) = primals, tangents
    roots = safe_sqrt(below), safe_sqrt(above)
    rate = [safe_divide(b, a) for a, b in (roots, roots[::-1])]  # √(above/below) and √(below/above), 0 at an end
    return angle(below, above), safe_divide(rate[0] * dbelow - rate[1] * dabove, below + above)


def arctan2(y: Float[Array, "..."], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The angle of (x, y) for x >= 0, in [−π/2, π/2]; x and y are not both 0.

    Compilers leave the arctangent to a scalar routine, some twenty times slower than this polynomial.
    """
    size = jnp.where(y < 0, -y, y)
    steep = size > x
    t = fusible(jnp.where(steep, x, size) / jnp.where(steep, size, x))
    acute = t * _arctan_over(t**2)
    value = jnp.where(steep, math.pi / 2 - acute, acute)
    return jnp.where(y < 0, -value, value)


def _arctan_over(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """arctan(√u)/√u = 1 − u·(1/3 − u/5 + …) for u in [0, 1], by a series that is right to 2 units of rounding."""
    series = jnp.zeros_like(u)
    for coefficient in _arctan_series(8 if u.dtype == jnp.float32 else 19):
        series = series * u + coefficient
    return 1 - u * series


@lru_cache
def _arctan_series(degree: int) -> list[float]:
    """Coefficients of an interpolant of (1 − arctan(√u)/√u)/u at Chebyshev nodes of [0, 1], the highest first."""

    def function(u: Float[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
        small = sum((-u) ** k / (2 * k + 3) for k in range(24))
        return np.where(u < 0.1, small, (1 - np.arctan(np.sqrt(u)) / np.sqrt(u)) / u)

    series = np.polynomial.Chebyshev.interpolate(function, degree, domain=[0, 1])
    return series.convert(kind=np.polynomial.Polynomial).coef[::-1].tolist()


_SERIES = 12  # terms: below 1e-17 relative at θ = 1


def sin_minus_theta_cos(
    theta: Float[Array, "..."], sine: Float[Array, "..."], cosine: Float[Array, "..."]
) -> Float[Array, "..."]:
    """sin θ − θ cos θ to full relative precision for θ in [0, π]; it is θ³/3 near 0, where the difference cancels.

    Σ_{k≥1} (−1)^{k+1} 2k θ^{2k+1}/(2k+1)!   for θ < 1

    Whoever has the angle from lengths has its `sine` and `cosine` from them too.
    """
    small = theta < 1
    t = jnp.where(small, theta, 0)
    terms = 6 if theta.dtype == jnp.float32 else _SERIES
    factors = [(-1) ** (k + 1) * 2 * k / float(np.prod(np.arange(1.0, 2 * k + 2))) for k in range(1, terms + 1)]
    series = jnp.zeros_like(t)
    for factor in reversed(factors):
        series = series * t**2 + factor
    return jnp.where(small, series * t**3, sine - theta * cosine)
