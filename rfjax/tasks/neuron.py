"""The single neuron x ↦ σ(⟨w, x⟩ + b): the target that random features cannot reach and gradient descent can."""

from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.activations import Nonlinearity
from rfjax.numerics import matmul
from rfjax.tasks.base import Task


class SingleNeuron(Task):
    """g(x) = σ(norm·⟨direction, x⟩ + bias), ‖direction‖ = 1.  Made by `rf.tasks.single_neuron`."""

    direction: Float[Array, " d"]
    norm: float
    bias: float
    activation: Nonlinearity = eqx.field(static=True)

    @property
    def d(self) -> int:
        return self.direction.shape[-1]

    @property
    def weight(self) -> Float[Array, " d"]:
        """w = norm·direction."""
        return self.norm * self.direction

    def _target(self, X: Float[Array, "n d"]) -> Float[Array, " n"]:
        return self.activation(matmul(X, self.weight.astype(X.dtype)) + self.bias)

    def hermite_coefficients(self, degree: int) -> Float[np.ndarray, " k"]:
        """a_k of the profile ϕ(z) = σ(norm·z + bias), k = 0…degree: g = Σ_k a_k h_k(⟨direction, x⟩)."""
        return self.activation.hermite_coefficients(degree, scale=self.norm, shift=self.bias)

    @property
    def mean(self) -> float:
        return self._moments[0]

    @property
    def variance(self) -> float:
        mean, square = self._moments
        return square - mean**2

    @property
    def _moments(self) -> tuple[float, float]:
        return _moments(self.activation, float(self.norm), float(self.bias))


@lru_cache(maxsize=256)
def _moments(activation: Nonlinearity, norm: float, bias: float) -> tuple[float, float]:
    return activation.moments(scale=norm, shift=bias)


def unit_direction(d: int, direction: Float[Array, " d"] | None, key: Array | None) -> Float[Array, " d"]:
    """The given direction at unit length, a uniform one from `key`, or the first axis."""
    if direction is not None and key is not None:
        raise ValueError("give direction= or key=, not both")
    if direction is not None:
        array = checks.floating("direction", direction)
        if array.shape != (d,):
            raise ValueError(f"direction must have shape [{d}], got {list(array.shape)}")
        length = jnp.linalg.norm(array)
        if not checks.is_traced(length) and not (np.isfinite(float(length)) and float(length) > 0):
            raise ValueError("direction must be finite and not zero")
        return array / length
    if key is not None:
        draw = jax.random.normal(checks.prng_key("key", key), (d,))
        return draw / jnp.linalg.norm(draw)
    return jnp.zeros(d).at[0].set(1.0)


def single_neuron_only(task: Task) -> SingleNeuron:
    """The task itself.  Raises TypeError unless it is a single neuron."""
    if not isinstance(task, SingleNeuron):
        raise TypeError(f"task must be a single neuron (rf.tasks.single_neuron), got {type(task).__name__}")
    return task
