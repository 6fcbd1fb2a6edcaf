"""A kernel assembled from tiles: blocks of points by blocks of outputs, one tile at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from rfjax.numerics import settled
from rfjax.tangent.plan import Part
from rfjax.tangent.rows import pair, row
from rfjax.tangent.selection import PointFunction
from rfjax.tangent.vectors import pushed, tangents

Side = Callable[[Float[Array, "b d"], Float[Array, "a c"]], Any]
Join = Callable[[Any, Any], Float[Array, "..."]]


def matrix(
    one: PointFunction,
    leaves: list[Array],
    part: Part,
    X: Float[Array, "n d"],
    Y: Float[Array, "m d"] | None,
    seeds: Float[Array, "a c"],
    mode: str,
) -> Float[Array, "..."]:
    """The kernel of a part: "sum" [n, m], "diagonal" [n, m, a] or "full" [n, a, m, a]; without Y the lower triangle of X."""
    left: Side = partial(_rows, one, leaves, part)
    right, join = left, partial(pair, mode=mode)
    if part.vectors:
        left, right = _as_given, partial(tangents, one, leaves, part.kept.rest)
        join = partial(pushed, one, leaves, part.kept.rest, mode=mode)
    other = X if Y is None else Y
    n, m, a = X.shape[0], other.shape[0], seeds.shape[0]
    if n <= part.rows and m <= part.columns and a <= part.outputs:
        here = left(X, seeds)
        return join(here, here if Y is None and not part.vectors else right(other, seeds))
    out = _tiled(left, right, join, part, X, other, seeds, mode, same=Y is None, shared=not part.vectors)
    return out[:n, :a, :m, :a] if mode == "full" else out[:n, :m, :a] if mode == "diagonal" else out[:n, :m]


def diagonal(
    one: PointFunction, leaves: list[Array], part: Part, X: Float[Array, "n d"], seeds: Float[Array, "a c"], mode: str
) -> Float[Array, "n ..."]:
    """The kernel of each point with itself: "sum" [n], "diagonal" [n, a], "full" [n, a, a]."""

    def own(x: Float[Array, " d"]) -> Array:
        here = jax.tree.map(lambda leaf: leaf[None], row(one, leaves, part.kept, x, seeds))
        values = pair(here, here, mode)
        return values[0, :, 0] if mode == "full" else values[0, 0]

    return lax.map(own, X, batch_size=min(part.chunk, X.shape[0]))


def mirrored(K: Float[Array, "n n ..."]) -> Float[Array, "n n ..."]:
    """The lower triangle on both sides of the diagonal, of the first two axes."""
    K = settled(K)  # read from a buffer by both sides: fused, they could be rounded in two ways
    lower = jnp.tri(K.shape[0], dtype=bool).reshape(K.shape[:2] + (1,) * (K.ndim - 2))
    return jnp.where(lower, K, jnp.swapaxes(K, 0, 1))


def _as_given(points: Float[Array, "b d"], seeds: Float[Array, "a c"]) -> Any:
    return points, seeds


def _rows(one: PointFunction, leaves: list[Array], part: Part, X: Array, seeds: Array) -> Any:
    """The derivatives at the points of a block, `chunk` points at a time."""

    def one_row(x: Float[Array, " d"]) -> Any:
        return row(one, leaves, part.kept, x, seeds)

    if X.shape[0] <= part.chunk:
        return jax.vmap(one_row)(X)
    count = -(-X.shape[0] // part.chunk)
    size = -(-X.shape[0] // count)
    chunks = _padded(X, count * size).reshape(count, size, -1)
    kept = lax.map(jax.vmap(one_row), chunks)
    return jax.tree.map(lambda v: v.reshape(-1, *v.shape[2:])[: X.shape[0]], kept)


def _tiled(
    left: Side,
    right: Side,
    join: Join,
    part: Part,
    X: Array,
    Y: Array,
    seeds: Array,
    mode: str,
    *,
    same: bool,
    shared: bool,
) -> Float[Array, "..."]:
    """Tile after tile, those of one left block in a row, so that it is computed once."""
    X, Y = (_cut(points, size) for points, size in ((X, part.rows), (Y, part.columns)))
    bands = -(-seeds.shape[0] // part.outputs)
    seeds = jnp.pad(seeds, ((0, bands * part.outputs - seeds.shape[0]), (0, 0))).reshape(bands, part.outputs, -1)
    same_blocks = same and shared and X.shape == Y.shape
    steps = _steps(X.shape[0], Y.shape[0], bands, mode, lower=same_blocks)
    fresh = np.any(np.diff(steps[:, :2], axis=0, prepend=-1), axis=1)

    def tile(carry: tuple[Array, Any], step: tuple[Array, Bool[Array, ""]]) -> tuple[tuple[Array, Any], None]:
        out, held = carry
        (i, o, j, p), new = step
        held = lax.cond(new, lambda: left(X[i], seeds[o]), lambda: held)
        if same_blocks:
            other = lax.cond((i == j) & (o == p), lambda: held, lambda: right(Y[j], seeds[p]))
        else:
            other = right(Y[j], seeds[p])
        return (_placed(out, lax.optimization_barrier(join(held, other)), (i, o, j, p), mode), held), None

    blank = jax.eval_shape(left, X[0], seeds[0])
    held = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), blank)
    rows, columns, width = X.shape[0] * X.shape[1], Y.shape[0] * Y.shape[1], bands * part.outputs
    shape = {"sum": (rows, columns), "diagonal": (rows, columns, width), "full": (rows, width, columns, width)}[mode]
    start = (jnp.zeros(shape, X.dtype), held)
    (out, _), _ = lax.scan(jax.checkpoint(tile), start, (jnp.asarray(steps), jnp.asarray(fresh)))
    return out


def _steps(down: int, across: int, bands: int, mode: str, *, lower: bool) -> np.ndarray:
    """Row block, row outputs, column block and column outputs of every tile."""
    full = mode == "full"
    found = [
        (i, o, j, p)
        for i in range(down)
        for o in range(bands)
        for j in range(across)
        for p in (range(bands) if full else (o,))
        if not lower or (j <= i)
    ]
    return np.array(found, np.int32)


def _placed(out: Array, tile: Array, step: tuple[Array, ...], mode: str) -> Array:
    """The tile in its place; in a sum over outputs, added to what is there."""
    i, o, j, _ = step
    blocks = {"sum": (i, j), "diagonal": (i, j, o), "full": step}[mode]
    at = tuple(index * size for index, size in zip(blocks, tile.shape, strict=True))
    if mode == "sum":
        tile = tile + lax.dynamic_slice(out, at, tile.shape)
    return lax.dynamic_update_slice(out, tile, at)


def _cut(X: Float[Array, "n d"], size: int) -> Float[Array, "blocks b d"]:
    """Blocks as nearly equal as n allows, the last row repeated to fill them."""
    blocks = -(-X.shape[0] // size)
    size = -(-X.shape[0] // blocks)
    return _padded(X, blocks * size).reshape(blocks, size, X.shape[1])


def _padded(X: Float[Array, "n d"], rows: int) -> Float[Array, "rows d"]:
    return X if rows == X.shape[0] else X[np.minimum(np.arange(rows), X.shape[0] - 1)]
