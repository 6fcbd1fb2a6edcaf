"""Gram matrices and their products with vectors, tile by tile: bounded memory, half the work where k(X) is symmetric.

What is live beside X, Y and the result stays within a bound: `with memory_bound(nbytes): k(X, Y)`.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from rfjax import checks
from rfjax.kernels.pairs import CrossPairs, DiagonalPairs, Pairs
from rfjax.numerics import adjoint_matmul, matmul, norm, settled

_LIVE = 8  # arrays of a tile's size that its evaluation holds at once
_BOUND: ContextVar[int | None] = ContextVar("memory_bound", default=None)
_DEFAULT = {"cpu": 2**25}  # bytes: 1024 x 1024 float32 entries a tile, which stay in a core's cache
_ACCELERATOR = 2**31
_GROUP = 8  # of which the rows of a square tile are a multiple

Evaluate = Callable[[Any, Pairs], Float[Array, "..."]]


@contextmanager
def memory_bound(nbytes: int) -> Iterator[None]:
    """Bound what Gram matrices and their products hold beside their arguments and result, to about `nbytes`.

        with rf.kernels.memory_bound(2**20):
            K = k(X, Y)

    Some copies of the rows of a tile come on top, which shows where X has many columns.  It is read when a kernel is called
    (inside `jax.jit`: when that is traced).  The default suits the device.

    **Raises** TypeError or ValueError unless `nbytes` is a positive integer.
    """
    token = _BOUND.set(checks.count("nbytes", nbytes))
    try:
        yield
    finally:
        _BOUND.reset(token)


def held_bytes(default: dict[str, int] = _DEFAULT, accelerator: int = _ACCELERATOR) -> int:
    """The memory bound in force, otherwise the default of this device."""
    return _BOUND.get() or default.get(jax.default_backend(), accelerator)


def require_fits(needed: int, what: str) -> None:
    """Raise ValueError where a bound that was set leaves no room for the least that is done at once."""
    bound = _BOUND.get()
    if bound is not None and bound < needed:
        raise ValueError(
            f"the memory bound of {bound} bytes is too small for {what}: at least {needed} bytes are needed "
            "(rf.kernels.memory_bound)"
        )


class Tiling(NamedTuple):
    """How an n x m matrix is cut: the shape of a tile and how many there are, rows first."""

    rows: int
    columns: int
    down: int
    across: int

    @classmethod
    def of(cls, n: int, m: int, itemsize: int, *, square: bool = False, mirrored: bool = False) -> "Tiling":
        """Tiles within the memory bound, as nearly equal as n and m allow: the last ones overlap instead of padding.

        Half as large where their `mirrored` images are written too, which waste less the smaller those on the diagonal.
        """
        area = max(64, held_bytes() // ((1 + mirrored) * _LIVE * itemsize))
        side = math.isqrt(area)
        if square and n <= side:
            return cls.whole(n, n)
        if square:  # products with the mirror images of tiles are summed in groups of rows
            down = -(-n // (side // _GROUP * _GROUP))
            side = -(-n // (down * _GROUP)) * _GROUP
            return cls(side, side, down, down)
        rows = min(n, side)
        columns = min(m, area // rows)
        rows = min(n, area // columns)
        down, across = -(-n // rows), -(-m // columns)
        return cls(-(-n // down), -(-m // across), down, across)

    @classmethod
    def whole(cls, n: int, m: int) -> "Tiling":
        """All in one tile."""
        return cls(n, m, 1, 1)

    @property
    def single(self) -> bool:
        """Whether one tile is all."""
        return self.down == self.across == 1

    def starts(self, n: int, m: int, *, lower: bool = False) -> Int[np.ndarray, "tiles 2"]:
        """The first row and column of every tile; of those that touch the lower triangle, for `lower`."""
        kept = [(i, j) for i in range(self.down) for j in range(self.across) if not lower or j <= i]
        last = (n - self.rows, m - self.columns)
        return np.minimum(np.array(kept) * (self.rows, self.columns), last).astype(np.int32)


class Rows(NamedTuple):
    """Points and their norms, which all tiles share."""

    X: Float[Array, "n d"]
    lengths: Float[Array, " n"]

    @classmethod
    def of(cls, X: Float[Array, "n d"]) -> "Rows":
        return cls(X, settled(norm(X)))

    def some(self, start: Int[Array, ""], count: int) -> "Rows":
        """`count` of them, from `start`."""
        return Rows(*(lax.dynamic_slice_in_dim(v, start, count) for v in self))


def cross_gram(evaluate: Evaluate, kernel: Any, X: Array, Y: Array, tiling: Tiling) -> Float[Array, "n m"]:
    """evaluate(kernel, pairs) for all pairs of X and Y."""
    if tiling.single:
        return evaluate(kernel, CrossPairs(X, Y))
    return _tiled(evaluate, tiling, kernel, X, Y)


def self_gram(evaluate: Evaluate, kernel: Any, X: Array, tiling: Tiling) -> Float[Array, "n n"]:
    """evaluate(kernel, pairs) for all pairs of X with itself: the lower triangle mirrored, its diagonal exact."""
    diagonal = evaluate(kernel, DiagonalPairs(X))
    if tiling.single:
        numbers = _range(X.shape[0])
        full = _mirrored(evaluate(kernel, CrossPairs(X, X, (numbers, numbers))), X[0])
    else:
        full = _symmetric(evaluate, tiling, kernel, X)
    place = _range(full.shape[0])
    return full.at[place, place].set(diagonal, unique_indices=True)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _symmetric(evaluate: Evaluate, tiling: Tiling, kernel: Any, X: Array) -> Float[Array, "n n"]:
    n = X.shape[0]
    lower = tiling.starts(n, n, lower=True)
    # Those on the diagonal come last: where the last tiles overlap others, theirs are the entries that remain.
    starts = jnp.asarray(lower[np.argsort(lower[:, 0] == lower[:, 1], stable=True)])
    rows = Rows.of(X)
    tile = partial(_tile, evaluate, tiling, True, kernel, rows, rows)

    def write(t: Int[Array, ""], out: Float[Array, "n n"]) -> Float[Array, "n n"]:
        start = starts[t]
        values, image = _mirrors(tile(start), X[0])
        out = lax.dynamic_update_slice(out, image, start[::-1])  # on the diagonal the same place, written again
        return lax.dynamic_update_slice(out, _lower(values, image, start[0] > start[1]), start)

    return lax.fori_loop(0, starts.shape[0], write, jnp.zeros((n, n), jax.eval_shape(tile, starts[0]).dtype))


@_symmetric.defjvp
def _symmetric_jvp(evaluate: Evaluate, tiling: Tiling, primals: Any, tangents: Any) -> tuple[Array, Array]:
    def by_tiles(kernel: Any, X: Array) -> Array:
        return _mirrored(_stacked(evaluate, tiling, True, kernel, X, X), X[0])

    return jax.jvp(by_tiles, primals, tangents)


def _mirrored(values: Float[Array, "n n"], probe: Array) -> Float[Array, "n n"]:
    """The lower triangle on both sides."""
    return _lower(*_mirrors(values, probe), jnp.asarray(False))


def _mirrors(values: Float[Array, "n m"], probe: Array) -> tuple[Float[Array, "n m"], Float[Array, "m n"]]:
    """The entries and their transposition, both in buffers.

    Fused into what follows they would be computed twice, and could be rounded in two ways; and a transposition on its own
    is several times faster than one within a fusion.
    """
    values = settled(values, probe)
    return values, settled(values.T, probe)


def _lower(values: Float[Array, "n n"], image: Float[Array, "n n"], whole: Bool[Array, ""]) -> Float[Array, "n n"]:
    """The entries below the diagonal on both sides, or all as they are."""
    # `tri`, because XLA's simplifier works for minutes on the same choice written as row > column.
    return jnp.where(whole | jnp.tri(values.shape[0], k=-1, dtype=bool), values, image)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _tiled(evaluate: Evaluate, tiling: Tiling, kernel: Any, X: Array, Y: Array) -> Float[Array, "n m"]:
    n, m = X.shape[0], Y.shape[0]
    starts = jnp.asarray(tiling.starts(n, m))
    tile = partial(_tile, evaluate, tiling, False, kernel, Rows.of(X), Rows.of(Y))

    def write(t: Int[Array, ""], out: Float[Array, "n m"]) -> Float[Array, "n m"]:
        return lax.dynamic_update_slice(out, lax.optimization_barrier(tile(starts[t])), starts[t])

    return lax.fori_loop(0, starts.shape[0], write, jnp.zeros((n, m), jax.eval_shape(tile, starts[0]).dtype))


@_tiled.defjvp
def _tiled_jvp(evaluate: Evaluate, tiling: Tiling, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # A loop that writes in place would keep every version of its matrix for the reverse pass; this one keeps a tile's
    # arguments, and evaluates it again.
    return jax.jvp(partial(_stacked, evaluate, tiling, False), primals, tangents)


def _stacked(
    evaluate: Evaluate, tiling: Tiling, identity: bool, kernel: Any, X: Array, Y: Array
) -> Float[Array, "n m"]:
    X_whole, Y_whole = _whole(X, tiling.rows * tiling.down), _whole(Y, tiling.columns * tiling.across)
    corners = np.stack(np.meshgrid(np.arange(tiling.down), np.arange(tiling.across), indexing="ij"), -1).reshape(-1, 2)
    starts = jnp.asarray(corners * (tiling.rows, tiling.columns), jnp.int32)
    tile = jax.checkpoint(partial(_tile, evaluate, tiling, identity, kernel, Rows.of(X_whole), Rows.of(Y_whole)))
    tiles = lax.map(tile, starts).reshape(tiling.down, tiling.across, tiling.rows, tiling.columns)
    whole = tiles.transpose(0, 2, 1, 3).reshape(X_whole.shape[0], Y_whole.shape[0])
    return whole[: X.shape[0], : Y.shape[0]]


def _tile(
    evaluate: Evaluate, tiling: Tiling, identity: bool, kernel: Any, left: Rows, right: Rows, start: Int[Array, " 2"]
) -> Float[Array, "rows columns"]:
    rows, columns = left.some(start[0], tiling.rows), right.some(start[1], tiling.columns)
    numbers = (start[0] + _range(tiling.rows), start[1] + _range(tiling.columns)) if identity else None
    return evaluate(kernel, CrossPairs(rows.X, columns.X, numbers, (rows.lengths, columns.lengths)))


def cross_matvec(
    evaluate: Evaluate, kernel: Any, X: Array, Y: Array, V: Float[Array, "m c"], tiling: Tiling
) -> Float[Array, "n c"]:
    """Σ_j evaluate(x_i, y_j) V_j, holding one tile at a time."""
    X_whole, Y_whole = _whole(X, tiling.rows * tiling.down), _whole(Y, tiling.columns * tiling.across)
    left, right, V_whole = Rows.of(X_whole), Rows.of(Y_whole), _padded(V, Y_whole.shape[0])

    def row(i: Int[Array, ""]) -> Float[Array, "rows c"]:
        def add(j: Int[Array, ""], total: Array) -> Array:
            start = jnp.stack([i * tiling.rows, j.astype(i.dtype) * tiling.columns])
            values = lax.dynamic_slice_in_dim(V_whole, start[1], tiling.columns)
            tile = _tile(evaluate, tiling, False, kernel, left, right, start).astype(V.dtype)
            return total + matmul(tile, values)

        return lax.fori_loop(0, tiling.across, add, jnp.zeros((tiling.rows, V.shape[1]), V.dtype))

    blocks = lax.map(jax.checkpoint(row), _range(tiling.down))
    return blocks.reshape(-1, V.shape[1])[: X.shape[0]]


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def self_matvec(
    evaluate: Evaluate, tiling: Tiling, kernel: Any, X: Array, V: Float[Array, "n c"]
) -> Float[Array, "n c"]:
    """Σ_j k(x_i, x_j) V_j: every tile of the lower triangle serves for its mirror image too."""
    X_whole = _whole(X, tiling.rows * tiling.down)
    rows, V_whole = Rows.of(X_whole), _padded(V, X_whole.shape[0])
    diagonal = evaluate(kernel, DiagonalPairs(X_whole))
    starts = jnp.asarray(tiling.starts(*2 * X_whole.shape[:1], lower=True))
    place = _range(tiling.rows)

    def add(t: Int[Array, ""], total: Float[Array, "n c"]) -> Float[Array, "n c"]:
        i, j = starts[t]
        tile = _tile(evaluate, tiling, True, kernel, rows, rows, starts[t])
        own = lax.dynamic_slice_in_dim(diagonal, i, tiling.rows)
        tile = lax.cond(i == j, lambda: tile.at[place, place].set(own, unique_indices=True), lambda: tile)
        tile = lax.optimization_barrier(tile).astype(V.dtype)
        beside, above = (lax.dynamic_slice_in_dim(V_whole, k, tiling.rows) for k in (j, i))
        total = _added(total, matmul(tile, beside), i)
        return _added(total, jnp.where(i == j, 0, adjoint_matmul(tile, above)), j)

    return lax.fori_loop(0, starts.shape[0], add, jnp.zeros_like(V_whole))[: X.shape[0]]


@self_matvec.defjvp
def _self_matvec_jvp(evaluate: Evaluate, tiling: Tiling, primals: Any, tangents: Any) -> tuple[Array, Array]:
    def by_rows(kernel: Any, X: Array, V: Array) -> Array:
        return cross_matvec(evaluate, kernel, X, X, V, tiling)

    return self_matvec(evaluate, tiling, *primals), jax.jvp(by_rows, primals, tangents)[1]


def _added(total: Float[Array, "n c"], part: Float[Array, "rows c"], start: Int[Array, ""]) -> Float[Array, "n c"]:
    held = lax.dynamic_slice_in_dim(total, start, part.shape[0])
    return lax.dynamic_update_slice_in_dim(total, held + part, start, axis=0)


def _range(count: int) -> Int[Array, " count"]:
    return jnp.arange(count, dtype=jnp.int32)


def _whole(X: Float[Array, "n d"], rows: int) -> Float[Array, "rows d"]:
    """X with its last row repeated up to a whole number of tiles."""
    return X if rows == X.shape[0] else X[np.minimum(np.arange(rows), X.shape[0] - 1)]


def _padded(V: Float[Array, "n c"], rows: int) -> Float[Array, "rows c"]:
    return jnp.pad(V, ((0, rows - V.shape[0]), (0, 0)))
