"""Functions under a Gaussian envelope: e^{−x²} and e^{−x²}sin x."""

import cmath
import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.activations.smooth import Smooth, difference_near_diagonal, root_difference
from rfjax.numerics import Covariance


class Gaussian(Smooth):
    """σ(x) = e^{−x²}.

    With D = (1+2q11)(1+2q22) − 4q12² and P = √((1+4q11)(1+4q22)):

        E σ(u)² = 1/√(1+4q11),   κ = 1/√D
        D − P = 4(q11 − q22)²/(1 + 2q11 + 2q22 + P) + 4·below·above
        √(κ11 κ22) − κ = (D − P)/(√P √D (√P + √D))
        E σ'(u)σ'(v) = 4 q12 D^{−3/2}

    Daniely et al. 2016, *Toward deeper understanding of neural networks*, has the dual at unit variance.
    """

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.exp(-(x**2))

    def _square(self, q: Float[Array, "..."]) -> Float[Array, "..."]:
        return 0.5 / jnp.sqrt(0.25 + q)

    def _below(self, pair: Covariance) -> Float[Array, "..."]:
        e = _envelope(pair)
        outer, inner = jnp.sqrt(e.geometric), jnp.sqrt(e.determinant)
        return e.root * (e.excess / (outer * inner * (outer + inner)))

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        e = _envelope(pair)
        return 4 * (pair.cross * e.scale / e.determinant) * (e.root / jnp.sqrt(e.determinant))

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        return _envelope_coefficients(degree, scale, shift).real

    @property
    def parity(self) -> int:
        return 1


class Gabor(Smooth):
    """σ(x) = e^{−x²} sin x.

    The sine's dual at the covariance q(1+2q)^{−1}, which the envelope leaves.  With D = (1+2q11)(1+2q22) − 4q12²:

        m = (½E(u−v)² + 2·below·above)/D,   p = (½E(u+v)² + 2·below·above)/D
        κ = (e^{−m} − e^{−p})/(2√D),   E σ(u)² = (1 − e^{−2q11/(1+4q11)})/(2√(1+4q11))
        E σ'(u)σ'(v) = ((1 + 8q12(1−m))e^{−m} + (1 − 8q12(1−p))e^{−p})/(2D^{3/2})
    """

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.exp(-(x**2)) * jnp.sin(x)

    def _square(self, q: Float[Array, "..."]) -> Float[Array, "..."]:
        return -jnp.expm1(-0.5 * (q / (0.25 + q))) / (4 * jnp.sqrt(0.25 + q))

    def _below(self, pair: Covariance) -> Float[Array, "..."]:
        e = _envelope(pair)
        minus, _ = _exponents(pair, e)
        change = -jnp.expm1(-2 * (pair.cross * e.scale / e.determinant))
        cross = e.root * (jnp.exp(-minus) * change / (2 * jnp.sqrt(e.determinant)))
        size = pair.geometric
        return difference_near_diagonal(pair, self._square, self._derivative, cross, size / (1 + size))

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        e = _envelope(pair)
        minus, plus = _exponents(pair, e)
        own, turn = e.scale / e.determinant, 8 * (pair.cross * e.scale / e.determinant)
        wave = (own + turn * (1 - minus)) * jnp.exp(-minus) + (own - turn * (1 - plus)) * jnp.exp(-plus)
        return e.root * (wave / (2 * jnp.sqrt(e.determinant)))

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        # e^{−x²+ix} = e^{−(x − i/2)²}·e^{−1/4}
        return math.exp(-0.25) * _envelope_coefficients(degree, scale, shift - 0.5j).imag

    @property
    def parity(self) -> int:
        return -1


class _Envelope(NamedTuple):
    """Parts of D = (1+2q11)(1+2q22) − 4q12² in units of M = √((1+2q11)(1+2q22)), which no q overflows."""

    root: Float[Array, "..."]  # 1/√M
    scale: Float[Array, "..."]  # 1/M
    product: Float[Array, "..."]  # below·above/M
    geometric: Float[Array, "..."]  # P/M
    excess: Float[Array, "..."]  # (D − P)/M
    determinant: Float[Array, "..."]  # D/M


def _envelope(pair: Covariance) -> _Envelope:
    m1, m2 = jnp.sqrt(1 + 2 * pair.left), jnp.sqrt(1 + 2 * pair.right)
    i1, i2 = 1 / m1, 1 / m2
    product = (pair.below * i1) * (pair.above * i2)
    p1, p2 = (jnp.sqrt(2 * (0.25 + q) / (0.5 + q)) for q in (pair.left, pair.right))
    geometric = p1 * p2
    trace = m1 * i2 + m2 * i1 - i1 * i2
    excess = 4 * ((pair.left - pair.right) * i1 * i2) ** 2 / (trace + geometric) + 4 * product
    return _Envelope(jnp.sqrt(i1) * jnp.sqrt(i2), i1 * i2, product, geometric, excess, geometric + excess)


def _exponents(pair: Covariance, e: _Envelope) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """m and p of `Gabor`."""
    apart = root_difference(pair) ** 2 / 2
    return (
        ((apart + pair.below) * e.scale + 2 * e.product) / e.determinant,
        ((apart + pair.above) * e.scale + 2 * e.product) / e.determinant,
    )


def _envelope_coefficients(degree: int, scale: float, shift: complex) -> np.ndarray:
    """Hermite coefficients of e^{−(scale·z + shift)²}, for a complex shift b too.

    v = 1 + 2·scale²,  ρ² = 2·scale²/v,  a_k = e^{−b²/v}/√v·ρ^k h_k(−√2 b/√v)
    """
    v = 1 + 2 * scale**2
    rho, x = math.sqrt(2 / v) * scale, -math.sqrt(2 / v) * shift
    a = np.empty(degree + 1, dtype=complex)
    previous, current = 0j, cmath.exp(-(shift**2) / v) / math.sqrt(v)
    for k in range(degree + 1):
        a[k] = current
        previous, current = current, (x * current - math.sqrt(k) * rho * previous) * rho / math.sqrt(k + 1)
    return a
