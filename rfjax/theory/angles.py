"""A kernel between two points of given norms at a given angle: what tells a function of the angle from any other kernel."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rfjax.activations import Quadrature
from rfjax.kernels import DiagonalPairs, Kernel, Pairs
from rfjax.numerics import Covariance, in_float64

_ANGLES, _PAIRS = 256, 64  # of one compiled program
_SAFETY = 3.0  # times the error so told
_TERMS = (1023, 511, 255)  # of the duals that are Hermite series


class Norms(NamedTuple):
    """Pairs of norms: norms[left] of x and norms[right] of y, for points with d columns."""

    norms: Float[np.ndarray, " q"]
    left: Int[np.ndarray, " p"]
    right: Int[np.ndarray, " p"]
    d: int

    @property
    def pairs(self) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
        """‖x‖ and ‖y‖ of every pair."""
        return self.norms[self.left], self.norms[self.right]


class AnglePairs(Pairs):
    """Pairs of points with d columns, of given norms at angles θ; of the points themselves nothing else is known."""

    def __init__(self, theta: Float[Array, "1 q"], left: Float[Array, "p 1"], right: Float[Array, "p 1"], d: int):
        self.columns = d
        self._theta, self._left, self._right = theta, left, right

    @property
    def covariance(self) -> Covariance:
        product = 2 * self._left * self._right / self.columns
        below, above = product * jnp.sin(self._theta / 2) ** 2, product * jnp.cos(self._theta / 2) ** 2
        return Covariance(self._left**2 / self.columns, self._right**2 / self.columns, below, above)

    @property
    def squared_distance(self) -> Float[Array, "p q"]:
        return (self._left - self._right) ** 2 + 4 * self._left * self._right * jnp.sin(self._theta / 2) ** 2

    def own(self, evaluate):
        return tuple(evaluate(_points(norms[:, 0], self.columns))[:, None] for norms in (self._left, self._right))

    def inner(self, features) -> NoReturn:
        _refuse()

    def matrix(self, function) -> NoReturn:
        _refuse()

    def transformed(self, function) -> NoReturn:
        _refuse()


def _points(norms: Float[Array, " q"], d: int) -> DiagonalPairs:
    return DiagonalPairs(jnp.zeros((len(norms), d), norms.dtype).at[:, 0].set(norms))


def _refuse() -> NoReturn:
    raise TypeError("kernel must be a function of norms and angle, got one that sees the points in coordinates")


def angle_values(kernel: Kernel, norms: Norms, theta: Float[np.ndarray, " q"]) -> Float[np.ndarray, "p q"]:
    """k between different points of each pair of norms at angles θ, in float64."""
    left, right = norms.pairs
    pairs, count = (1, 1) if len(left) == 1 else (_PAIRS, len(left))
    theta, wanted = np.pad(theta, (0, -len(theta) % _ANGLES)), len(theta)  # few shapes, so that it compiles once
    left, right = (np.pad(v, (0, -count % pairs), mode="edge")[:, None] for v in (left, right))
    values = np.empty((len(left), len(theta)))
    with in_float64():
        for i in range(0, len(left), pairs):
            for j in range(0, len(theta), _ANGLES):
                rows, columns = slice(i, i + pairs), slice(j, j + _ANGLES)
                block = (jnp.asarray(theta[None, columns]), jnp.asarray(left[rows]), jnp.asarray(right[rows]))
                values[rows, columns] = _at_angles(kernel, *block, norms.d)
    return values[:count, :wanted]


def angle_values_and_error(
    kernel: Kernel, norms: Norms, theta: Float[np.ndarray, " q"]
) -> tuple[Float[np.ndarray, "p q"], Float[np.ndarray, "p q"] | float]:
    """`angle_values`, and how far they may be off beyond rounding.

    Duals that are Hermite series have many terms, and half and a quarter of them to tell the error: one that falls from
    e₀ to e₁ falls to e₁²/e₀ where it falls like a power or a geometric series, to less where faster.
    """
    if not by_quadrature(kernel):
        return angle_values(kernel, norms, theta), 0.0
    fine, half, quarter = (angle_values(_with_terms(kernel, n), norms, theta) for n in _TERMS)
    first, second = np.abs(half - quarter), np.abs(fine - half)
    return fine, _SAFETY * second * np.minimum(second / np.maximum(first, 1e-300), 1.0)


def self_values(kernel: Kernel, norms: Float[np.ndarray, " q"], d: int) -> Float[np.ndarray, " q"]:
    """k(x, x) at points of these norms."""
    with in_float64():
        return np.asarray(_at_norms(kernel, jnp.asarray(norms), d))


def by_quadrature(kernel: Kernel) -> bool:
    """Whether an activation's Hermite coefficients are known from quadrature alone."""
    return any(map(_is_quadrature, jax.tree.leaves(kernel, is_leaf=_is_quadrature)))


def _with_terms(kernel: Kernel, terms: int) -> Kernel:
    """The kernel with this many terms in each dual that is a Hermite series."""
    return jax.tree.map(
        lambda node: replace(node, terms=terms) if _is_quadrature(node) else node,
        kernel,
        is_leaf=_is_quadrature,
    )


def _is_quadrature(node: object) -> bool:
    return isinstance(node, Quadrature)


@partial(jax.jit, static_argnames="d")
def _at_angles(
    kernel: Kernel, theta: Float[Array, "1 q"], left: Float[Array, "p 1"], right: Float[Array, "p 1"], d: int
) -> Float[Array, "p q"]:
    return jnp.broadcast_to(kernel._evaluate(AnglePairs(theta, left, right, d)), (len(left), theta.shape[1]))


@partial(jax.jit, static_argnames="d")
def _at_norms(kernel: Kernel, norms: Float[Array, " q"], d: int) -> Float[Array, " q"]:
    return kernel._evaluate(_points(norms, d))
