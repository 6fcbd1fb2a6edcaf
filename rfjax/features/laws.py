"""The laws from which random neurons draw their weights and biases."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.features import draws
from rfjax.features.spectra import Mixing


class Law(eqx.Module):
    """A distribution of biases: one value a neuron, or none at all."""

    def draw(self, key: PRNGKeyArray, count: int) -> Float[Array, " count"] | None:
        """`count` independent biases, or None for no bias."""
        raise NotImplementedError


class Zero(Law):
    """No bias."""

    def draw(self, key: PRNGKeyArray, count: int) -> None:
        return None


class Constant(Law):
    """Every bias equal to `value`."""

    value: float = eqx.field(converter=lambda v: checks.number("value", v))

    def draw(self, key: PRNGKeyArray, count: int) -> Float[Array, " count"]:
        return jnp.full((count,), self.value, dtype=float)


class Normal(Law):
    """Biases N(0, std²).  Raises ValueError unless std > 0."""

    std: float = eqx.field(default=1.0, converter=lambda v: checks.number("std", v, above=0.0))

    def draw(self, key: PRNGKeyArray, count: int) -> Float[Array, " count"]:
        return self.std * jax.random.normal(key, (count,))


class Uniform(Law):
    """Biases uniform on [low, high].  Raises ValueError unless low < high."""

    low: float = eqx.field(default=-1.0, converter=lambda v: checks.number("low", v))
    high: float = eqx.field(default=1.0, converter=lambda v: checks.number("high", v))

    def __check_init__(self) -> None:
        if not checks.is_traced(self.low, self.high):
            checks.number("high", self.high, above=float(self.low))

    def draw(self, key: PRNGKeyArray, count: int) -> Float[Array, " count"]:
        return jax.random.uniform(key, (count,), minval=self.low, maxval=self.high)


WEIGHTS = ("sphere", "gaussian")
DRAWS = ("iid", "orthogonal", "sobol")


def draw_weights(law: str, key: PRNGKeyArray, count: int, dimension: int, draw: str) -> Float[Array, "count dimension"]:
    """`count` weight vectors: uniform on the unit sphere, or N(0, I/d), whose squared length is 1 on average.

    `draw` is one of `DRAWS`: independent, at right angles in blocks of d, or quasi-random; each vector is of its law.
    """
    if draw == "sobol":
        weights, _ = draws.sequence(key, draw, count, dimension, Mixing(), phase=False, waves=False)
    elif law == "sphere" and draw == "orthogonal":
        return draws.haar(key, -(-count // dimension), dimension).reshape(-1, dimension)[:count]
    elif draw == "orthogonal":
        weights = draws.orthogonal(key, count, dimension, Mixing())
    else:
        weights = jax.random.normal(key, (count, dimension))
    if law == "sphere":
        return weights / jnp.linalg.norm(weights, axis=1, keepdims=True)
    return weights / dimension**0.5
