"""Products of an empirical NTK with vectors, which never form it: K v = J(X)·(J(Y)ᵀ v), one pass back and one forward."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from rfjax.kernels.tiles import require_fits
from rfjax.tangent.selection import PointFunction
from rfjax.tangent.uses import Layout

_TOGETHER = 16  # tangents that one forward pass carries
_EXACT = lax.Precision.HIGHEST


def tangents(
    one: PointFunction, leaves: list[Array], free: tuple[int, ...], Y: Float[Array, "m d"], seeds: Float[Array, "a c"]
) -> list[Float[Array, "m a ..."]]:
    """∂⟨seed_a, f(y)⟩/∂θ for the `free` leaves."""

    def at(y: Float[Array, " d"]) -> list[Array]:
        _, pull = jax.vjp(lambda own: one(_merged(leaves, free, own), y), [leaves[i] for i in free])
        return jax.vmap(pull)(seeds)[0]

    return jax.vmap(at)(Y)


def pushed(
    one: PointFunction,
    leaves: list[Array],
    free: tuple[int, ...],
    left: tuple[Float[Array, "n d"], Float[Array, "a c"]],
    right: list[Float[Array, "m b ..."]],
    mode: str,
) -> Float[Array, "..."]:
    """⟨∂⟨seed_a, f(x)⟩/∂θ, tangent_{y,b}⟩ by forward mode: "sum" [n, m], "diagonal" [n, m, a], "full" [n, a, m, b].

    `left` is the points x and their seeds, `right` the tangents of `tangents`.
    """
    X, seeds = left
    m, b = right[0].shape[:2]
    flat = [leaf.reshape(m * b, *leaf.shape[2:]) for leaf in right]

    def push(tangent: list[Array]) -> Float[Array, "n a"]:
        moved = _forward(one, leaves, free, X, tangent)
        return jnp.matmul(moved, seeds.T, precision=_EXACT)

    change = lax.map(push, flat, batch_size=min(_TOGETHER, m * b)).reshape(m, b, X.shape[0], -1)
    if mode == "full":
        return change.transpose(2, 3, 0, 1)
    own = jnp.diagonal(change, axis1=1, axis2=3)  # [m, n, a]
    return jnp.sum(own, axis=2).T if mode == "sum" else own.swapaxes(0, 1)


class Stride(NamedTuple):
    """How much of a product is done at once: points, and vectors."""

    points: int
    vectors: int

    @classmethod
    def of(cls, layout: Layout, itemsize: int, bound: int) -> "Stride":
        """Half of the bound for what points hold on the way, half for the two tangents that each vector has.

        **Raises** ValueError when a bound that was set has no room for one of each.
        """
        point, vector = 3 * layout.held + layout.outputs, 2 * sum(layout.sizes)
        half = bound // (2 * itemsize)
        if half < max(point, vector):
            require_fits(2 * itemsize * max(point, vector), "one point and one vector of this product")
        return cls(max(1, half // point), max(1, half // vector))


def product(
    one: PointFunction,
    leaves: list[Array],
    X: Float[Array, "n d"],
    Y: Float[Array, "m d"],
    weights: Float[Array, "q m c"],
    stride: Stride,
) -> Float[Array, "q n c"]:
    """J(X) Σ_y J(y)ᵀ weights[q, y] for several q, a stride at a time; no Jacobian is formed."""
    few = partial(_product, one, leaves, X, Y, chunk=stride.points)
    if weights.shape[0] <= stride.vectors:
        return few(weights)
    parts = lax.map(few, _chunks(weights, stride.vectors, fill=False))
    return parts.reshape(-1, *parts.shape[2:])[: weights.shape[0]]


def _product(
    one: PointFunction, leaves: list[Array], X: Array, Y: Array, weights: Float[Array, "q m c"], chunk: int
) -> Float[Array, "q n c"]:
    free = tuple(range(len(leaves)))

    def pull(part: tuple[Array, Array]) -> list[Array]:
        points, own = part  # [b, d], [b, q, c]
        _, back = jax.vjp(lambda theta: jax.vmap(one, (None, 0))(theta, points), leaves)
        return jax.vmap(back)(jnp.swapaxes(own, 0, 1))[0]

    def add(total: list[Array], part: tuple[Array, Array]) -> tuple[list[Array], None]:
        return jax.tree.map(jnp.add, total, pull(part)), None

    points, own = _chunks(Y, chunk), _chunks(jnp.swapaxes(weights, 0, 1), chunk, fill=False)
    start = [jnp.zeros((weights.shape[0], *leaf.shape), X.dtype) for leaf in leaves]
    total = (
        pull((points[0], own[0])) if points.shape[0] == 1 else lax.scan(jax.checkpoint(add), start, (points, own))[0]
    )

    def push(points: Float[Array, "b d"]) -> Float[Array, "q b c"]:
        return jax.vmap(lambda tangent: _forward(one, leaves, free, points, tangent))(total)

    parts = lax.map(push, _chunks(X, chunk))  # [k, q, b, c]
    return jnp.moveaxis(parts, 1, 0).reshape(weights.shape[0], -1, weights.shape[2])[:, : X.shape[0]]


def _forward(
    one: PointFunction, leaves: list[Array], free: tuple[int, ...], X: Float[Array, "n d"], tangent: list[Array]
) -> Float[Array, "n c"]:
    """The change of f(X) along a tangent."""

    def outputs(own: list[Array]) -> Float[Array, "n c"]:
        return jax.vmap(one, (None, 0))(_merged(leaves, free, own), X)

    return jax.jvp(outputs, ([leaves[i] for i in free],), (tangent,))[1]


def _merged(leaves: list[Array], free: tuple[int, ...], own: Any) -> list[Array]:
    moved = list(leaves)
    for i, leaf in zip(free, own, strict=True):
        moved[i] = leaf
    return moved


def _chunks(V: Float[Array, "n ..."], size: int, *, fill: bool = True) -> Float[Array, "k b ..."]:
    """Blocks of rows; the last is filled with its last row again, or with zeros."""
    count = -(-V.shape[0] // min(size, V.shape[0]))
    size = -(-V.shape[0] // count)
    rest = ((0, count * size - V.shape[0]),) + ((0, 0),) * (V.ndim - 1)
    return jnp.pad(V, rest, mode="edge" if fill else "constant").reshape(count, size, *V.shape[1:])
