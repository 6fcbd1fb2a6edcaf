"""Sines and cosines: the nonlinearities whose random features are Fourier features."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.activations.smooth import Smooth, nonnegative, quotient, root_difference
from rfjax.numerics import Covariance, safe_sqrt


class Wave(Smooth):
    """σ(x) = sine·sin(ωx) + cosine·cos(ωx), with ω the frequency.

    With P = sine² + cosine², N = sine² − cosine², q = ω²·covariance of (u, v), x = (√q11 − √q22)² and below and above
    those of q:

        E σ(u)² = (P − N e^{−2q11})/2
        κ = e^{−x/2}(P e^{−below} − N e^{−above})/2
        E σ'(u)σ'(v) = ω² e^{−x/2}(P e^{−below} + N e^{−above})/2
        κ₀ = e^{−x/2}(P − N e^{−√(4 q11 q22)})/2                                          κ at below = 0
        κ₀ − κ = e^{−x/2}(1 − e^{−below})(P + N e^{−above})/2
        κ11κ22 − κ₀² = ((1 − e^{−x})(P² − N² e^{−(√q11 + √q22)²}) − PN(e^{−q11} − e^{−q22})²)/4
                     = x y e^{−(x+y)/2}(S(x²)S(y²) − S(xy)²)/4      sin, y = (√q11 + √q22)² < 1;  S(w) = sinh(√w/2)/(√w/2)

    Rahimi & Recht 2007, *Random features for large-scale kernel machines*.
    """

    sine: float = eqx.field(static=True)
    cosine: float = eqx.field(static=True)
    frequency: float = eqx.field(static=True, default=1.0)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        phase = self.frequency * x
        terms = [c * f(phase) for c, f in ((self.sine, jnp.sin), (self.cosine, jnp.cos)) if c != 0]
        return sum(terms, jnp.zeros_like(x))

    def _square(self, q: Float[Array, "..."]) -> Float[Array, "..."]:
        q = self.frequency**2 * q
        return -(self.sine**2) / 2 * jnp.expm1(-2 * q) + self.cosine**2 / 2 * (1 + jnp.exp(-2 * q))

    def _below(self, pair: Covariance) -> Float[Array, "..."]:
        plus, minus = self._powers
        q = _scaled(pair, self.frequency**2)
        decay = jnp.exp(-(root_difference(q) ** 2) / 2) / 2
        turned = -decay * jnp.expm1(-q.below) * _combined(plus, minus, q.above)
        geometric = safe_sqrt(self._square(pair.left)) * safe_sqrt(self._square(pair.right))
        return turned + self._stretched(q, geometric, decay)

    def _stretched(
        self, q: Covariance, geometric: Float[Array, "..."], decay: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """√(κ11 κ22) − κ₀."""
        plus, minus = self._powers
        a, b = safe_sqrt(q.left), safe_sqrt(q.right)
        apart, total = root_difference(q) ** 2, (a + b) ** 2
        collinear = decay * _combined(plus, -minus, 2 * a * b)
        square = -jnp.expm1(-apart) * _combined(plus**2, -(minus**2), total)
        if minus == 0:
            return square / (4 * (geometric + collinear))
        square = square - plus * minus * (jnp.exp(-q.left) - jnp.exp(-q.right)) ** 2
        by_square = quotient(nonnegative(square), 4 * (geometric + collinear))
        if minus < 0:
            return by_square
        # The square cancels where lengths are far apart: the plain difference does not; near 0, where sin x is x, both do.
        value = jnp.where(apart > a * b, nonnegative(geometric - collinear), by_square)
        if self.parity == 0:
            return value
        small = total < 1
        x, y = jnp.where(small, apart, 0), jnp.where(small, total, 0)
        hx, hy, middle = _sinhc(x**2 / 4), _sinhc(y**2 / 4), _sinhc(x * y / 4)
        series = plus**2 * x * y * jnp.exp(-(x + y) / 2) * (hx + hy + hx * hy - middle * (2 + middle))
        return jnp.where(small, quotient(nonnegative(series), 4 * (geometric + collinear)), value)

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        plus, minus = self._powers
        q = _scaled(pair, self.frequency**2)
        decay = self.frequency**2 * jnp.exp(-(root_difference(q) ** 2) / 2) / 2
        if minus == 0:
            return decay * plus * jnp.exp(-q.below)
        if minus != -plus:
            return decay * (plus * jnp.exp(-q.below) + minus * jnp.exp(-q.above))
        sinh = -jnp.expm1(-jnp.abs(q.above - q.below)) * jnp.exp(-jnp.minimum(q.below, q.above))
        return decay * plus * jnp.where(q.above >= q.below, sinh, -sinh)

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        # E sin(sz+b)h_k(z) = s^k e^{−s²/2}/√k!·sin(b + kπ/2), and likewise for the cosine.
        s, b = scale * self.frequency, shift * self.frequency
        k = np.arange(degree + 1)
        size = np.exp(k * math.log(s) - s**2 / 2 - np.cumsum(np.log(np.maximum(k, 1))) / 2) if s > 0 else k == 0
        sines = np.array([math.sin(b), math.cos(b), -math.sin(b), -math.cos(b)])
        return size * (self.sine * sines[k % 4] + self.cosine * sines[(k + 1) % 4])

    @property
    def _powers(self) -> tuple[float, float]:
        """P and N."""
        return self.sine**2 + self.cosine**2, self.sine**2 - self.cosine**2

    @property
    def parity(self) -> int:
        return -1 if self.cosine == 0 else int(self.sine == 0)


def _scaled(pair: Covariance, factor: float) -> Covariance:
    return Covariance(*(factor * v for v in (pair.left, pair.right, pair.below, pair.above)))


def _combined(plus: float, minus: float, exponent: Float[Array, "..."]) -> Float[Array, "..."] | float:
    """plus + minus·e^{−exponent}, without cancellation."""
    if minus == 0:
        return plus
    if minus == -plus:
        return -plus * jnp.expm1(-exponent)
    return plus + minus * jnp.exp(-exponent)


def _sinhc(w: Float[Array, "..."]) -> Float[Array, "..."]:
    """sinh(√w)/√w − 1 for 0 <= w <= ¼, by its power series."""
    total = jnp.zeros_like(w)
    for n in range(7, 0, -1):
        total = total * w + 1 / math.factorial(2 * n + 1)
    return total * w
