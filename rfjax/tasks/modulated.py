"""A linear function with a fast wave on it: learnt by gradient descent or not at all, and by no fixed features."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float


@dataclass(frozen=True)
class Modulation:
    """z ↦ z + √2·sin(frequency·z)."""

    frequency: float

    def __call__(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        return z + 2**0.5 * jnp.sin(self.frequency * z)
