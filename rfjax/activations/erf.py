"""The error function: its dual is an arcsine, analytic however close the points are."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.activations.base import Nonlinearity
from rfjax.activations.piecewise import step_coefficients
from rfjax.numerics import Covariance, safe_divide, safe_sqrt


class Erf(Nonlinearity):
    """σ(x) = offset + height·erf(x/width).

    With q = covariance of (u, v)/width:

        κ = offset² + height²·(2/π)asin(2q12/√((1+2q11)(1+2q22)))
        E σ'(u)σ'(v) = (height/width)²·(4/π)/√((1+2q11)(1+2q22) − 4q12²)

    Williams 1997, *Computing with infinite networks*.
    """

    height: float = eqx.field(static=True, default=1.0)
    width: float = eqx.field(static=True, default=1.0)
    offset: float = eqx.field(static=True, default=0.0)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.offset + self.height * jax.scipy.special.erf(x / self.width)

    def _propagate(self, pair: Covariance) -> Covariance:
        q = pair.affine(1 / self.width, 0.0)
        left, right = (_arcsine(2 * s, safe_sqrt(1 + 4 * s)) for s in (q.left, q.right))
        below, above = _below(q, q.below), _below(q, q.above)
        shift, scale = self.offset**2, self.height**2
        if self.offset == 0:
            return Covariance(scale * left, scale * right, scale * below, scale * above)
        # A constant added to both: with a² = height²·left, and so on, Lagrange's identity as in Covariance.affine.
        return Covariance(scale * left, scale * right, scale * below, scale * above).affine(1.0, math.sqrt(shift))

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        q = pair.affine(1 / self.width, 0.0)
        return (self.height / self.width) ** 2 * (4 / math.pi) / jnp.sqrt(_determinant(q))

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        # erf(x/width) = 2·P(ε <= √2·x/width) − 1 smooths a step by independent noise, which damps degree k by ρ^k.
        spread = math.hypot(scale, self.width / math.sqrt(2))
        rho = scale / spread
        a = 2 * self.height * rho ** np.arange(degree + 1) * step_coefficients(degree, shift / spread)
        a[0] += self.offset - self.height
        return a

    @property
    def homogeneity(self) -> None:
        return None

    @property
    def centres(self) -> tuple[float, ...]:
        return (0.0,)

    @property
    def relu_slopes(self) -> None:
        return None


def _determinant(q: Covariance) -> Float[Array, "..."]:
    """(1+2q11)(1+2q22) − 4q12², as a sum of positive terms."""
    return 1 + 2 * q.left + 2 * q.right + 4 * q.below * q.above


def _arcsine(opposite: Float[Array, "..."], adjacent: Float[Array, "..."]) -> Float[Array, "..."]:
    """(2/π)·asin of opposite/√(opposite² + adjacent²)."""
    return (2 / math.pi) * jnp.arctan2(opposite, adjacent)


def _below(q: Covariance, below: Float[Array, "..."]) -> Float[Array, "..."]:
    """√(κ11 κ22) − κ12 for erf, where `below` is √(q11 q22) − q12; given `above` it is √(κ11 κ22) + κ12 (erf is odd).

    2·below' = E(σ(u) − σ(v))² − (√κ11 − √κ22)²,   E(σ(u) − σ(v))² = gap_u + gap_v,   κ11 − κ22 = gap_u − gap_v
    gap_u = (2/π)(asin A − asin C),   asin A − asin C = atan2(A c' − C a', C A + c' a'),  a' = √(1−A²), c' = √(1−C²)
    A = 2q11/(1+2q11),  C = 2q12/√((1+2q11)(1+2q22));   A − C itself from `below` and q11 − q22
    """
    a, b = safe_sqrt(q.left), safe_sqrt(q.right)
    m1, m2 = jnp.sqrt(1 + 2 * q.left), jnp.sqrt(1 + 2 * q.right)
    cross = q.geometric - below
    corner = jnp.sqrt(_determinant(q)) / (m1 * m2)
    spread = safe_divide(q.left - q.right, a * m2 + b * m1)

    def gap(own: Float[Array, "..."], m: Float[Array, "..."], difference: Float[Array, "..."]) -> Float[Array, "..."]:
        large, small = 2 * own / m**2, 2 * cross / (m1 * m2)
        cosine = jnp.sqrt(1 + 4 * own) / m**2
        # A²(1−C²) − C²(1−A²) = (A−C)(A+C), divided by the conjugate where that does not vanish.
        sine = safe_divide(difference * (large + small), large * corner + small * cosine)
        exact = jnp.where(small > 0, sine, large * corner - small * cosine)
        return (2 / math.pi) * jnp.arctan2(exact, large * small + corner * cosine)

    gap_u = gap(q.left, m1, 2 / (m1 * m2) * (a * spread / m1 + below))
    gap_v = gap(q.right, m2, 2 / (m1 * m2) * (-b * spread / m2 + below))
    k11, k22 = (_arcsine(2 * s, jnp.sqrt(1 + 4 * s)) for s in (q.left, q.right))
    radial = safe_divide(gap_u - gap_v, safe_sqrt(k11) + safe_sqrt(k22))
    return jnp.maximum((gap_u + gap_v - radial**2) / 2, 0)
