"""Gram matrices on disk: larger than memory, tile by tile, and kept through a kill."""

import hashlib
import os
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.kernels.base import Kernel, as_operand
from rfjax.kernels.description import describe
from rfjax.progress import Progress, reporter
from rfjax.storage import fingerprint, open_array

_TILE = 2048
_READ = 2**24  # entries of the data that are read at once
_FLOATS = (np.float16, np.float32, np.float64)


def write_gram(
    kernel: Kernel,
    X: Float[Array, "n d"],
    Y: Float[Array, "m d"] | None = None,
    *,
    path: str | os.PathLike[str],
    tile: int | None = None,
    progress: bool | Progress = False,
    overwrite: bool = False,
) -> Float[np.ndarray, "n m"]:
    """Write the Gram matrix k(X) or k(X, Y) to the .npy file `path`, and open it as a read-only memory map.

    It is computed in tiles of at most `tile` rows and columns (2048).  Of k(X) one triangle is computed, and the matrix
    is exactly symmetric.  X and Y may be memory maps themselves: of them and of the result, some tiles are in memory.

    Killed at any moment and called again with the same arguments, it goes on after the last finished tile, and the file
    is bit for bit that of an uninterrupted run on this machine.  Until it is complete it is `path`.partial, with its
    journal `path`.progress beside it.

    `progress` is True for a bar, or a function of (finished tiles, all tiles).

    **Raises** TypeError or ValueError for bad data or settings, before anything is written; StorageError when the file
    exists (unless `overwrite`), does not fit on the disk or cannot be written, when another run writes it, or when what
    was begun there has other data, another kernel or other tiles.
    """
    path = _npy(path)
    size = checks.count("tile", _TILE if tile is None else tile)
    kernel = as_operand(kernel)
    rows = _points("X", X)
    columns = None if Y is None else _points("Y", Y, columns=rows.shape[1])
    grid = _Grid.of(rows, columns, size)
    dtype = _result(kernel, *grid.points(0, 0, always_two=True))
    configuration = {
        "rfjax": version("rfjax"),
        "kernel": fingerprint({"kernel": describe(kernel)}),
        "X": _digest("X", rows),
        "Y": None if columns is None else _digest("Y", columns),
        "tile": [grid.height, grid.width],
    }
    tiles = grid.tiles()
    with (
        open_array(path, configuration, grid.shape, dtype, len(tiles), overwrite=overwrite) as file,
        reporter(progress, len(tiles), path.name) as report,
    ):
        for number, (i, j) in enumerate(tiles):
            if number not in file.finished:
                block = np.asarray(kernel(*grid.points(i, j)))
                file.finish(number, partial(grid.write, i=i, j=j, block=block))
            if report is not None:
                report(number + 1)
    return np.load(path, mmap_mode="r")


class _Grid(NamedTuple):
    """A matrix of pairs cut into tiles of nearly equal shape; `right` is None where it is that of `left` with itself."""

    left: np.ndarray
    right: np.ndarray | None
    height: int
    width: int

    @classmethod
    def of(cls, left: np.ndarray, right: np.ndarray | None, size: int) -> "_Grid":
        height, width = (-(-n // -(-n // size)) for n in (len(left), len(left if right is None else right)))
        return cls(left, right, height, width)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.left), len(self.left if self.right is None else self.right)

    def tiles(self) -> list[tuple[int, int]]:
        """Row and column of every tile; of those on and below the diagonal, where the other half is its mirror image."""
        n, m = self.shape
        down, across = -(-n // self.height), -(-m // self.width)
        return [(i, j) for i in range(down) for j in range(across) if self.right is not None or j <= i]

    def points(self, i: int, j: int, *, always_two: bool = False) -> Any:
        """What the kernel is called with.  All tiles have one shape, so that it compiles once: last rows are repeated."""

        def part(X: np.ndarray, k: int, size: int) -> np.ndarray:
            return np.asarray(X[np.minimum(np.arange(k * size, (k + 1) * size), len(X) - 1)])

        left = part(self.left, i, self.height)
        if self.right is None and i == j and not always_two:
            return (left,)
        return left, part(self.left if self.right is None else self.right, j, self.width)

    def write(self, matrix: np.ndarray, i: int, j: int, block: np.ndarray) -> None:
        """Put a tile in its place, and into its mirror image."""
        top, side = i * self.height, j * self.width
        place = matrix[top : top + self.height, side : side + self.width]
        place[...] = block[: place.shape[0], : place.shape[1]]
        if self.right is None and i != j:
            matrix[side : side + self.width, top : top + self.height] = place.T


def _npy(path: Any) -> Path:
    path = Path(path)
    if path.suffix != ".npy":
        raise ValueError(f"path must end in .npy, got {path}")
    return path


def _points(name: str, value: Any, *, columns: int | None = None) -> np.ndarray:
    """A data matrix on the host; a memory map stays one, and its values are checked by `_digest`."""
    known = isinstance(value, np.ndarray) and value.ndim == 2 and value.size and value.dtype in _FLOATS
    if known and columns in (None, value.shape[1]):
        return value
    return np.asarray(checks.points(name, value, columns=columns))


def _digest(name: str, value: np.ndarray) -> str:
    """A hash of the data, read once, block by block.  Raises ValueError for NaN or inf."""
    digest, bad = hashlib.sha256(f"{value.dtype.str}{value.shape}".encode()), 0
    step = max(1, _READ // value.shape[1])
    for start in range(0, len(value), step):
        block = np.ascontiguousarray(value[start : start + step])
        bad += int(block.size - np.isfinite(block).sum())
        digest.update(block.data)
    if bad:
        raise ValueError(f"{name} must be finite, got {bad} NaN or inf among {value.size} entries")
    return digest.hexdigest()[:16]


def _result(kernel: Kernel, left: np.ndarray, right: np.ndarray) -> np.dtype:
    """The dtype of the matrix, found without computing any of it; the kernel checks its settings against the data."""
    found = jax.eval_shape(kernel, left, right)
    if found.shape != (len(left), len(right)):
        raise ValueError(
            f"kernel must have one value a pair of points, got {list(found.shape)} for {len(left)} x {len(right)}"
        )
    if found.dtype not in _FLOATS:
        raise TypeError(f"X must be float16, float32 or float64 for an .npy file, got {found.dtype}")
    return np.dtype(found.dtype)
