"""The geometry of pairs of points, computed once for every kernel that asks, and right where points nearly coincide.

A Gram product loses the angle of near-coincident and antipodal points: 1 − cos θ = 2 sin²(θ/2) is rounding below
θ ≈ √eps.  Where a cosine is close to ±1 it is taken from the difference of the points themselves: of a few neighbours
of each point directly; of many by products of more digits, which leaves few.
"""

import abc
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Self

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from rfjax.numerics import Covariance, anywhere, finer, gram, half_squared_distance, less_multiple, norm, settled

NEAR_ANGLE = 5e-3  # |cos θ| beyond 1 − this is taken from differences: θ from the product is good to some eps/√1e-2
NEAR_DISTANCE = 1e-2  # of ‖x‖² + ‖y‖², for distances: narrow kernels err by e^{−tτ/2}·t·eps, below 1e-5 at this τ
_NEIGHBOURS = 3  # of a point, so close, that are corrected one at a time
_BLOCK = 8  # rows that share one decision beyond that
_TOGETHER = 2**16  # coordinates of pairs that are corrected at once: few beside a tile

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
            smaller = half_squared_distance(self.X / _or_one(a), self.Y / _or_one(b.T), sign)
            return _signed(jnp.maximum(smaller, 0), beyond)

        return _corrected(_small_angles, refined, _signed(*self._angles()), close, (self.X, a), (self.Y, b.T))

    def by_angle(self, function: OfAngle, otherwise: Evaluate, holds: Bool[Array, ""]) -> Float[Array, "n m"]:
        """function(1 − |cos θ|, cos θ < 0), elementwise, where that `holds`, else otherwise(self).

        Where no two points are nearly parallel or opposite, `function` reads the product, and no matrix holds the angles.
        """
        here, elsewhere = (self._in_branch("norms", "_product") for _ in range(2))

        def fitted() -> Float[Array, "n m"]:
            smaller, beyond = here._angles()
            crowded = anywhere(here._others(smaller < NEAR_ANGLE))
            return lax.cond(crowded, corrected, lambda: function(smaller, beyond))

        def corrected() -> Float[Array, "n m"]:
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
        size = (_or_one(a) / root) * (_or_one(b) / root)
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
        return _corrected(_distances, refined, square, close, (self.X,), (self.Y,))

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
    lengths = _or_one(a), _or_one(b)
    top = float(jnp.finfo(X.dtype).max) ** 0.4
    in_range = ((lengths[0] < top) & (lengths[0] > 1 / top)).all() & ((lengths[1] < top) & (lengths[1] > 1 / top)).all()
    ones = jnp.ones_like(a), jnp.ones_like(b)
    X, Y, a, b = lax.cond(
        in_range,
        lambda: (X, Y, 1 / lengths[0], 1 / lengths[1]),
        lambda: (X / lengths[0], Y / lengths[1].T, *ones),
    )
    return gram(X, Y), a, b


def fold(cosine: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 − c for c >= 0 and −(1 + c) < 0 below; a c beyond ±1 is rounding."""
    return _signed(jnp.maximum(1 - jnp.abs(cosine), 0), cosine < 0)


def _signed(smaller: Float[Array, "..."], beyond: Bool[Array, "..."]) -> Float[Array, "..."]:
    # At c = −1 it is the least negative number: a zero would lose its sign in a sum with 0.
    return jnp.where(beyond, -jnp.maximum(smaller, jnp.finfo(smaller.dtype).tiny), smaller)


def unfold(folded: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """1 − c and 1 + c from `fold`."""
    beyond = folded < 0
    return jnp.where(beyond, 2 + folded, folded), jnp.where(beyond, -folded, 2 - folded)


def _one(a: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 where a != 0, otherwise 0."""
    return (a != 0).astype(a.dtype)


def _or_one(a: Float[Array, "..."]) -> Float[Array, "..."]:
    """a, and 1 where a = 0."""
    return jnp.where(a == 0, 1, a)


Points = tuple[Float[Array, "..."], ...]
Exact = Callable[[Points, Points, Float[Array, "..."]], Float[Array, "..."]]
Close = Callable[[Float[Array, "n m"], bool], Bool[Array, "n m"]]  # of refined values, or of those by the product
Refined = Callable[[Float[Array, "n m"]], Float[Array, "n m"]]


def _small_angles(left: Points, right: Points, folded: Float[Array, "..."]) -> Float[Array, "..."]:
    """`folded` of nearly parallel or opposite pairs, from the part of ±y − x that is orthogonal to the shorter of the two.

    e = direction of the shorter,  δ = ±y − x,  p = δ − e⟨e, δ⟩;   sin θ = ‖p‖/longer,  1 − cos θ = sin²θ/(1 + cos θ)

    Of points of unequal length that are nearly multiples of each other little is left of δ, and rounding of e shows.
    There p comes from p₀ = longer − t·shorter, t = ⟨shorter, longer⟩/‖shorter‖², with products of twice the digits.
    """
    (X, a), (Y, b) = left, right
    x, y = X / _or_one(a), Y / _or_one(b)
    beyond = folded < 0
    sign = jnp.where(beyond, -1, 1).astype(X.dtype)[..., None]
    axis = jnp.where(a <= b, x, sign * y)
    difference = sign * Y - X
    across = _orthogonal(axis, difference)
    shorter, longer = jnp.where(a <= b, X, sign * Y), jnp.where(a <= b, sign * Y, X)
    ratio = jnp.sum(axis * longer, axis=-1, keepdims=True) / _or_one(jnp.minimum(a, b))
    exact = _orthogonal(axis, less_multiple(longer, ratio, shorter))
    # The plain form errs by eps·‖δ‖, this one by eps^1.5·‖longer‖: less than that is 0.
    eps, length = float(jnp.finfo(X.dtype).eps), jnp.maximum(a, b)
    exact = jnp.where(norm(exact)[..., None] <= 4 * eps**1.5 * length, 0, jnp.where(a <= b, exact, -exact))
    better = (norm(difference)[..., None] > eps**0.5 * length) & jnp.isfinite(exact)
    # As a correction, so that derivatives are those of the plain form.
    across = across + lax.stop_gradient(jnp.where(better, exact - across, 0))
    square = jnp.sum((across / _or_one(jnp.maximum(a, b))) ** 2, axis=-1)
    smaller = square / (1 + jnp.sqrt(jnp.maximum(1 - square, 0.5)))
    return _signed(smaller, beyond)


def _orthogonal(axis: Float[Array, "... d"], v: Float[Array, "... d"]) -> Float[Array, "... d"]:
    """The part of v that is orthogonal to the unit vector `axis`."""
    return v - axis * jnp.sum(axis * v, axis=-1, keepdims=True)


def _distances(left: Points, right: Points, square: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.sum((left[0] - right[0]) ** 2, axis=-1)


def _corrected(
    exact: Exact, refined: Refined, value: Float[Array, "n m"], close: Close, left: Points, right: Points
) -> Float[Array, "n m"]:
    """`value` with its `close` entries replaced by `exact`, which takes points with the axis d last.

    Few points have more than a few neighbours so close: those go one a row at a time, the others by whole rows.  Where
    there are such points, all that is close is `refined` at first, and then less is close.
    Derivatives compute what they need again, block by block: what `exact` holds is d times as large as `value`.
    Which entries are close is worked out again where there are some, so that where there are none no matrix holds it.
    """
    rows, columns = (jnp.arange(size, dtype=jnp.int32) for size in value.shape)
    parts = max(1, -(-left[0].size // _TOGETHER))

    def own(of: tuple[Array, ...]) -> Float[Array, " rows"]:
        old, column, *points = of
        return jax.checkpoint(exact)(tuple(points), tuple(v[column] for v in right), old)

    def one_a_row(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
        return lax.cond(anywhere(state[1]), replaced, lambda *state: state, *state)

    def replaced(value: Float[Array, "n m"], close: Bool[Array, "n m"]) -> tuple[Array, Array]:
        last = jnp.max(jnp.where(close, columns, -1), axis=1)  # many times as fast as argmax
        column = jnp.maximum(last, 0)
        old = value[rows, column]
        new = _map(own, tuple(_split(v, parts) for v in (old, column, *left))).ravel()[: rows.size]
        value = value.at[rows, column].set(jnp.where(last >= 0, new, old), unique_indices=True)
        return value, close.at[rows, column].set(False, unique_indices=True)

    def some() -> Float[Array, "n m"]:
        near = close(value, False)
        crowded = (jnp.sum(near, axis=1) > _NEIGHBOURS).any()
        fixed, rest = lax.fori_loop(
            0, _NEIGHBOURS, one_a_row, lax.cond(crowded, fewer, lambda near: (value, near), near)
        )
        return lax.cond(jnp.any(rest), lambda: _by_block(exact, fixed, rest, left, right), lambda: fixed)

    def fewer(near: Bool[Array, "n m"]) -> tuple[Array, Array]:
        fine = jnp.where(near, jax.checkpoint(refined)(value), value)
        return fine, near & close(fine, True)

    return lax.cond(anywhere(close(value, False)), some, lambda: value)


def _by_block(
    exact: Exact, value: Float[Array, "n m"], close: Bool[Array, "n m"], left: Points, right: Points
) -> Float[Array, "n m"]:
    """The same for blocks of rows at once, some columns at a time; blocks without a close entry pay nothing."""
    n, m = value.shape
    blocks, strips = -(-n // _BLOCK), max(1, -(-m * _BLOCK * left[0].shape[1] // _TOGETHER))

    others = tuple(_split(v, strips) for v in right)

    def block(of: tuple[Points, Array, Array]) -> Array:
        points, old, near = of

        def replaced() -> Array:
            across = others, _split(old.T, strips), _split(near.T, strips)
            return _map(partial(strip, points), across).reshape(-1, old.shape[0])[:m].T

        return lax.cond(jnp.any(near), replaced, lambda: old)

    def strip(points: Points, of: tuple[Points, Array, Array]) -> Array:
        beside, old, near = of

        def replaced() -> Array:
            new = exact(tuple(v[None] for v in points), tuple(v[:, None] for v in beside), old)
            return jnp.where(near, new, old)

        return lax.cond(jnp.any(near), replaced, lambda: old)

    down = (tuple(_split(v, blocks) for v in left), _split(value, blocks), _split(close, blocks))
    return _map(block, down).reshape(-1, m)[:n]


def _map(function: Callable[[Any], Array], parts: Any) -> Array:
    """The values for all parts along the leading axis, one after the other."""
    if jax.tree.leaves(parts)[0].shape[0] == 1:
        return function(jax.tree.map(lambda v: v[0], parts))[None]
    return lax.map(jax.checkpoint(function), parts)


def _split(v: Array, parts: int) -> Array:
    """The rows in as many equal parts, with zeros at the end."""
    size = -(-v.shape[0] // parts)
    return jnp.pad(v, [(0, parts * size - v.shape[0])] + [(0, 0)] * (v.ndim - 1)).reshape(parts, size, *v.shape[1:])
