"""The geometry of pairs of points, computed once for every kernel that asks, and right where points nearly coincide.

A Gram product loses the angle of near-coincident and antipodal points: 1 − cos θ = 2 sin²(θ/2) is rounding below
θ ≈ √eps.  Where a cosine is close to ±1 it is taken from the difference of the points themselves.
"""

import abc
from collections.abc import Callable
from functools import cached_property
from typing import Any, Self

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from rfjax.kernels.near import corrected, or_one, signed, small_angles, squared_distances, unfold
from rfjax.numerics import Covariance, anywhere, finer, gram, half_squared_distance, norm, settled

NEAR_ANGLE = 5e-3  # |cos θ| beyond 1 − this is taken from differences: θ from the product is good to some eps/√1e-2
NEAR_DISTANCE = 1e-2  # of ‖x‖² + ‖y‖², for distances: narrow kernels err by e^{−tτ/2}·t·eps, below 1e-5 at this τ

Features = Callable[[Float[Array, "n d"]], Float[Array, "n p"]]
Matrix = Callable[[Float[Array, "n d"], Float[Array, "m d"]], Array]
Evaluate = Callable[["Pairs"], Float[Array, "..."]]
OfAngle = Callable[[Float[Array, "n m"], Bool[Array, "n m"]], Float[Array, "n m"]]


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
    def matrix(self, function: Matrix) -> Float[Array, "..."]:
        """function(X, Y) [n, m] for a kernel that is known as a function of two data sets; its diagonal for [n]."""

    @abc.abstractmethod
    def transformed(self, function: Features) -> Self:
        """The same pairs of other points: function(X) with function(Y)."""

    @abc.abstractmethod
    def own(self, evaluate: Evaluate) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """What `evaluate` makes of each x with itself and of each y with itself, to broadcast: [n, 1] and [1, m]."""


class CrossPairs(Pairs):
    """All pairs of a row of X with a row of Y.

    `identity` numbers the points of both: a pair of equal numbers is one point with itself, and exact.  `lengths` are
    ‖x‖ and ‖y‖ where they are known already.
    """

    def __init__(
        self,
        X: Float[Array, "n d"],
        Y: Float[Array, "m d"],
        identity: tuple[Int[Array, " n"], Int[Array, " m"]] | None = None,
        lengths: tuple[Float[Array, " n"], Float[Array, " m"]] | None = None,
    ):
        dtype = jnp.result_type(X, Y)
        self.X, self.Y, self.identity = jnp.asarray(X, dtype), jnp.asarray(Y, dtype), identity
        self.columns, self._lengths = X.shape[1], lengths

    @cached_property
    def norms(self) -> tuple[Float[Array, "n 1"], Float[Array, "1 m"]]:
        """‖x‖ and ‖y‖, to broadcast."""
        a, b = self._lengths or (settled(norm(self.X)), settled(norm(self.Y)))
        return a.astype(self.X.dtype)[:, None], b.astype(self.X.dtype)[None, :]

    @cached_property
    def folded(self) -> Float[Array, "n m"]:
        """The angle θ of x and y as one number that keeps its digits: 1 − cos θ to θ = π/2, −(1 + cos θ) beyond.

        Its sign tells the two sides apart.  A zero row is at right angles to everything.
        """
        a, b = self.norms

        def close(folded: Float[Array, "n m"], fine: bool) -> Bool[Array, "n m"]:
            return self._others(jnp.abs(folded) < NEAR_ANGLE * (finer(a.dtype) / 16 if fine else 1))

        def refined(folded: Float[Array, "n m"]) -> Float[Array, "n m"]:
            beyond = folded < 0
            sign = jnp.where(beyond, -1, 1).astype(folded.dtype)
            smaller = half_squared_distance(self.X / or_one(a), self.Y / or_one(b.T), sign)
            return signed(jnp.maximum(smaller, 0), beyond)

        return corrected(small_angles, refined, signed(*self._angles()), close, (self.X, a), (self.Y, b.T))

    def by_angle(self, function: OfAngle, otherwise: Evaluate, holds: Bool[Array, ""]) -> Float[Array, "n m"]:
        """function(1 − |cos θ|, cos θ < 0), elementwise, where that `holds`, else otherwise(self).

        Where no two points are nearly parallel or opposite, `function` reads the product, and no matrix holds the angles.
        """
        here, elsewhere = (self._in_branch("norms", "_product") for _ in range(2))

        def fitted() -> Float[Array, "n m"]:
            smaller, beyond = here._angles()
            crowded = anywhere(here._others(smaller < NEAR_ANGLE))
            return lax.cond(crowded, close, lambda: function(smaller, beyond))

        def close() -> Float[Array, "n m"]:
            folded = here._in_branch("norms", "_product").folded
            return function(jnp.abs(folded), folded < 0)

        return lax.cond(holds, fitted, lambda: otherwise(elsewhere))

    def _angles(self) -> tuple[Float[Array, "n m"], Bool[Array, "n m"]]:
        """1 − |cos θ| and whether cos θ < 0, by the product alone."""
        product, a, b = self._product
        cosine = product * a * b
        smaller = jnp.maximum(1 - jnp.abs(cosine), 0)  # beyond 0 is rounding
        return smaller if self.identity is None else jnp.where(self._same, 1 - _one(self.norms[0]), smaller), cosine < 0

    def _in_branch(self, *names: str) -> "CrossPairs":
        """The same pairs for a branch of `lax.cond`, whose values must not be remembered outside of it."""
        pairs = CrossPairs(self.X, self.Y, self.identity)
        vars(pairs).update({name: getattr(self, name) for name in names})
        return pairs

    @property
    def known(self) -> dict[str, Any]:
        """What a function that takes arrays alone needs to make these pairs again: `CrossPairs.of(X, Y, known)`."""
        return {"identity": self.identity, "norms": self.norms, "_product": self._product}

    @classmethod
    def of(cls, X: Float[Array, "n d"], Y: Float[Array, "m d"], known: dict[str, Any]) -> "CrossPairs":
        """The pairs of X and Y of which `known` was found before."""
        pairs = cls(X, Y)
        vars(pairs).update(known)
        return pairs

    @cached_property
    def _product(self) -> tuple[Float[Array, "n m"], Float[Array, "n 1"], Float[Array, "1 m"]]:
        return _inner_products(self.X, self.Y, *self.norms)

    @cached_property
    def covariance(self) -> Covariance:
        a, b = self.norms
        root = self.columns**0.5
        # At a zero row ⟨x, y⟩ = 0 has the derivative y, which a factor ‖x‖ = 0 would lose.
        size = (or_one(a) / root) * (or_one(b) / root)
        lost = size * (1 - _one(a) * _one(b))
        one, other = unfold(self.folded)
        return Covariance((a / root) ** 2, (b / root) ** 2, size * one - lost, size * other - lost)

    @cached_property
    def squared_distance(self) -> Float[Array, "n m"]:
        centre = lax.stop_gradient(_centre(self.X, self.Y))  # distances do not change, and what cancels shrinks
        X, Y = self.X - centre, self.Y - centre
        largest = lax.stop_gradient(jnp.maximum(jnp.abs(X).max(), jnp.abs(Y).max()))
        unit = jnp.where(largest**4 < jnp.inf, 1, _binade(largest))  # of what is squared: ∞ − ∞ is no distance
        X, Y = X / unit, Y / unit
        left, right = settled(jnp.sum(X**2, axis=1))[:, None], settled(jnp.sum(Y**2, axis=1))
        farthest = lax.stop_gradient(jnp.maximum(left.max(), right.max()))

        def close(square: Float[Array, "n m"], fine: bool) -> Bool[Array, "n m"]:
            scale = 2 * finer(X.dtype) * farthest if fine else left + right
            return self._others(square <= unit * (unit * (NEAR_DISTANCE * scale)))

        def refined(_: Float[Array, "n m"]) -> Float[Array, "n m"]:
            radius = 2 * _binade(jnp.sqrt(farthest))
            half = half_squared_distance(X / radius, Y / radius)
            return unit * (unit * (2 * radius**2 * jnp.maximum(half, 0)))

        square = unit * (unit * jnp.maximum(left + right - 2 * gram(X, Y), 0))
        if self.identity is not None:
            square = jnp.where(self._same, 0, square)
        return corrected(squared_distances, refined, square, close, (self.X,), (self.Y,))

    def inner(self, features: Features) -> Float[Array, "n m"]:
        return gram(features(self.X), features(self.Y))

    def matrix(self, function: Matrix) -> Float[Array, "n m"]:
        return function(self.X, self.Y)

    def transformed(self, function: Features) -> "CrossPairs":
        return CrossPairs(function(self.X), function(self.Y), self.identity)

    def own(self, evaluate: Evaluate) -> tuple[Float[Array, "n 1"], Float[Array, "1 m"]]:
        return evaluate(DiagonalPairs(self.X))[:, None], evaluate(DiagonalPairs(self.Y))[None, :]

    @property
    def _same(self) -> Bool[Array, "n m"]:
        assert self.identity is not None
        return self.identity[0][:, None] == self.identity[1]

    def _others(self, close: Bool[Array, "n m"]) -> Bool[Array, "n m"]:
        return close if self.identity is None else close & ~self._same


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

    def matrix(self, function: Matrix) -> Float[Array, " n"]:
        blocks = lax.map(lambda x: function(x[None], x[None]), self.X, batch_size=min(64, self.X.shape[0]))
        return jnp.diagonal(blocks, axis1=1, axis2=2).ravel()

    def transformed(self, function: Features) -> "DiagonalPairs":
        return DiagonalPairs(function(self.X))

    def own(self, evaluate: Evaluate) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        values = evaluate(self)
        return values, values


def _centre(X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> Float[Array, " d"]:
    """The mean of Y in so few digits that little is rounded where it is subtracted: multiples of an eighth of the spread."""
    mean = jnp.mean(Y, axis=0)
    step = _binade(jnp.maximum(jnp.abs(X - mean).max(), jnp.abs(Y - mean).max())) / 8
    coarse = jnp.round(mean / step) * step
    return jnp.where(jnp.isfinite(coarse), coarse, mean)


def _binade(x: Float[Array, ""]) -> Float[Array, ""]:
    """The power of two that is at most x, and more than half of it: a factor that rounds nothing."""
    return jnp.ldexp(jnp.ones_like(x), jnp.frexp(x)[1] - 1)


def _inner_products(
    X: Float[Array, "n d"], Y: Float[Array, "m d"], a: Float[Array, "n 1"], b: Float[Array, "1 m"]
) -> tuple[Float[Array, "n m"], Float[Array, "n 1"], Float[Array, "1 m"]]:
    """G, u and v with G·u·v = ⟨x, y⟩/(‖x‖‖y‖), and ⟨x, y⟩/‖y‖ at a zero row x.

    The product is divided, which costs less than to divide the points, but where it would leave the range of the dtype.
    """
    lengths = or_one(a), or_one(b)
    top = float(jnp.finfo(X.dtype).max) ** 0.4
    in_range = ((lengths[0] < top) & (lengths[0] > 1 / top)).all() & ((lengths[1] < top) & (lengths[1] > 1 / top)).all()
    ones = jnp.ones_like(a), jnp.ones_like(b)
    X, Y, a, b = lax.cond(
        in_range,
        lambda: (X, Y, 1 / lengths[0], 1 / lengths[1]),
        lambda: (X / lengths[0], Y / lengths[1].T, *ones),
    )
    return gram(X, Y), a, b


def _one(a: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 where a != 0, otherwise 0."""
    return (a != 0).astype(a.dtype)
