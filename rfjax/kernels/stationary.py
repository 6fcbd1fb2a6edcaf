"""Kernels of the distance: Gaussian (rbf), Laplace, Matérn and rational quadratic.

With one length scale ℓ they see s = ‖x − y‖²/ℓ².  With a vector of them, one a column (automatic relevance
determination), s = Σ_j (x_j − y_j)²/ℓ_j²: a long scale is a column that matters little.
"""

import math
from fractions import Fraction
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.kernels.base import Kernel
from rfjax.kernels.hyperparameters import Scalar, Scales, like, real, scales
from rfjax.kernels.pairs import Pairs
from rfjax.numerics import safe_divide, safe_sqrt

_FAR = 1e3  # e^{−r} has reached 0


class RBF(Kernel):
    """k(x, y) = exp(−s/2).

    `length_scale`, a number or a vector [d], is in the units of x.  **Raises** ValueError unless it is positive.
    """

    length_scale: Scales = eqx.field(default=1.0, converter=scales("length_scale"))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return jnp.exp(-_squared_distance(pairs, self.length_scale) / 2)


class Matern(Kernel):
    """k(x, y) = 2^{1−ν}/Γ(ν)·r^ν·K_ν(r), r = √(2νs), for half-integer ν = p + ½, where it is elementary:

        k = e^{−r}·p!/(2p)!·Σ_i (p+i)!/(i!(p−i)!)·(2r)^{p−i}
        ν = ½: e^{−r}      ν = 3/2: (1 + r)e^{−r}      ν = 5/2: (1 + r + r²/3)e^{−r}

    ν is the smoothness: functions of its Hilbert space have about ν + d/2 derivatives.  At ν = ½, the Laplace kernel,
    there is a cusp at x = y, where the derivative is taken as 0.  Rasmussen & Williams 2006, §4.2.

    **Raises** ValueError unless `nu` is ½, 3/2, 5/2, … and `length_scale` positive, a number or a vector [d].
    """

    nu: float = eqx.field(static=True, converter=lambda nu: _half_integer(nu))
    length_scale: Scales = eqx.field(default=1.0, converter=scales("length_scale"))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return _matern(2 * self.nu * _squared_distance(pairs, self.length_scale), int(self.nu))


class RationalQuadratic(Kernel):
    """k(x, y) = (1 + s/(2α))^{−α}, a mixture of rbf kernels of all length scales, and the rbf kernel as α → ∞.

    **Raises** ValueError unless `alpha` and `length_scale` are positive, the latter a number or a vector [d].
    """

    alpha: Scalar = eqx.field(default=1.0, converter=real("alpha", above=0.0))
    length_scale: Scales = eqx.field(default=1.0, converter=scales("length_scale"))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        square = _squared_distance(pairs, self.length_scale)
        alpha = like(self.alpha, square)
        return jnp.exp(-alpha * jnp.log1p(square / (2 * alpha)))


def rbf(length_scale: Scales = 1.0) -> RBF:
    """The Gaussian kernel exp(−‖x − y‖²/(2·length_scale²)); `length_scale` > 0 in the units of x, or one a column."""
    return RBF(length_scale)


def laplace(length_scale: Scales = 1.0) -> Matern:
    """The Laplace kernel exp(−‖x − y‖/length_scale), of the Euclidean distance: Matérn's of nu = ½.

    On the sphere its Hilbert space is that of the NTK of a ReLU network: Geifman et al. 2020, *On the similarity
    between the Laplace and neural tangent kernels*.
    """
    return Matern(0.5, length_scale)


def matern(nu: float, length_scale: Scales = 1.0) -> Matern:
    """The Matérn kernel of smoothness `nu` = ½, 3/2, 5/2, …; `length_scale` > 0 in the units of x, or one a column."""
    return Matern(nu, length_scale)


def rational_quadratic(alpha: Scalar = 1.0, length_scale: Scales = 1.0) -> RationalQuadratic:
    """The rational quadratic kernel (1 + ‖x − y‖²/(2·alpha·length_scale²))^(−alpha); both > 0."""
    return RationalQuadratic(alpha, length_scale)


def _squared_distance(pairs: Pairs, length_scale: Scales) -> Float[Array, "..."]:
    """s, the squared distance in length scales.  Raises ValueError unless there is one a column."""
    if jnp.ndim(length_scale) == 0:
        square = pairs.squared_distance
        scale = like(length_scale, square)
        # Distances beyond the range of the dtype have derivative 0.
        largest = jnp.finfo(square.dtype).max
        far = ~(lax.stop_gradient(square / scale / scale) < largest)
        return jnp.where(far, largest, jnp.where(far, 0, square) / scale / scale)
    entries = jnp.shape(length_scale)[0]
    if entries != pairs.columns:
        raise ValueError(f"length_scale must have one entry a column: got {entries} for {pairs.columns} columns")
    square = pairs.transformed(lambda X: X / jnp.asarray(length_scale, X.dtype)).squared_distance
    return jnp.minimum(square, jnp.finfo(square.dtype).max)


def _half_integer(nu: Any) -> float:
    value = checks.number("nu", nu, above=0.0)
    if checks.is_traced(value) or value % 1 != 0.5:
        raise ValueError(f"nu must be a half-integer (0.5, 1.5, 2.5, ...; rbf is its limit), got {nu!r}")
    return float(value)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _matern(square: Float[Array, "..."], p: int) -> Float[Array, "..."]:
    """The Matérn kernel of ν = p + ½ as a function of r²."""
    r = jnp.minimum(safe_sqrt(square), _FAR)
    total = jnp.zeros_like(r)
    for i in range(p + 1):  # from the highest power, p − i, down
        ways = Fraction(math.factorial(p) * math.factorial(p + i), math.factorial(2 * p) * math.factorial(i))
        total = total * r + float(ways * 2 ** (p - i) / math.factorial(p - i))
    return total * jnp.exp(-r)


@_matern.defjvp
def _matern_jvp(p, primals, tangents):
    # ∂k_p/∂r² = −k_{p−1}/(2(2p−1)) has no root of r² in it, where differentiating through r would lose the curvature
    # at x = y.  At p = 0 that is the cusp.
    (square,), (tangent,) = primals, tangents
    value = _matern(square, p)
    slope = safe_divide(value, -2 * safe_sqrt(square)) if p == 0 else -_matern(square, p - 1) / (2 * (2 * p - 1))
    return value, slope * tangent
