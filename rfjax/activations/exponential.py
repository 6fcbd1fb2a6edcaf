"""The exponential e^{ax}."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.activations.smooth import Smooth, root_difference
from rfjax.numerics import Covariance


class Exponential(Smooth):
    """σ(x) = e^{ax}, with a the rate.

        E σ(u)² = e^{2a² q11}
        κ = e^{a² E(u+v)²/2},   E(u+v)² = (√q11 − √q22)² + 2·above
        √(κ11 κ22) − κ = e^{a²(q11+q22)}(1 − e^{−a² E(u−v)²/2}),   E(u−v)² = (√q11 − √q22)² + 2·below
        E σ'(u)σ'(v) = a²κ

    Daniely et al. 2016, *Toward deeper understanding of neural networks*.
    """

    rate: float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.exp(self.rate * x)

    def _square(self, q: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.exp(2 * self.rate**2 * q)

    def _below(self, pair: Covariance) -> Float[Array, "..."]:
        half = root_difference(pair) ** 2 / 2 + pair.below
        return (
            -jnp.exp(self.rate**2 * pair.left) * jnp.exp(self.rate**2 * pair.right) * jnp.expm1(-(self.rate**2) * half)
        )

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        half = root_difference(pair) ** 2 / 2 + pair.above
        return self.rate**2 * jnp.exp(self.rate**2 * half)

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        # e^{tz} = e^{t²/2} Σ t^k h_k(z)/√k!
        t, k = self.rate * scale, np.arange(degree + 1)
        factors = np.where(k == 0, 1.0, t / np.sqrt(np.maximum(k, 1)))
        return math.exp(self.rate * shift + t**2 / 2) * np.cumprod(factors)

    @property
    def parity(self) -> int:
        return int(self.rate == 0)

    @property
    def homogeneity(self) -> int | None:
        return 0 if self.rate == 0 else None
