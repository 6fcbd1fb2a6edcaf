"""Rectified powers x^k for x >= 0: the arc-cosine kernels of every order."""

import math
from fractions import Fraction
from functools import lru_cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.activations.base import Nonlinearity, graded_breaks
from rfjax.activations.piecewise import step_coefficients
from rfjax.numerics import Covariance, angle, gaussian_quadrature, safe_divide, safe_sqrt


class RectifiedMonomial(Nonlinearity):
    """σ(x) = x^k for x >= 0 and 0 below, with k >= 1 the order.

    With r = √(q11 q22), ρ = cos θ, and P_k, Q_k polynomials of positive coefficients, E u^k v^k = r^k P_k(ρ):

        κ = r^k J_k(θ)/2π,   J_k(θ) = (π − θ)P_k(ρ) + sin θ Q_k(ρ),   E σ(u)² = q11^k P_k(1)/2,  P_k(1) = 1·3···(2k−1)
        √(κ11 κ22) − κ = r^k (π(1 − ρ)S_k(ρ) + θP_k(ρ) − sin θ Q_k(ρ))/2π,   S_k(ρ) = (P_k(1) − P_k(ρ))/(1 − ρ)
        E σ'(u)σ'(v) = k² r^{k−1} J_{k−1}(θ)/2π

    Cho & Saul 2009, *Kernel methods for deep learning*.
    """

    order: int = eqx.field(static=True)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.maximum(x, 0) ** self.order

    def _propagate(self, pair: Covariance) -> Covariance:
        own = math.prod(range(1, 2 * self.order, 2)) / 2
        below = _below(self.order, pair.below, pair.above)
        above = 2 * own * pair.geometric**self.order - below
        return Covariance(own * pair.left**self.order, own * pair.right**self.order, below, above)

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        if self.order == 1:
            return 0.5 - pair.angle / (2 * math.pi)
        return self.order**2 * RectifiedMonomial(self.order - 1)._propagate(pair).cross

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        # E f(z)h_j(z) = E f'(z)h_{j−1}(z)/√j, from the step up; the means by quadrature.
        z, weights = gaussian_quadrature(breaks=graded_breaks(self.centres, scale, shift))
        x = np.maximum(scale * z + shift, 0)
        a, j = step_coefficients(degree, shift / scale), np.arange(1, degree + 1)
        for k in range(1, self.order + 1):
            a = np.concatenate([[weights @ x**k], scale * k * a[:-1] / np.sqrt(j)])
        return a

    @property
    def homogeneity(self) -> int:
        return self.order

    @property
    def centres(self) -> tuple[float, ...]:
        return (0.0,)

    @property
    def relu_slopes(self) -> tuple[float, float] | None:
        return (1.0, 0.0) if self.order == 1 else None


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _below(order: int, below: Float[Array, "..."], above: Float[Array, "..."]) -> Float[Array, "..."]:
    """√(κ11 κ22) − κ of the rectified monomial of this order."""
    return ((above + below) / 2) ** order * _relative_below(order, below, above)


@_below.defjvp
def _below_jvp(order, primals, tangents):
    # By Price's theorem in q12 and Euler's in r: both finite at every angle, where θ itself is not differentiable.
    below, above = primals
    dbelow, dabove = tangents
    r, rho = (above + below) / 2, safe_divide(above - below, above + below)
    p, q = _polynomials(order - 1)
    theta, sine = angle(below, above), safe_divide(2 * safe_sqrt(below) * safe_sqrt(above), above + below)
    slope = order**2 / (2 * math.pi) * ((math.pi - theta) * _at(p, rho) + sine * _at(q, rho))
    by_r = order * _relative_below(order, below, above) + rho * slope
    change = by_r * (dabove + dbelow) / 2 - slope * (dabove - dbelow) / 2
    return _below(order, below, above), r ** (order - 1) * change


def _relative_below(order: int, below: Float[Array, "..."], above: Float[Array, "..."]) -> Float[Array, "..."]:
    """√(κ11 κ22) − κ over r^order."""
    p, q = _polynomials(order)
    quotient = tuple(float(sum(p[i + 1 :])) for i in range(order))
    total = above + below
    rho, rest = safe_divide(above - below, total), safe_divide(2 * below, total)
    theta, sine = angle(below, above), safe_divide(2 * safe_sqrt(below) * safe_sqrt(above), total)
    odd = theta * _at(p, rho) - sine * _at(q, rho)
    return jnp.maximum(rest * _at(quotient, rho) / 2 + odd / (2 * math.pi), 0)


def _at(coefficients: tuple[float, ...], x: Float[Array, "..."]) -> Float[Array, "..."]:
    total = jnp.zeros_like(x)
    for c in reversed(coefficients):
        total = total * x + c
    return total


@lru_cache
def _polynomials(order: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Coefficients of P_order and Q_order, by increasing degree, from exact fractions.

    P_k' = k²P_{k−1},   P_k(0) = (E z^k)²,   P_k − ρQ_k + (1 − ρ²)Q_k' = k²(1 − ρ²)Q_{k−1}
    """
    p, q = [Fraction(1)], [Fraction(0)]
    for k in range(1, order + 1):
        lower = [*q, *[Fraction(0)] * 3]
        constant = math.prod(range(1, k, 2)) ** 2 if k % 2 == 0 else 0
        p = [Fraction(constant), *(k**2 * c / (j + 1) for j, c in enumerate(p))]
        q = [Fraction(0)] * (k + 2)
        for j in range(k, 0, -1):
            source = k**2 * (lower[j] - (lower[j - 2] if j >= 2 else 0))
            q[j - 1] = (p[j] + (j + 1) * q[j + 1] - source) / j
        q = q[:k]
    return tuple(float(c) for c in p), tuple(float(c) for c in q)
