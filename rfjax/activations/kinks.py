"""What kinks at 0 add to a dual: the slow tails of Hermite series, each a short polynomial fitted once."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.activations.piecewise import step_coefficients
from rfjax.numerics import Covariance, in_float64, safe_divide, safe_sqrt, sin_minus_theta_cos

_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 2), (2, 0), (1, 3), (3, 1))  # of orders, of which the sum is known
_NODES = 48  # of a fit: beyond rounding up to 1000 terms


class Kinks(NamedTuple):
    """The parts j_p j_q·Σ_{k>terms} r_pk r_qk √q11^p √q22^q c^k of a dual, for some pairs of orders (p, q).

    A function whose p-th derivative jumps by j_p at 0 has the Hermite coefficients Σ_p j_p s^p r_pk, those of z₊^p/p! being
    r_pk = O(k^{−p/2−3/4}), and what falls faster than any power.  Sums of odd p − q end soon, and are left out.
    """

    parts: tuple[tuple[int, int, float], ...]
    """(p, q, j_p j_q)."""

    def energies(self, q: Float[Array, "..."], terms: int) -> list[Float[Array, "..."] | float]:
        """The parts at u = v: over even k and over odd k."""
        return [sum(w * _energies(m, n, terms)[i] * q ** ((m + n) // 2) for m, n, w in self.parts) for i in range(2)]

    def apart(self, pair: Covariance, sizes: Sequence[Float[Array, "..."]], terms: int) -> Float[Array, "..."] | float:
        """Σ_{k>terms} (a_k/sizes₀ − b_k/sizes₁)² of the coefficients of both sides."""
        roots = safe_sqrt(pair.left), safe_sqrt(pair.right)

        def between(p: int) -> Float[Array, "..."]:
            return safe_divide(roots[0] ** p, sizes[0]) - safe_divide(roots[1] ** p, sizes[1])

        return sum(w * sum(_energies(m, n, terms)) * between(m) * between(n) for m, n, w in self.parts)

    def below(self, pair: Covariance, terms: int) -> Float[Array, "..."] | float:
        """The parts at c = 1 less those at c, relatively accurate near c = 1."""
        return sum(scale * fall for scale, _, fall in self._each(pair, terms))

    def cross(self, pair: Covariance, terms: int) -> Float[Array, "..."] | float:
        """The parts at c."""
        return sum(scale * (whole - fall) for scale, whole, fall in self._each(pair, terms))

    def _each(self, pair: Covariance, terms: int) -> list[tuple[Float[Array, "..."], float, Float[Array, "..."]]]:
        """j_p j_q √q11^p √q22^q, the sum at c = 1, and how far it falls from there to c."""
        total, a, b = pair.below + pair.above, safe_sqrt(pair.left), safe_sqrt(pair.right)
        square = safe_divide(jnp.minimum(pair.below, pair.above), total)
        falls = {
            orders: _fall(orders, terms, square) for orders in dict.fromkeys(_sorted(m, n) for m, n, _ in self.parts)
        }
        found = []
        for m, n, w in self.parts:
            whole, fall = sum(_energies(m, n, terms)), falls[_sorted(m, n)]
            opposite = fall if m % 2 else 2 * whole - fall  # even k for odd orders
            found.append((w * a**m * b**n, whole, jnp.where(pair.below > pair.above, opposite, fall)))
        return found


def kinks_of(jumps: dict[int, float]) -> Kinks:
    """Of a function whose p-th derivative jumps by jumps[p] at 0."""
    return Kinks(tuple((p, q, jumps[p] * jumps[q]) for p, q in _PAIRS if p in jumps and q in jumps))


def _sorted(p: int, q: int) -> tuple[int, int]:
    return min(p, q), max(p, q)


def _fall(orders: tuple[int, int], terms: int, square: Float[Array, "..."]) -> Float[Array, "..."]:
    """Σ_{k>terms} r_pk r_qk (1 − c^k), c = 1 − 2t² >= 0: t² times a polynomial in u(t), or t times it for jumps."""
    t = safe_sqrt(square)
    u, value = _inward(t, terms), jnp.zeros_like(t)
    for coefficient in _fit(orders, terms, float(jnp.finfo(square.dtype).eps)):
        value = value * u + coefficient
    return value * (t if orders == (0, 0) else square)


def _inward(t: Array, terms: int) -> Array:
    """u = 1 at t = 0 and −1 at t² = ½, with half of the way behind it where c^terms begins to fall."""
    scale, lowest = _scale(terms)
    return ((1 - scale * t) / (1 + scale * t) - lowest) * (2 / (1 - lowest)) - 1


def _outward(u: Float[np.ndarray, " q"], terms: int) -> Float[np.ndarray, " q"]:
    """The t of u."""
    scale, lowest = _scale(terms)
    inward = lowest + (u + 1) * ((1 - lowest) / 2)
    return (1 - inward) / (scale * (1 + inward))


def _scale(terms: int) -> tuple[float, float]:
    scale = math.sqrt(terms) / 3
    return scale, (1 - scale * math.sqrt(0.5)) / (1 + scale * math.sqrt(0.5))


@lru_cache(maxsize=64)
def _fit(orders: tuple[int, int], terms: int, eps: float) -> list[float]:
    """Coefficients of the polynomial of `_fall`, the highest first, as many as matter.

    With c = cos θ, s = sin θ, 2π Σ_{k>=0} r_pk r_qk (1 − c^k) is, by d/dc of (p, q) being (p − 1, q − 1):

        0, 0:  θ                                     2, 2:  ((2π + θ)s² − 3c(s − θc))/4
        1, 1:  π(1 − c) − (s − θc)                   0, 2:  (θs² − c(s − θc))/2
        1, 3:  (π(1 − c) − (s − θc) + s³/3)/2
    """

    def whole(t: Float[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
        theta, rest = 2 * np.arcsin(t), 2 * t**2
        c, s = 1 - rest, np.sin(theta)
        with in_float64():
            gap = np.asarray(sin_minus_theta_cos(jnp.asarray(theta), jnp.asarray(s), jnp.asarray(c)))
        match orders:
            case (0, 0):
                return theta
            case (1, 1):
                return math.pi * rest - gap
            case (2, 2):
                return ((2 * math.pi + theta) * s**2 - 3 * c * gap) / 4
            case (0, 2):
                return (theta * s**2 - c * gap) / 2
            case _:
                return (math.pi * rest - gap + s**3 / 3) / 2

    def function(u: Float[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
        t = _outward(u, terms)
        products = _coefficients(orders[0], terms) * _coefficients(orders[1], terms)
        head = -np.expm1(np.arange(terms + 1) * np.log1p(-2 * t[:, None] ** 2)) @ products
        return (whole(t) / (2 * math.pi) - head) / (t if orders == (0, 0) else t**2)

    series = np.polynomial.Chebyshev.interpolate(function, _NODES)
    matter = np.abs(series.coef) > max(eps / 8, 1e-15)  # what is less is rounding
    kept = np.polynomial.Chebyshev(series.coef[: int(np.max(np.nonzero(matter), initial=0)) + 1])
    return kept.convert(kind=np.polynomial.Polynomial).coef[::-1].tolist()


@lru_cache(maxsize=16)
def _coefficients(order: int, degree: int) -> Float[np.ndarray, " k"]:
    """Hermite coefficients of z₊^order/order!, from the step up: E f(z)h_k(z) = E f'(z)h_{k−1}(z)/√k."""
    a = step_coefficients(degree, 0.0)
    for p in range(1, order + 1):
        mean = 2 ** (p / 2 - 1) * math.gamma((p + 1) / 2) / math.sqrt(math.pi) / math.factorial(p)
        a = np.concatenate([[mean], a[:-1] / np.sqrt(np.arange(1, degree + 1))])
    return a


@lru_cache(maxsize=16)
def _energies(p: int, q: int, terms: int) -> tuple[float, float]:
    """Σ_{k>terms} r_pk r_qk over even and over odd k: all are E z^{p+q}/(4 p!q!), each."""
    products = _coefficients(p, terms) * _coefficients(q, terms)
    whole = math.prod(range(1, p + q, 2)) / (4 * math.factorial(p) * math.factorial(q))
    even, odd = (whole - float(np.sum(products[i::2])) for i in range(2))
    return even, odd
