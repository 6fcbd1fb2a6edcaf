"""Piecewise-linear and piecewise-constant functions with one break at 0: every dual is elementary in the angle θ."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float

from rfjax.activations.base import Nonlinearity
from rfjax.numerics import Covariance, angle, hermite_functions, safe_divide, safe_sqrt, sin_minus_theta_cos

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


class LeakyReLU(Nonlinearity):
    """σ(x) = x for x >= 0 and slope·x below: ReLU at slope 0, |x| at −1, the identity at 1.

    With α = (1+slope)/2 and β = (1−slope)/2, σ(x) = αx + β|x|, and the mixed terms vanish by symmetry:

        κ = α² q12 + β² √(q11 q22)·(2/π)(sin θ + (π/2 − θ)cos θ)
        E σ'(u)σ'(v) = α² + β²(1 − 2θ/π)

    Cho & Saul 2009, *Kernel methods for deep learning*.
    """

    slope: float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(x >= 0, x, self.slope * x)

    def _propagate(self, pair: Covariance) -> Covariance:
        alpha, beta = ((1 + self.slope) / 2) ** 2, ((1 - self.slope) / 2) ** 2
        below, above = _abs_moments(pair.below, pair.above)
        return Covariance(
            (alpha + beta) * pair.left,
            (alpha + beta) * pair.right,
            alpha * pair.below + beta * below,
            alpha * pair.above + beta * above,
        )

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        alpha, beta = ((1 + self.slope) / 2) ** 2, ((1 - self.slope) / 2) ** 2
        return alpha + beta * (1 - 2 * pair.angle / math.pi)

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        linear = np.zeros(degree + 1)
        linear[: min(degree + 1, 2)] = (shift, scale)[: degree + 1]
        return (1 - self.slope) * relu_coefficients(degree, scale, shift) + self.slope * linear

    def _moments(self, scale: float, shift: float) -> tuple[float, float]:
        # σ = x₊ − slope·(−x)₊; for β > 0, E(z+β)₊ = β + t₁ and E(z+β)₊² = 1 + β² − t₂, t the tails beyond |β|.
        first, second = (scale**k * _tail(k, scale, shift) for k in (1, 2))
        inside, outside = (1.0, self.slope) if shift >= 0 else (self.slope, 1.0)
        mean = inside * shift + (1 - self.slope) * first
        return mean, inside**2 * (scale * scale + shift * shift - second) + outside**2 * second

    @property
    def fuses(self) -> bool:
        return True

    @property
    def homogeneity(self) -> int:
        return 1

    @property
    def centres(self) -> tuple[float, ...]:
        return (0.0,)

    @property
    def relu_slopes(self) -> tuple[float, float]:
        return 1.0, -self.slope


class Threshold(Nonlinearity):
    """σ(x) = high for x >= 0 and low below: the unit step and the sign function.

    With m = (high+low)/2 and δ = (high−low)/2:  κ = m² + δ²(1 − 2θ/π).  Its derivative is 0 almost everywhere, and
    so is its derivative dual.  Cho & Saul 2009 (order 0).
    """

    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(x >= 0, self.high, self.low).astype(x.dtype)

    def _propagate(self, pair: Covariance) -> Covariance:
        mean, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        turn, rest = 2 * pair.angle / math.pi, 2 * angle(pair.above, pair.below) / math.pi  # they add up to 2
        below, above = half**2 * turn, 2 * mean**2 + half**2 * rest
        return Covariance(
            jnp.full_like(pair.left, mean**2 + half**2), jnp.full_like(pair.right, mean**2 + half**2), below, above
        )

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        return jnp.zeros_like(pair.below)

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        constant = np.zeros(degree + 1)
        constant[0] = self.low
        return constant + (self.high - self.low) * step_coefficients(degree, shift / scale)

    def _moments(self, scale: float, shift: float) -> tuple[float, float]:
        if scale == 0:
            below, above = float(shift < 0), float(shift >= 0)
        else:
            below, above = float(scipy.special.ndtr(-shift / scale)), float(scipy.special.ndtr(shift / scale))
        return self.low * below + self.high * above, self.low**2 * below + self.high**2 * above

    @property
    def homogeneity(self) -> int:
        return 0

    @property
    def centres(self) -> tuple[float, ...]:
        return (0.0,)

    @property
    def relu_slopes(self) -> None:
        return None


@jax.custom_jvp
def _abs_moments(
    below: Float[Array, "..."], above: Float[Array, "..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """`below` and `above` of (|u|, |v|) from those of (u, v), relatively accurate at θ near 0 and near π.

    r = √(q11 q22) = (below + above)/2,  θ' = min(θ, π − θ)
    E|u||v| = r·(2/π)(sin θ + (π/2 − θ)cos θ)
    r − E|u||v| = min(below, above) − r·(2/π)(sin θ' − θ' cos θ')
    """
    r, smaller = (below + above) / 2, jnp.minimum(below, above)
    folded = angle(smaller, jnp.maximum(below, above))
    sine, cosine = safe_divide(safe_sqrt(below) * safe_sqrt(above), r), safe_divide(r - smaller, r)
    new_below = jnp.maximum(smaller - r * (2 / math.pi) * sin_minus_theta_cos(folded, sine, cosine), 0)
    return new_below, 2 * r - new_below


@_abs_moments.defjvp
def _abs_moments_jvp(primals, tangents):
    # ∂new_below/∂below = 1 − (θ + sin θ)/π and ∂new_below/∂above = (θ − sin θ)/π: finite at every angle, where
    # differentiating through θ itself would meet ∞·0, and as small as the next layer's angle needs them near 0.
    below, above = primals
    dbelow, dabove = tangents
    r = (below + above) / 2
    sine = safe_divide(safe_sqrt(below) * safe_sqrt(above), r)
    theta = jnp.where(r > 0, angle(below, above), math.pi / 2)  # at the origin the mean over directions
    change = (1 - (theta + sine) / math.pi) * dbelow + ((theta - sine) / math.pi) * dabove
    return _abs_moments(below, above), (change, dbelow + dabove - change)


def _tail(order: int, scale: float, shift: float) -> float:
    """E(z − t)₊^order with t = |shift|/scale, relatively accurate at every t, where φ(t) − tΦ(−t) cancels.

    E(z − t)₊^k = φ(t) ∫₀^∞ x^k e^{−tx − x²/2} dx, by Gauss–Legendre up to where the exponent is −50.
    """
    if scale == 0:
        return 0.0
    t = min(abs(shift) / scale, 100.0)  # φ(100) is 0
    end = 100 / (t + math.sqrt(t * t + 100))
    x = end * (_NODES + 1) / 2
    integral = end / 2 * float(_WEIGHTS @ (x**order * np.exp(-x * (t + x / 2))))
    return math.exp(-t * t / 2) / math.sqrt(2 * math.pi) * integral


def relu_coefficients(degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
    """Hermite coefficients of [scale·z + shift]₊, with β = shift/scale; good to 1e-14 at degree 2000.

    a₀ = βΦ(β) + φ(β),  a₁ = Φ(β),  a_k = (−1)^k φ(β) h_{k−2}(β)/√(k(k−1)),  all times scale.
    """
    beta = shift / scale
    a = np.empty(degree + 1)
    a[0] = max(beta, 0.0) + _tail(1, scale, shift)
    if degree >= 1:
        a[1] = scipy.special.ndtr(beta)
    if degree >= 2:
        k = np.arange(2, degree + 1)
        psi = hermite_functions(degree - 2, float(beta)) * np.exp(-(beta**2) / 4) / np.sqrt(2 * np.pi)
        a[2:] = (-1.0) ** k * psi / np.sqrt(k * (k - 1.0))
    return scale * a


def step_coefficients(degree: int, beta: float) -> Float[np.ndarray, " k"]:
    """Hermite coefficients of 1{z > −β}:  a₀ = Φ(β),  a_k = (−1)^{k−1} φ(β) h_{k−1}(β)/√k."""
    a = np.empty(degree + 1)
    a[0] = scipy.special.ndtr(beta)
    if degree >= 1:
        k = np.arange(1, degree + 1)
        psi = hermite_functions(degree - 1, float(beta)) * np.exp(-(beta**2) / 4) / np.sqrt(2 * np.pi)
        a[1:] = (-1.0) ** (k - 1) * psi / np.sqrt(k)
    return a
