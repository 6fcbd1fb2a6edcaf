"""Products with k(X, Z), the columns of some centres, while the rows of X stream past."""

from collections.abc import Iterable
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from rfjax.kernels import Kernel
from rfjax.kernels.tiles import held_bytes
from rfjax.numerics import adjoint_matmul, matmul
from rfjax.regression.solvers.stream import Block, Stream

_ENTRIES = 2**24  # of a block of k(X, Z)
_KEPT, _KEPT_ACCELERATOR = {"cpu": 2**31}, 2**32  # bytes of all its blocks that are kept from one product to the next
_SHARE = 16  # tiles of k(X, Z) in the memory that may be held: they are read twice, from a core's cache


class Columns:
    """k(X, Z) for rows X of any kind and centres Z, block after block.

    All of it is kept after the first product where it has room within the memory bound (by default 2 GiB, on
    accelerators 4), and is computed anew in every product where it has not.
    """

    def __init__(self, kernel: Kernel, X: Any, Z: Float[Array, "m d"]):
        self.kernel, self.Z, self.stream = kernel, Z, streamed(X, len(Z))
        n, m, itemsize = self.stream.rows, len(Z), Z.dtype.itemsize
        self.kept = are_kept(n, m, itemsize)
        self.memory = itemsize * (n * m if self.kept else min(n * m, 2 * _ENTRIES))
        self._blocks = [(block, weighted(kernel, Z, block)) for block in self.stream.blocks()] if self.kept else []
        self._tile = max(1, held_bytes() // (_SHARE * itemsize * m))

    def adjoint(self, columns: Float[np.ndarray, "n c"]) -> Float[Array, "m c"]:
        """k(Z, X) V for V on the host."""
        if self.kept:
            return _total(_adjoint(K, block.of(columns)) for block, K in self._blocks)
        return _total(_project(self.kernel, self.Z, block, block.of(columns)) for block in self.stream.blocks())

    def there_and_back(self, V: Float[Array, "m c"]) -> Float[Array, "m c"]:
        """k(Z, X) k(X, Z) V."""
        if self.kept:
            return _total(_normal(K, V) for _, K in self._blocks)
        blocks = self.stream.blocks()
        return _total(_round_trip(self.kernel, self.Z, block, V, self._tile) for block in blocks)


def are_kept(n: int, m: int, itemsize: int) -> bool:
    """Whether k(X, Z) [n, m] has room within the memory bound."""
    return n * m * itemsize <= held_bytes(_KEPT, _KEPT_ACCELERATOR)


def streamed(X: Any, m: int) -> Stream:
    """X in blocks of as many rows as k(X, Z) may have at once, for m centres."""
    return Stream(X, max(1, _ENTRIES // m))


@jax.jit
def weighted(kernel: Kernel, Z: Float[Array, "m d"], block: Block) -> Float[Array, "b m"]:
    """k(X, Z) of a block, 0 in the rows that only fill it."""
    return block.weight * kernel(block.X.astype(Z.dtype), Z)


def _total(parts: Iterable[Array]) -> Array:
    return reduce(jnp.add, parts)


_adjoint = jax.jit(adjoint_matmul)


@jax.jit
def _normal(K: Float[Array, "b m"], V: Float[Array, "m c"]) -> Float[Array, "m c"]:
    return adjoint_matmul(K, matmul(K, V))


@jax.jit
def _project(kernel: Kernel, Z: Float[Array, "m d"], block: Block, V: Float[Array, "b c"]) -> Float[Array, "m c"]:
    return kernel.matvec(Z, block.X.astype(Z.dtype), block.weight * V)


@partial(jax.jit, static_argnames="size")
def _round_trip(
    kernel: Kernel, Z: Float[Array, "m d"], block: Block, V: Float[Array, "m c"], size: int
) -> Float[Array, "m c"]:
    """k(Z, X) k(X, Z) V of a block, `size` rows at once."""
    rows = block.X.shape[0]
    count = -(-rows // size)
    size = -(-rows // count)
    place = jnp.arange(count * size).reshape(count, size)
    inside = (place < rows)[..., None]
    place = jnp.minimum(place, rows - 1)

    def add(total: Float[Array, "m c"], tile: tuple[Array, Array]) -> tuple[Float[Array, "m c"], None]:
        X, weight = tile
        K = kernel(X.astype(Z.dtype), Z)
        return total + adjoint_matmul(K, weight * matmul(K, V)), None

    return lax.scan(add, jnp.zeros_like(V), (block.X[place], jnp.where(inside, block.weight[place], 0)))[0]
