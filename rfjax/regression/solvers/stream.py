"""Data that stay where they are, on the host or on a disk, and come block after block."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax import checks

_FLOATS = (np.float16, np.float32, np.float64)


class Block(NamedTuple):
    """Rows start … start + length of the data; `X` repeats the last of them up to the size that all blocks share."""

    start: int
    length: int
    X: Float[Array, "b d"]
    weight: Float[Array, "b 1"]

    def of(self, values: Float[Array, "n c"] | Float[np.ndarray, "n c"]) -> Float[Array, "b c"]:
        """The rows of `values` that belong to these, and zeros beside those that only fill the block."""
        part = jnp.asarray(values[self.start : self.start + self.length])
        return jnp.pad(part, [(0, self.X.shape[0] - self.length), (0, 0)])


class Stream(NamedTuple):
    """The rows of X in blocks of one size."""

    X: Any
    size: int

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.X.shape[0]

    def blocks(self) -> Iterator[Block]:
        """All rows in their order.  `weight` is 1 for a row, and 0 for what repeats it to fill the last block."""
        size = min(self.size, self.rows)
        for start in range(0, self.rows, size):
            place = np.arange(start, start + size)
            part = self.take(np.minimum(place, self.rows - 1) if place[-1] >= self.rows else slice(start, start + size))
            weight = jnp.asarray((place < self.rows)[:, None], part.dtype)
            yield Block(start, min(size, self.rows - start), part, weight)

    def take(self, rows: Any) -> Float[Array, "b d"]:
        """Some rows, on the device."""
        return jnp.asarray(self.X[rows])


def rows(name: str, value: Any, *, columns: int | None = None) -> Any:
    """A data matrix that may stay on the host: a NumPy array or memory map as it is, anything else a JAX array.

    `columns` fixes how many there are.

    **Raises** TypeError or ValueError as `checks.points`; its values are read once, in blocks, to look for NaN and inf.
    """
    on_host = isinstance(value, np.ndarray) and value.ndim == 2 and value.size and value.dtype in _FLOATS
    if not on_host:
        return checks.points(name, value, columns=columns)
    if columns is not None and value.shape[1] != columns:
        raise ValueError(f"{name} must have {columns} columns, got shape {list(value.shape)}")
    if value.dtype == np.float64 and not jax.config.read("jax_enable_x64") and value.nbytes < 2**28:
        return checks.points(name, value)
    step = max(1, 2**24 // value.shape[1])
    for start in range(0, len(value), step):
        if not np.isfinite(value[start : start + step]).all():
            raise ValueError(f"{name} must be finite, got NaN or inf in rows {start} to {start + step}")
    return value
