"""A Gram matrix computed tile by tile into an array of the host: in memory, or on disk."""

from typing import Any, NamedTuple

import numpy as np


class Grid(NamedTuple):
    """A matrix of pairs cut into tiles of nearly equal shape; `right` is None where it is that of `left` with itself."""

    left: np.ndarray
    right: np.ndarray | None
    height: int
    width: int

    @classmethod
    def of(cls, left: np.ndarray, right: np.ndarray | None, size: int) -> "Grid":
        """Tiles of at most `size` rows and columns."""
        height, width = (-(-n // -(-n // size)) for n in (len(left), len(left if right is None else right)))
        return cls(left, right, height, width)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""
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
