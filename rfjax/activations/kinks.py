"""What kinks at 0 add to a dual: the slow tails of Hermite series, in closed form."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.activations.piecewise import step_coefficients
from rfjax.numerics import Covariance, safe_divide, safe_sqrt, sin_minus_theta_cos

_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 2), (2, 0), (1, 3), (3, 1))  # of orders, of which the sum is known


class Kinks(NamedTuple):
    """The parts j_p j_q·E(u₊^p/p!)(v₊^q/q!) = Σ_k r_pk r_qk √q11^p √q22^q c^k of a dual, for some pairs (p, q).

    A function whose p-th derivative jumps by j_p at 0 has the Hermite coefficients Σ_p j_p s^p r_pk, r_pk = O(k^{−p/2−3/4}),
    and what falls faster than any power.  With c = cos θ, s = sin θ, every sum is (1/2π) times

        0, 0:  π − θ                       1, 1:  (π − θ)c + s              2, 2:  ((π − θ)(1 + 2c²) + 3sc)/4
        0, 2:  ((π − θ) + cs)/2            1, 3:  ((π − θ)c + s − s³/3)/2

    by d/dc of (p, q) being (p − 1, q − 1).  Sums of odd p − q are finite, and are left out.
    """

    parts: tuple[tuple[int, int, float], ...]
    """(p, q, j_p j_q)."""

    def rows(self, q: Float[Array, "..."], terms: int, side: int) -> Float[Array, "terms+3 j ..."]:
        """Σ_j left_kj·right_kj is what is to be taken out of term k <= terms; two more rows are empty.

        One j for every order p of the left: r_pk √q11^p against Σ_q j_p j_q r_qk √q22^q.
        """
        parts, found = self.parts or ((0, 0, 0.0),), []
        for left in sorted({m for m, *_ in parts}):
            mine = [(left, 1.0)] if side == 0 else [(n, w) for m, n, w in parts if m == left]
            found.append(sum(_column(w * _coefficients(n, terms), q) * safe_sqrt(q) ** n for n, w in mine))
        return jnp.pad(jnp.stack(found, axis=1), ((0, 2), *((0, 0),) * (q.ndim + 1)))

    def beyond(self, q: Float[Array, "..."], terms: int) -> list[Float[Array, "..."] | float]:
        """Σ_{k>terms} at u = v, over even and over odd k."""
        return [sum(w * _tails(m, n, terms)[i] * q ** ((m + n) // 2) for m, n, w in self.parts) for i in range(2)]

    def apart(self, pair: Covariance, terms: int) -> Float[Array, "..."] | float:
        """Σ_{k>terms} (a_k − b_k)² of the coefficients of both sides."""
        a, b = safe_sqrt(pair.left), safe_sqrt(pair.right)
        return sum(w * sum(_tails(m, n, terms)) * (a**m - b**m) * (a**n - b**n) for m, n, w in self.parts)

    def below(self, pair: Covariance) -> Float[Array, "..."] | float:
        """Σ_k r_pk r_qk √q11^p √q22^q (1 − c^k), p, q >= 1, relatively accurate near c = 1."""
        return sum(w * _scale(m, n, pair) * value for (m, n, w), value in self._each(pair, _below))

    def cross(self, pair: Covariance) -> Float[Array, "..."] | float:
        """E(u₊^p/p!)(v₊^q/q!), p, q <= 2."""
        return sum(w * _scale(m, n, pair) * value for (m, n, w), value in self._each(pair, _cross))

    def _each(
        self, pair: Covariance, form: Callable[[tuple[int, int], "_Angle"], Float[Array, "..."]]
    ) -> list[tuple[tuple[int, int, float], Float[Array, "..."]]]:
        if not self.parts:
            return []
        angle = _Angle.of(pair)
        return [(part, form(part[:2], angle) / (2 * math.pi)) for part in self.parts]


class _Angle(NamedTuple):
    """θ, sin θ, 1 − cos θ and sin θ − θ cos θ, each to its own last digits near θ = 0."""

    theta: Float[Array, "..."]
    sine: Float[Array, "..."]
    rest: Float[Array, "..."]
    gap: Float[Array, "..."]

    @classmethod
    def of(cls, pair: Covariance) -> "_Angle":
        total, theta = pair.below + pair.above, pair.angle
        rest = safe_divide(2 * pair.below, total)
        sine = safe_divide(2 * safe_sqrt(pair.below) * safe_sqrt(pair.above), total)
        return cls(theta, sine, rest, sin_minus_theta_cos(theta, sine, 1 - rest))


def kinks_of(jumps: dict[int, float]) -> Kinks:
    """Of a function whose p-th derivative jumps by jumps[p] at 0."""
    return Kinks(tuple((p, q, jumps[p] * jumps[q]) for p, q in _PAIRS if p in jumps and q in jumps))


def _below(orders: tuple[int, int], angle: _Angle) -> Float[Array, "..."]:
    """2π times the sum at θ = 0 less that at θ, of 1 − c and s − θc."""
    theta, sine, rest, gap = angle
    match orders:
        case (1, 1):
            return math.pi * rest - gap
        case (2, 2):
            return ((2 * math.pi + theta) * sine**2 - 3 * (1 - rest) * gap) / 4
        case _:
            return (math.pi * rest - gap + sine**3 / 3) / 2


def _cross(orders: tuple[int, int], angle: _Angle) -> Float[Array, "..."]:
    """2π times the sum at θ."""
    theta, sine, rest, gap = angle
    match orders:
        case (0, 0):
            return math.pi - theta
        case (1, 1):
            return math.pi * (1 - rest) + gap
        case (2, 2):
            return (3 * math.pi - (2 * math.pi + theta) * sine**2 + 3 * (1 - rest) * gap) / 4
        case _:
            return (math.pi - theta + (1 - rest) * sine) / 2


def _column(values: Float[np.ndarray, " k"], q: Float[Array, "..."]) -> Float[Array, "k ..."]:
    return jnp.asarray(values, q.dtype).reshape(-1, *(1,) * q.ndim)


def _scale(p: int, q: int, pair: Covariance) -> Float[Array, "..."]:
    """√q11^p √q22^q."""
    return safe_sqrt(pair.left) ** p * safe_sqrt(pair.right) ** q


@lru_cache(maxsize=16)
def _coefficients(order: int, degree: int) -> Float[np.ndarray, " k"]:
    """Hermite coefficients of z₊^order/order!, from the step up: E f(z)h_k(z) = E f'(z)h_{k−1}(z)/√k."""
    a = step_coefficients(degree, 0.0)
    for p in range(1, order + 1):
        mean = 2 ** (p / 2 - 1) * math.gamma((p + 1) / 2) / math.sqrt(math.pi) / math.factorial(p)
        a = np.concatenate([[mean], a[:-1] / np.sqrt(np.arange(1, degree + 1))])
    return a


@lru_cache(maxsize=16)
def _tails(p: int, q: int, terms: int) -> tuple[float, float]:
    """Σ_{k>terms} r_pk r_qk over even and over odd k: all are E z^{p+q}/(4 p!q!), each."""
    products = _coefficients(p, terms) * _coefficients(q, terms)
    whole = math.prod(range(1, p + q, 2)) / (4 * math.factorial(p) * math.factorial(q))
    even, odd = (whole - float(np.sum(products[i::2])) for i in range(2))
    return even, odd
