"""The Gaussian error linear unit x·Φ(x)."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.activations.piecewise import step_coefficients
from rfjax.activations.smooth import Smooth, difference_near_diagonal
from rfjax.numerics import Covariance, arctan2, fusible, normal_cdf


class GELU(Smooth):
    """σ(x) = x·Φ(x), with Φ the normal distribution function itself and not its approximation by tanh.

    With M = (1+q11)(1+q22), D = M − q12² and ψ = atan2(q12, √D):

        κ = (q12(π/2 + ψ) + q11 q22 √D/M + q12²/(M√D))/2π
        E σ'(u)σ'(v) = (π/2 + ψ + (q12/√D)(1 − q11 q22/M + 2/M + q12²/(MD)))/2π

    Hendrycks & Gimpel 2016; Tsuchida et al. 2021, *Avoiding kernel fixed points*.
    """

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return x * normal_cdf(x)

    def _square(self, q: Float[Array, "..."]) -> Float[Array, "..."]:
        root, part = jnp.sqrt(1 + 2 * q), q / (1 + q)
        return q * ((math.pi / 2 + arctan2(q, root) + 2 * part / root) / (2 * math.pi))

    def _below(self, pair: Covariance) -> Float[Array, "..."]:
        p, size = _parts(pair), pair.geometric
        even = (size * p.scale) * (size * p.root) * p.adjacent + (pair.cross * p.scale) * (p.tangent * p.scale)
        cross = pair.cross * (0.25 + p.psi / (2 * math.pi)) + even / (2 * math.pi)
        return difference_near_diagonal(pair, self._square, self._derivative, cross, size)

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        p = _parts(pair)
        rest = p.rest + 2 * p.scale**2 + (p.tangent * p.scale) ** 2
        return (math.pi / 2 + p.psi + p.tangent * rest) / (2 * math.pi)

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        # Φ(x) = P(ε <= x) smooths a step by independent noise, which damps degree k by ρ^k; z·h_k is h_{k+1} and h_{k−1}.
        spread = math.hypot(scale, 1.0)
        k = np.arange(degree + 2)
        step = (scale / spread) ** k * step_coefficients(degree + 1, shift / spread)
        up = np.sqrt(k[1:]) * step[1:]
        down = np.concatenate([[0.0], np.sqrt(k[1:-1]) * step[:-2]])
        return shift * step[:-1] + scale * (up + down)

    @property
    def parity(self) -> int:
        return 0


class _Parts(NamedTuple):
    """Parts of the dual in units of √M = √((1+q11)(1+q22)), which no q overflows."""

    root: Float[Array, "..."]  # M^{−1/4}
    scale: Float[Array, "..."]  # 1/√M
    rest: Float[Array, "..."]  # 1 − q11 q22/M
    adjacent: Float[Array, "..."]  # √D/M^{1/4}
    tangent: Float[Array, "..."]  # q12/√D
    psi: Float[Array, "..."]


def _parts(pair: Covariance) -> _Parts:
    m1, m2 = jnp.sqrt(1 + pair.left), jnp.sqrt(1 + pair.right)
    i1, i2 = 1 / m1, 1 / m2
    scale, root = i1 * i2, jnp.sqrt(i1) * jnp.sqrt(i2)
    rest = i1**2 + i2**2 * pair.left / (1 + pair.left)
    adjacent = jnp.sqrt(m1 * i2 + m2 * i1 - scale + (pair.below * i1) * (pair.above * i2))
    opposite = pair.cross * root
    return _Parts(root, scale, rest, adjacent, fusible(opposite / adjacent), arctan2(opposite, adjacent))
