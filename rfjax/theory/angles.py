"""A kernel between two points of given norms at a given angle: what tells a function of the angle from any other kernel."""

from functools import partial
from typing import NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.kernels import DiagonalPairs, Kernel, Pairs
from rfjax.numerics import Covariance

_BATCH = 512


class AnglePairs(Pairs):
    """Pairs of points with d columns, both of norm r, at angles θ; of the points themselves nothing else is known."""

    def __init__(self, theta: Float[Array, " q"], norm: Float[Array, ""] | float, d: int):
        self.columns = d
        self._theta, self._norm = theta, norm

    @property
    def covariance(self) -> Covariance:
        square = jnp.full_like(self._theta, self._norm**2 / self.columns)
        below = 2 * square * jnp.sin(self._theta / 2) ** 2
        above = 2 * square * jnp.cos(self._theta / 2) ** 2
        return Covariance(square, square, below, above)

    @property
    def squared_distance(self) -> Float[Array, " q"]:
        return (2 * self._norm * jnp.sin(self._theta / 2)) ** 2

    def own(self, evaluate):
        point = jnp.zeros((1, self.columns), self._theta.dtype).at[0, 0].set(self._norm)
        values = jnp.broadcast_to(evaluate(DiagonalPairs(point)), self._theta.shape)
        return values, values

    def inner(self, features) -> NoReturn:
        _refuse()

    def matrix(self, function) -> NoReturn:
        _refuse()

    def transformed(self, function) -> NoReturn:
        _refuse()


def _refuse() -> NoReturn:
    raise TypeError("kernel must be a function of norms and angle, got one that sees the points in coordinates")


def angle_values(kernel: Kernel, theta: Float[np.ndarray, " q"], norm: float, d: int) -> Float[np.ndarray, " q"]:
    """k between different points of one norm at angles θ, in the widest floats that JAX is set to."""
    padded = np.pad(theta, (0, -len(theta) % _BATCH))  # few lengths, so that a kernel is compiled once
    return np.asarray(_at_angles(kernel, jnp.asarray(padded), norm, d), dtype=np.float64)[: len(theta)]


def self_values(kernel: Kernel, norms: Float[np.ndarray, " q"], d: int) -> Float[np.ndarray, " q"]:
    """k(x, x) at points of these norms."""
    return np.asarray(_at_norms(kernel, jnp.asarray(norms), d), dtype=np.float64)


@partial(jax.jit, static_argnames="d")
def _at_angles(kernel: Kernel, theta: Float[Array, " q"], norm: float, d: int) -> Float[Array, " q"]:
    return jnp.broadcast_to(kernel._evaluate(AnglePairs(theta, norm, d)), theta.shape)


@partial(jax.jit, static_argnames="d")
def _at_norms(kernel: Kernel, norms: Float[Array, " q"], d: int) -> Float[Array, " q"]:
    return kernel._evaluate(DiagonalPairs(jnp.zeros((len(norms), d), norms.dtype).at[:, 0].set(norms)))
