"""The geometry of pairs of points, computed once for every kernel that asks, and right where points nearly coincide.

A Gram product loses the angle of near-coincident and antipodal points: 1 − cos θ = 2 sin²(θ/2) is rounding below
θ ≈ √eps.  Where a cosine is close to ±1, blocks of rows that hold such a pair take it from the difference of the
points themselves.
"""

import abc
from collections.abc import Callable
from functools import cached_property

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from rfjax.numerics import Covariance, gram, norm, safe_divide

NEAR_ANGLE = 1e-3  # |cos θ| beyond 1 − this is taken from differences: θ from the product is good to eps/√(2e-3)
NEAR_DISTANCE = 1e-2  # the same for distances, whose kernels may be narrow: exp(−t·NEAR/2)·t·eps stays below 1e-5
_BLOCK = 8  # rows that share one decision

Features = Callable[[Float[Array, "n d"]], Float[Array, "n p"]]


class Pairs(abc.ABC):
    """Pairs (x, y) laid out as a matrix [n, m], or as the vector [n] of each point with itself.

    It lives inside one traced call and is never a leaf: its properties are computed when a kernel first asks.
    """

    columns: int

    @property
    @abc.abstractmethod
    def covariance(self) -> Covariance:
        """Second moments of a coordinate: left = ‖x‖²/d, right = ‖y‖²/d, cross = ⟨x, y⟩/d."""

    @property
    @abc.abstractmethod
    def squared_distance(self) -> Float[Array, "..."]:
        """‖x − y‖², without cancellation."""

    @abc.abstractmethod
    def inner(self, features: Features) -> Float[Array, "..."]:
        """⟨φ(x), φ(y)⟩ for a feature map φ."""

    @abc.abstractmethod
    def matrix(self, function: Callable[[Float[Array, "n d"], Float[Array, "m d"]], Array]) -> Float[Array, "..."]:
        """function(X, Y) [n, m] for a kernel that is known as a function of two data sets; its diagonal for [n]."""


class CrossPairs(Pairs):
    """All pairs of a row of X with a row of Y; `symmetric` when Y is X, whose diagonal is then exact."""

    def __init__(self, X: Float[Array, "n d"], Y: Float[Array, "m d"], *, symmetric: bool = False):
        dtype = jnp.result_type(X, Y)
        self.X, self.Y, self.symmetric = X.astype(dtype), Y.astype(dtype), symmetric
        self.columns = X.shape[1]

    @cached_property
    def covariance(self) -> Covariance:
        a, b, below, above = _angles(self.X, self.Y, self.symmetric, NEAR_ANGLE)
        return Covariance(*(v / self.columns for v in (a**2, b**2, below, above)))

    @cached_property
    def squared_distance(self) -> Float[Array, "n m"]:
        centre = lax.stop_gradient(jnp.mean(self.Y, axis=0))  # distances do not change, and what cancels shrinks
        a, b, below, _ = _angles(self.X - centre, self.Y - centre, self.symmetric, NEAR_DISTANCE)
        return (a - b) ** 2 + 2 * below

    def inner(self, features: Features) -> Float[Array, "n m"]:
        left = features(self.X)
        return gram(left, left if self.symmetric else features(self.Y))

    def matrix(self, function: Callable[[Float[Array, "n d"], Float[Array, "m d"]], Array]) -> Float[Array, "n m"]:
        return function(self.X, self.Y)


class DiagonalPairs(Pairs):
    """Each row of X with itself: every quantity is a vector [n]."""

    def __init__(self, X: Float[Array, "n d"]):
        self.X, self.columns = X, X.shape[1]

    @cached_property
    def covariance(self) -> Covariance:
        return Covariance.of_equal(norm(self.X) ** 2 / self.columns)

    @property
    def squared_distance(self) -> Float[Array, " n"]:
        return jnp.zeros(self.X.shape[0], self.X.dtype)

    def inner(self, features: Features) -> Float[Array, " n"]:
        return jnp.sum(features(self.X) ** 2, axis=1)

    def matrix(self, function: Callable[[Float[Array, "n d"], Float[Array, "m d"]], Array]) -> Float[Array, " n"]:
        blocks = lax.map(lambda x: function(x[None], x[None]), self.X, batch_size=min(64, self.X.shape[0]))
        return jnp.diagonal(blocks, axis1=1, axis2=2).ravel()


def _angles(
    X: Float[Array, "n d"], Y: Float[Array, "m d"], symmetric: bool, near: float
) -> tuple[Float[Array, "n 1"], Float[Array, "1 m"], Float[Array, "n m"], Float[Array, "n m"]]:
    """Norms a of X and b of Y, and ab(1 − cos θ) and ab(1 + cos θ) for every pair."""
    a, b = norm(X), norm(Y)
    x, y = safe_divide(X, a[:, None]), safe_divide(Y, b[:, None])
    cosine = jnp.clip(gram(x, y), -1, 1)
    below, above = 1 - cosine, 1 + cosine
    close = jnp.abs(cosine) > 1 - near
    if symmetric:
        diagonal = jnp.eye(X.shape[0], dtype=bool)
        close &= ~diagonal
    below, above = lax.cond(jnp.any(close), lambda: _by_difference(x, y, below, above, close), lambda: (below, above))
    if symmetric:
        below, above = jnp.where(diagonal, 0, below), jnp.where(diagonal, 2, above)
    a, b = a[:, None], b[None, :]
    zero = (a == 0) | (b == 0)
    # At a zero row ⟨x, y⟩ = 0 has the derivative y, which lengths and angles cannot carry.
    lost = lax.cond(jnp.any(zero), lambda: jnp.where(zero, gram(X, Y), 0), lambda: jnp.zeros_like(cosine))
    return a, b, a * b * below - lost, a * b * above + lost


def _by_difference(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    below: Float[Array, "n m"],
    above: Float[Array, "n m"],
    close: Bool[Array, "n m"],
) -> tuple[Float[Array, "n m"], Float[Array, "n m"]]:
    """Replace the `close` entries by ½‖x̂ − ŷ‖² and ½‖x̂ + ŷ‖², in blocks of rows; blocks without any pay nothing."""
    n = x.shape[0]
    blocks = -(-n // _BLOCK)

    def fold(v: Array) -> Array:
        padding = [(0, blocks * _BLOCK - n)] + [(0, 0)] * (v.ndim - 1)
        return jnp.pad(v, padding).reshape(blocks, _BLOCK, *v.shape[1:])

    def fix(block: tuple[Array, Array, Array, Array]) -> tuple[Array, Array]:
        rows, low, high, near = block

        def differences() -> tuple[Array, Array]:
            minus = jnp.sum((rows[:, None] - y) ** 2, axis=-1) / 2
            plus = jnp.sum((rows[:, None] + y) ** 2, axis=-1) / 2
            return jnp.where(near, minus, low), jnp.where(near, plus, high)

        return lax.cond(jnp.any(near), differences, lambda: (low, high))

    fixed = lax.map(fix, (fold(x), fold(below), fold(above), fold(close)))
    return tuple(v.reshape(blocks * _BLOCK, -1)[:n] for v in fixed)
