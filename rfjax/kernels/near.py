"""Pairs of points that nearly coincide, or nearly on one line with 0: their values from the points themselves.

A few neighbours of each point are taken directly; of many, all that is near is refined by products of more digits first,
which leaves few.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from rfjax.numerics import anywhere, less_multiple, norm

_NEIGHBOURS = 3  # of a point, so close, that are corrected one at a time
_BLOCK = 8  # rows that share one decision beyond that
_TOGETHER = 2**16  # coordinates of pairs that are corrected at once: few beside a tile

Points = tuple[Float[Array, "..."], ...]
Exact = Callable[[Points, Points, Float[Array, "..."]], Float[Array, "..."]]
Close = Callable[[Float[Array, "n m"], bool], Bool[Array, "n m"]]  # of refined values, or of those by the product
Refined = Callable[[Float[Array, "n m"]], Float[Array, "n m"]]


def signed(smaller: Float[Array, "..."], beyond: Bool[Array, "..."]) -> Float[Array, "..."]:
    """The angle of a cosine c as one number that keeps its digits: 1 − c for c >= 0 and −(1 + c) `beyond`."""
    # At c = −1 it is the least negative number: a zero would lose its sign in a sum with 0.
    return jnp.where(beyond, -jnp.maximum(smaller, jnp.finfo(smaller.dtype).tiny), smaller)


def unfold(folded: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """1 − c and 1 + c from `signed`."""
    beyond = folded < 0
    return jnp.where(beyond, 2 + folded, folded), jnp.where(beyond, -folded, 2 - folded)


def or_one(a: Float[Array, "..."]) -> Float[Array, "..."]:
    """a, and 1 where a = 0."""
    return jnp.where(a == 0, 1, a)


def small_angles(left: Points, right: Points, folded: Float[Array, "..."]) -> Float[Array, "..."]:
    """`folded` of nearly parallel or opposite pairs, from the part of ±y − x that is orthogonal to the shorter of the two.

    e = direction of the shorter,  δ = ±y − x,  p = δ − e⟨e, δ⟩;   sin θ = ‖p‖/longer,  1 − cos θ = sin²θ/(1 + cos θ)

    Of points of unequal length that are nearly multiples of each other little is left of δ, and rounding of e shows.
    There p comes from p₀ = longer − t·shorter, t = ⟨shorter, longer⟩/‖shorter‖², with products of twice the digits.
    """
    (X, a), (Y, b) = left, right
    x, y = X / or_one(a), Y / or_one(b)
    beyond = folded < 0
    sign = jnp.where(beyond, -1, 1).astype(X.dtype)[..., None]
    axis = jnp.where(a <= b, x, sign * y)
    difference = sign * Y - X
    across = _orthogonal(axis, difference)
    shorter, longer = jnp.where(a <= b, X, sign * Y), jnp.where(a <= b, sign * Y, X)
    ratio = jnp.sum(axis * longer, axis=-1, keepdims=True) / or_one(jnp.minimum(a, b))
    exact = _orthogonal(axis, less_multiple(longer, ratio, shorter))
    # The plain form errs by eps·‖δ‖, this one by eps^1.5·‖longer‖: less than that is 0.
    eps, length = float(jnp.finfo(X.dtype).eps), jnp.maximum(a, b)
    exact = jnp.where(norm(exact)[..., None] <= 4 * eps**1.5 * length, 0, jnp.where(a <= b, exact, -exact))
    better = (norm(difference)[..., None] > eps**0.5 * length) & jnp.isfinite(exact)
    # As a correction, so that derivatives are those of the plain form.
    across = across + lax.stop_gradient(jnp.where(better, exact - across, 0))
    square = jnp.sum((across / or_one(jnp.maximum(a, b))) ** 2, axis=-1)
    smaller = square / (1 + jnp.sqrt(jnp.maximum(1 - square, 0.5)))
    return signed(smaller, beyond)


def _orthogonal(axis: Float[Array, "... d"], v: Float[Array, "... d"]) -> Float[Array, "... d"]:
    """The part of v that is orthogonal to the unit vector `axis`."""
    return v - axis * jnp.sum(axis * v, axis=-1, keepdims=True)


def squared_distances(left: Points, right: Points, square: Float[Array, "..."]) -> Float[Array, "..."]:
    """‖x − y‖² of near pairs, of whose value by a product nothing is kept."""
    return jnp.sum((left[0] - right[0]) ** 2, axis=-1)


def corrected(
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
