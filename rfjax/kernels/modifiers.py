"""Kernels made from one other kernel: restricted to some columns, or normalised to a cosine."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from rfjax.kernels.base import Kernel
from rfjax.kernels.pairs import DiagonalPairs, Pairs
from rfjax.numerics import safe_divide, safe_sqrt


class Restrict(Kernel):
    """k(x, y) = kernel(x_c, y_c) on some columns c: `rbf(1.0).on([0, 2])`, and sums of such are additive models.

    **Raises** ValueError for columns that are empty, negative, repeated, or (when called) beyond the data;
    TypeError for what is no list of integers.
    """

    kernel: Kernel = eqx.field(converter=lambda kernel: _kernel(kernel))
    columns: tuple[int, ...] = eqx.field(static=True, converter=lambda columns: _columns(columns))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return self.kernel._evaluate(pairs.transformed(self._pick))

    @property
    def tiled(self) -> bool:
        return self.kernel.tiled

    def _prepared(self, X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> "Restrict":
        return Restrict(self.kernel._prepared(self._pick(X), self._pick(Y)), self.columns)

    def _pick(self, X: Float[Array, "n d"]) -> Float[Array, "n c"]:
        if max(self.columns) >= X.shape[1]:
            raise ValueError(f"columns must be below {X.shape[1]}, the columns of X, got {list(self.columns)}")
        return X[:, np.array(self.columns)]


class Normalised(Kernel):
    """k(x, y) = kernel(x, y)/√(kernel(x, x)·kernel(y, y)), the cosine in feature space: 1 on the diagonal.

    0 where kernel(x, x) = 0, as it is at x = 0 for networks without biases.
    """

    kernel: Kernel = eqx.field(converter=lambda kernel: _kernel(kernel))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        left, right = pairs.own(self.kernel._evaluate)
        if isinstance(pairs, DiagonalPairs):
            return (left > 0).astype(left.dtype)
        return safe_divide(safe_divide(self.kernel._evaluate(pairs), safe_sqrt(left)), safe_sqrt(right))

    @property
    def tiled(self) -> bool:
        return self.kernel.tiled

    def _prepared(self, X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> "Normalised":
        return Normalised(self.kernel._prepared(X, Y))


def _kernel(kernel: Any) -> Kernel:
    if not isinstance(kernel, Kernel):
        raise TypeError(f"kernel must be a kernel (rf.rbf(1.0), say), got {type(kernel).__name__}")
    return kernel


def _columns(columns: Any) -> tuple[int, ...]:
    if isinstance(columns, (int, np.integer)) and not isinstance(columns, bool):
        columns = (columns,)
    given = list(columns) if isinstance(columns, (list, tuple, range, np.ndarray)) else None
    if given is None or not all(isinstance(c, (int, np.integer)) and not isinstance(c, bool) for c in given):
        raise TypeError(f"columns must be integers, got {columns!r}")
    if not given or min(given) < 0 or len(set(given)) < len(given):
        raise ValueError(f"columns must be different integers >= 0, at least one, got {given}")
    return tuple(int(c) for c in given)
