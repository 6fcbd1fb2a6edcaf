"""Polynomials, as sums of powers or of Hermite polynomials: every dual is a polynomial too."""

import itertools
import math
from typing import TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.activations.smooth import Smooth, nonnegative, quotient
from rfjax.numerics import Covariance, safe_sqrt

_Array = TypeVar("_Array", Array, np.ndarray)


class Polynomial(Smooth):
    """σ(x) = Σ_n c_n He_n(x; v), the Hermite polynomials of variance v: x^n for v = 0 and He_n(x) for v = 1.

    With α_m(q) = Σ_i c_{m+2i} (m+2i)!/(2^i i! √m!)·(q − v)^i, so that σ(√q·z) = Σ_m q^{m/2} α_m(q) h_m(z), and
    r = √(q11 q22):

        κ = Σ_m α_m(q11)α_m(q22) q12^m,   κ₀ = κ at q12 = r
        κ₀ − κ = Σ_m α_m(q11)α_m(q22)(r^m − q12^m),   r^{m+1} − q12^{m+1} = r(r^m − q12^m) + below·q12^m
        κ11κ22 − κ₀² = Σ_{m<n} r^{2m} (α_m(q11)α_n(q22) q22^{(n−m)/2} − α_m(q22)α_n(q11) q11^{(n−m)/2})²
        E σ'(u)σ'(v) = the same of σ' = Σ_n n c_n He_{n−1}(x; v)

    by the Hermite series of He_n(√q·z; v) and Lagrange's identity.  Daniely et al. 2016.
    """

    coefficients: tuple[float, ...] = eqx.field(static=True)
    variance: float = eqx.field(static=True, default=0.0)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return self._at(x)

    def _at(self, x: _Array) -> _Array:
        total, previous, current = 0 * x, 0 * x, 0 * x + 1
        for n, c in enumerate(self.coefficients):
            if c != 0:
                total = total + c * current
            previous, current = current, x * current - n * self.variance * previous
        return total

    @property
    def _degrees(self) -> tuple[int, ...]:
        """The degrees n of non-zero coefficients c_n."""
        return tuple(n for n, c in enumerate(self.coefficients) if c != 0)

    def _rows(self, q: Float[Array, "..."]) -> dict[int, Float[Array, "..."]]:
        """α_m(q) of the degrees m that occur."""
        rows = {}
        for m in range(len(self.coefficients)):
            terms = [self.coefficients[n] * _weight(n, m) for n in range(m, len(self.coefficients), 2)]
            if any(terms):
                total = jnp.zeros_like(q)
                for term in reversed(terms):
                    total = total * (q - self.variance) + term
                rows[m] = total
        return rows

    def _square(self, q: Float[Array, "..."]) -> Float[Array, "..."]:
        return sum((row**2 * q**m for m, row in self._rows(q).items()), jnp.zeros_like(q))

    def _below(self, pair: Covariance) -> Float[Array, "..."]:
        one, two = self._rows(pair.left), self._rows(pair.right)
        size, cross = pair.geometric, pair.cross
        turned, collinear = jnp.zeros_like(cross), jnp.zeros_like(cross)
        rest, power = jnp.zeros_like(cross), jnp.ones_like(cross)  # r^m − q12^m and q12^m
        for m in range(max(one, default=0) + 1):
            if m in one:
                turned = turned + one[m] * two[m] * rest
                collinear = collinear + one[m] * two[m] * size**m
            rest, power = size * rest + pair.below * power, power * cross
        if self.homogeneity is not None:
            return nonnegative(turned)
        geometric = safe_sqrt(self._square(pair.left)) * safe_sqrt(self._square(pair.right))
        a, b = safe_sqrt(pair.left), safe_sqrt(pair.right)
        square = jnp.zeros_like(cross)
        for m, n in itertools.combinations(one, 2):
            minor = one[m] * two[n] * b ** (n - m) - two[m] * one[n] * a ** (n - m)
            square = square + size ** (2 * m) * minor**2
        positive = collinear > 0
        ratio = quotient(square, jnp.where(positive, geometric + collinear, 0))
        return nonnegative(turned + jnp.where(positive, ratio, geometric - collinear))

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        slope = Polynomial(tuple(n * c for n, c in enumerate(self.coefficients))[1:], self.variance)
        one, two = slope._rows(pair.left), slope._rows(pair.right)
        return sum((one[m] * two[m] * pair.cross**m for m in one), jnp.zeros_like(pair.cross))

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        # A product of degree 2·(n − 1) at most: Gauss's n nodes are exact.
        z, weights = np.polynomial.hermite_e.hermegauss(len(self.coefficients) + 1)
        values = self._at(scale * z + shift) * weights / math.sqrt(2 * math.pi)
        a = np.zeros(degree + 1)
        previous, current = np.zeros_like(z), np.ones_like(z)
        for k in range(min(len(self.coefficients), degree + 1)):
            a[k] = values @ current
            previous, current = current, (z * current - math.sqrt(k) * previous) / math.sqrt(k + 1)
        return a

    @property
    def parity(self) -> int:
        if all(n % 2 == 0 for n in self._degrees):
            return 1
        return -1 if all(n % 2 == 1 for n in self._degrees) else 0

    @property
    def homogeneity(self) -> int | None:
        degrees = self._degrees or (0,)
        return degrees[0] if len(degrees) == 1 and (self.variance == 0 or degrees[0] <= 1) else None

    @property
    def relu_slopes(self) -> tuple[float, float] | None:
        return (self.coefficients[1], -self.coefficients[1]) if self._degrees == (1,) else None


def _weight(n: int, m: int) -> float:
    """n!/(2^i i! √m!) with n = m + 2i: the factor of (q − v)^i q^{m/2} h_m(z) in He_n(√q·z; v)."""
    i = (n - m) // 2
    return math.factorial(n) // (2**i * math.factorial(i)) / math.sqrt(math.factorial(m))
