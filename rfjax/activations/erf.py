"""The error function: its dual is an arcsine, analytic however close the points are."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.activations.base import Nonlinearity
from rfjax.activations.piecewise import step_coefficients
from rfjax.activations.smooth import nonnegative, quotient
from rfjax.numerics import Covariance, arctan2, safe_sqrt

_LARGE = 2.0**32


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
        one, two = _side(pair.left / self.width**2), _side(pair.right / self.width**2)
        p = _parts(pair, one, two, self.width)
        geometric = (2 / math.pi) * one.root * two.root
        small = self.height**2 * _shortfall(p, one, two)
        scale = self.height**2
        large = nonnegative(2 * scale * geometric - small)
        obtuse = pair.below > pair.above
        arcsine = Covariance(
            scale * (2 / math.pi) * one.angle,
            scale * (2 / math.pi) * two.angle,
            jnp.where(obtuse, large, small),
            jnp.where(obtuse, small, large),
        )
        return arcsine if self.offset == 0 else arcsine.affine(1.0, abs(self.offset))

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        one, two = _side(pair.left / self.width**2), _side(pair.right / self.width**2)
        p = _parts(pair, one, two, self.width)
        return (4 / math.pi * (self.height / self.width) ** 2) * (one.scale / p.cosine) * two.scale

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        # erf(x/width) = 2·P(ε <= √2·x/width) − 1 smooths a step by independent noise, which damps degree k by ρ^k.
        spread = math.hypot(scale, self.width / math.sqrt(2))
        rho = scale / spread
        a = 2 * self.height * rho ** np.arange(degree + 1) * step_coefficients(degree, shift / spread)
        a[0] += self.offset - self.height
        return a

    @property
    def fuses(self) -> bool:
        return True

    @property
    def homogeneity(self) -> None:
        return None

    @property
    def centres(self) -> tuple[float, ...]:
        return (0.0,)

    @property
    def relu_slopes(self) -> None:
        return None


class _Side(NamedTuple):
    """What one of the two variances contributes: α = asin(2q/(1+2q)), with functions of it that no q overflows."""

    scale: Float[Array, "..."]  # 1/√(1+2q)
    angle: Float[Array, "..."]  # α
    root: Float[Array, "..."]  # √α
    sine: Float[Array, "..."]  # sin(α/2)
    cosine: Float[Array, "..."]  # cos(α/2)


def _side(q: Float[Array, "..."]) -> _Side:
    scale = math.sqrt(0.5) / jnp.sqrt(0.5 + q)
    opposite, adjacent = 2 * (q * scale) * scale, scale * jnp.sqrt(2 - scale**2)
    cosine = jnp.sqrt((1 + adjacent) / 2)
    angle = arctan2(opposite, adjacent)
    return _Side(scale, angle, safe_sqrt(angle), opposite / (2 * cosine), cosine)


class _Parts(NamedTuple):
    """sin β = ⟨u, v⟩ as the dual sees it, C = |sin β| and √(1 − C²), each free of cancellation."""

    short: Float[Array, "..."]  # √(sin α₁ sin α₂) − C
    reach: Float[Array, "..."]  # √(sin α₁ sin α₂)
    cosine: Float[Array, "..."]  # √(1 − C²)


def _parts(pair: Covariance, one: _Side, two: _Side, width: float) -> _Parts:
    # C = 2|q12|/√((1+2q11)(1+2q22));   1 − C² = p₁ + p₂ − p₁p₂ + 4(below/√‥)(above/√‥),  p = 1/(1+2q)
    below, above = ((2 / width**2) * (v * one.scale) * two.scale for v in (pair.below, pair.above))
    p1, p2 = (_LARGE * one.scale) ** 2, (_LARGE * two.scale) ** 2  # p alone would underflow at q = 1e38 in float32
    # Not the minimum, which at right angles has half a derivative in each.
    return _Parts(
        jnp.where(pair.below > pair.above, above, below),
        (below + above) / 2,
        jnp.sqrt(p1 + p2 * (1 - one.scale**2) + (_LARGE * below) * (_LARGE * above)) / _LARGE,
    )


def _shortfall(p: _Parts, one: _Side, two: _Side) -> Float[Array, "..."]:
    """(2/π)(√(α₁α₂) − asin C), which is small where u and v nearly agree, up to sign.

    With ᾱ = (α₁+α₂)/2 and Δ = (α₁−α₂)/2:   √(α₁α₂) = ᾱ − (√α₁ − √α₂)²/2,   sin β = C
    sin ᾱ − C = sin²Δ/(sin ᾱ + √(sin α₁ sin α₂)) + short
    sin(ᾱ − β) = (sin ᾱ − C)(sin ᾱ + C)/(sin ᾱ cos β + cos ᾱ sin β)
    """
    sine, cosine = one.sine * two.cosine + one.cosine * two.sine, one.cosine * two.cosine - one.sine * two.sine
    apart = one.sine * two.cosine - one.cosine * two.sine
    beta = p.reach - p.short
    ahead = quotient(apart**2, sine + p.reach) + p.short
    opposite = quotient(ahead * (sine + beta), sine * p.cosine + cosine * beta)
    turned = arctan2(opposite, cosine * p.cosine + sine * beta)
    return (2 / math.pi) * nonnegative(turned - (one.root - two.root) ** 2 / 2)
