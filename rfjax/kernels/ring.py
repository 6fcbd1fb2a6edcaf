"""Products k(X, Y) V over several devices: each keeps its own rows, and blocks of Y and V go round."""

from typing import Any, NamedTuple

import jax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from rfjax import checks
from rfjax.kernels.tiles import Evaluate, Tiling, cross_matvec, self_matvec


class Ring(NamedTuple):
    """A mesh axis over which the rows of X, of Y, or of both are spread; `tiling` cuts what one device has at a time."""

    mesh: Mesh
    axis: str
    left: bool
    right: bool
    tiling: Tiling

    @classmethod
    def of(cls, X: Array, Y: Array | None, itemsize: int) -> "Ring | None":
        """The ring of X and Y, from how they lie on their devices; None where they do not lie in rows on one mesh."""
        left, right = _spread(X), _spread(X if Y is None else Y)
        if left is None and right is None:
            return None
        if left is not None and right is not None and left != right:
            return None
        mesh, axis = left or right or (None, "")
        assert mesh is not None
        count = mesh.shape[axis]
        rows = X.shape[0] // (count if left else 1)
        columns = (X if Y is None else Y).shape[0] // (count if right else 1)
        return cls(
            mesh, axis, left is not None, right is not None, Tiling.of(rows, columns, itemsize, square=Y is None)
        )


def ring_matvec(
    evaluate: Evaluate, ring: Ring, kernel: Any, X: Array, Y: Array | None, V: Float[Array, "m c"]
) -> Float[Array, "n c"]:
    """Σ_j evaluate(x_i, y_j) V_j where no device holds more than two blocks of Y and V beside its own.

    Turn by turn each device multiplies by the block it holds and hands that on to its neighbour.
    """
    rows, columns = (PartitionSpec(ring.axis if spread else None) for spread in (ring.left, ring.right))
    specs = (PartitionSpec(), rows, columns, columns)

    def local(kernel: Any, X: Array, Y: Array, V: Array) -> Array:
        if not ring.left:
            return lax.psum(cross_matvec(evaluate, kernel, X, Y, V, ring.tiling), ring.axis)
        if not ring.right:
            return cross_matvec(evaluate, kernel, X, Y, V, ring.tiling)
        count = ring.mesh.shape[ring.axis]
        onward = [(i, (i - 1) % count) for i in range(count)]

        def turn(_: Int[Array, ""], carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            total, Y, V = carry
            Y, V = lax.ppermute((Y, V), ring.axis, onward)
            return total + cross_matvec(evaluate, kernel, X, Y, V, ring.tiling), Y, V

        if same:
            first = self_matvec(evaluate, ring.tiling, kernel, X, V)
        else:
            first = cross_matvec(evaluate, kernel, X, Y, V, ring.tiling)
        return lax.fori_loop(1, count, turn, (first, Y, V))[0]

    same = Y is None
    mapped = jax.shard_map(local, mesh=ring.mesh, in_specs=specs, out_specs=rows, check_vma=False)
    return mapped(kernel, X, X if Y is None else Y, V)


def _spread(X: Array) -> tuple[Mesh, str] | None:
    """The mesh and its axis over which the rows of X are spread."""
    if checks.is_traced(X) or not isinstance(X, jax.Array) or not isinstance(X.sharding, NamedSharding):
        return None
    sharding = X.sharding
    names = sharding.spec[0] if sharding.spec else None
    names = names if isinstance(names, tuple) else (names,)
    # Over more than one axis at once, or along columns too, the compiler divides the work.
    if len(names) != 1 or names[0] is None or any(entry is not None for entry in sharding.spec[1:]):
        return None
    mesh = sharding.mesh
    return (mesh, names[0]) if isinstance(mesh, Mesh) and mesh.shape[names[0]] > 1 else None
