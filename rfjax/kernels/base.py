"""The public verb of every kernel, `k(X, Y)`, and the algebra that makes new kernels from old ones."""

import abc
from dataclasses import fields, replace
from functools import partial
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rfjax import checks
from rfjax.kernels.pairs import DiagonalPairs, Pairs
from rfjax.kernels.ring import Ring, ring_matvec
from rfjax.kernels.tiles import Tiling, cross_gram, cross_matvec, self_gram, self_matvec
from rfjax.numerics import anywhere


class Kernel(eqx.Module):
    """A positive semi-definite function of two points.  `k(X)` and `k(X, Y)` are Gram matrices, `k.diag(X)` a diagonal.

    Kernels are pytrees whose leaves are hyperparameters: they jit, vmap, differentiate and optimise.  They add and
    multiply: `2.0 * k1 + k2 * k3`.  A subclass gives one hook, `_evaluate`, which serves Gram matrices and diagonals.
    """

    __array_ufunc__ = None  # so that a NumPy scalar times a kernel is a kernel

    @abc.abstractmethod
    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        """The kernel's values on `pairs`, in their layout: [n, m] or [n]."""

    @property
    def tiled(self) -> bool:
        """Whether it is evaluated tile by tile.  Not where every tile would repeat what is costly in a single point."""
        return all(kernel.tiled for kernel in self._operands.values())

    def _prepared(self, X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> "Kernel":
        """The same kernel, with the work done that all tiles of k(X, Y) share."""
        operands = {name: kernel._prepared(X, Y) for name, kernel in self._operands.items()}
        return replace(self, **operands) if operands else self

    @final
    @property
    def _operands(self) -> dict[str, "Kernel"]:
        """The kernels that this one is made of, by the names of their fields.

        A property, as a bound method of a module is itself a module, whose making takes a twentieth of a small call.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Kernel)}

    def _matrix(self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None, tiling: Any) -> Float[Array, "n m"]:
        """k(X, Y), and k(X) without Y, in the blocks that `_tiling` has chosen."""
        if Y is None:
            return self_gram(_evaluate, self._prepared(X, X), X, tiling)
        return cross_gram(_evaluate, self._prepared(X, Y), X, Y, tiling)

    def _rows(self, X: Float[Array, "n d"]) -> int:
        """How many rows of k(X) there are: one a point, but for kernels that keep outputs apart."""
        return X.shape[0]

    def _product(
        self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None, V: Float[Array, "m c"], layout: Any
    ) -> Float[Array, "n c"]:
        """k(X, Y) V, and k(X) V without Y."""
        kernel = self._prepared(X, X if Y is None else Y)
        if isinstance(layout, Ring):
            return ring_matvec(_evaluate, layout, kernel, X, Y, V)
        if Y is None:
            return self_matvec(_evaluate, layout, kernel, X, V)
        return cross_matvec(_evaluate, kernel, X, Y, V, layout)

    @final
    def __call__(self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None = None) -> Float[Array, "n m"]:
        """The Gram matrix k(x_i, y_j).  Without Y it is that of X with itself: exactly symmetric, its diagonal exact.

        One compiled program, which works in tiles within `rf.kernels.memory_bound`.

        **Raises** TypeError for data that are not floats, ValueError for wrong shapes, NaN or inf, or where the kernel's
        values leave the range of its dtype.
        """
        X = checks.points("X", X)
        if Y is None:
            return _in_range(X, *_self_gram(self, X, self._tiling(X, X, square=True)))
        Y = checks.points("Y", Y, columns=X.shape[1])
        return _in_range(X, *_cross_gram(self, X, Y, self._tiling(X, Y)))

    @final
    def diag(self, X: Float[Array, "n d"]) -> Float[Array, " n"]:
        """k(x_i, x_i), without the rest of the matrix.  Raises as `__call__` does."""
        X = checks.points("X", X)
        return _in_range(X, *_diagonal(self, X))

    @final
    def matvec(
        self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None, V: Float[Array, "m ..."]
    ) -> Float[Array, "n ..."]:
        """k(X, Y) V without ever forming the matrix; V [m] or [m, c].  With Y=None it is k(X) V, at half the work.

        Where the rows of X and Y are spread over the devices of a mesh, they stay there: blocks of Y and V go round.

        **Raises** as `__call__`, and ValueError unless V has a row for every row of Y.
        """
        X = checks.points("X", X)
        Y = None if Y is None else checks.points("Y", Y, columns=X.shape[1])
        V = checks.targets("V", V, rows=self._rows(X if Y is None else Y))
        columns = V if V.ndim == 2 else V[:, None]
        product, ok = _matvec(self, X, Y, columns, self.layout(X, Y))
        return _in_range(X, product.reshape(product.shape[:1] + V.shape[1:]), ok)

    def layout(self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None) -> Any:
        """How a product with k(X, Y) is divided: over the devices that hold the rows, and into tiles."""
        other = X if Y is None else Y
        itemsize = jnp.result_type(X, other).itemsize
        ring = Ring.of(X, Y, itemsize)
        return ring or Tiling.of(X.shape[0], other.shape[0], itemsize, square=Y is None)

    @final
    def on(self, columns: Any) -> "Restrict":
        """This kernel on some columns of the data: `rbf(1.0).on([0, 2])`, an int for one.  See `rf.kernels.Restrict`."""
        return Restrict(self, columns)

    def _tiling(self, X: Array, Y: Array, *, square: bool = False) -> Any:
        """The blocks of k(X, Y), hashable: what `_matrix` is compiled for."""
        n, m = X.shape[0], Y.shape[0]
        # Over several devices the compiler divides one whole product better than a loop over its tiles.
        if not self.tiled or _is_spread(X) or _is_spread(Y):
            return Tiling.whole(n, m)
        return Tiling.of(n, m, jnp.result_type(X, Y).itemsize, square=square, mirrored=square)

    def __add__(self, other: Any) -> "Kernel":
        other = _as_kernel(other)
        return NotImplemented if other is None else Sum(self, other)

    def __radd__(self, other: Any) -> "Kernel":
        other = _as_kernel(other)
        return NotImplemented if other is None else Sum(other, self)

    def __mul__(self, other: Any) -> "Kernel":
        if isinstance(other, Kernel):
            return Product(self, other)
        return Scaled(other, self) if _is_scalar(other) else NotImplemented

    def __rmul__(self, other: Any) -> "Kernel":
        return self.__mul__(other)


def _evaluate(kernel: Kernel, pairs: Pairs) -> Float[Array, "..."]:
    return kernel._evaluate(pairs)


@partial(jax.jit, static_argnames="tiling")
def _self_gram(kernel: Kernel, X: Float[Array, "n d"], tiling: Any) -> tuple[Float[Array, "n n"], Bool[Array, ""]]:
    K = kernel._matrix(X, None, tiling)
    return K, _finite(jnp.diagonal(K))  # by Cauchy and Schwarz nothing is larger


@partial(jax.jit, static_argnames="tiling")
def _cross_gram(
    kernel: Kernel, X: Float[Array, "n d"], Y: Float[Array, "m d"], tiling: Any
) -> tuple[Float[Array, "n m"], Bool[Array, ""]]:
    K = kernel._matrix(X, Y, tiling)
    return K, _finite(K)


@jax.jit
def _diagonal(kernel: Kernel, X: Float[Array, "n d"]) -> tuple[Float[Array, " n"], Bool[Array, ""]]:
    values = kernel._evaluate(DiagonalPairs(X))
    return values, _finite(values)


@partial(jax.jit, static_argnames="layout")
def _matvec(
    kernel: Kernel, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None, V: Float[Array, "m c"], layout: Any
) -> tuple[Float[Array, "n c"], Bool[Array, ""]]:
    product = kernel._product(X, Y, V.astype(jnp.result_type(X, X if Y is None else Y, V)), layout)
    return product, _finite(product)


def _finite(values: Array) -> Bool[Array, ""]:
    return ~anywhere(~jnp.isfinite(values))


def _in_range(X: Array, values: Array, ok: Bool[Array, ""]) -> Array:
    if not checks.is_traced(ok) and not ok:
        raise ValueError(
            f"the kernel leaves the range of {values.dtype} at these points (the largest entry of X is "
            f"{float(jnp.abs(X).max()):.3g}): scale the points or the kernel, or use float64"
        )
    return values


def _is_spread(X: Array) -> bool:
    return not checks.is_traced(X) and len(X.sharding.device_set) > 1


def _is_scalar(value: Any) -> bool:
    return (
        isinstance(value, (int, float, np.number, jax.Array)) and not isinstance(value, bool) and jnp.ndim(value) == 0
    )


def _as_kernel(value: Any) -> Kernel | None:
    if isinstance(value, Kernel):
        return value
    return Constant(value) if _is_scalar(value) else None


class Constant(Kernel):
    """k(x, y) = value >= 0.  Raises ValueError for a negative value."""

    value: Float[Array, ""] | float = eqx.field(converter=partial(checks.number, "value", least=0.0))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        below = pairs.covariance.below
        return jnp.full_like(below, 1) * self.value


class Scaled(Kernel):
    """k(x, y) = factor·inner(x, y), factor >= 0.  Raises ValueError for a negative factor."""

    factor: Float[Array, ""] | float = eqx.field(converter=partial(checks.number, "factor", least=0.0))
    kernel: Kernel

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return self.factor * self.kernel._evaluate(pairs)


class Sum(Kernel):
    """k(x, y) = left(x, y) + right(x, y)."""

    left: Kernel
    right: Kernel

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return self.left._evaluate(pairs) + self.right._evaluate(pairs)


class Product(Kernel):
    """k(x, y) = left(x, y)·right(x, y)."""

    left: Kernel
    right: Kernel

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return self.left._evaluate(pairs) * self.right._evaluate(pairs)


class Restrict(Kernel):
    """k(x, y) = kernel(x_c, y_c) on some columns c: `rbf(1.0).on([0, 2])`, and sums of such are additive models.

    **Raises** ValueError for columns that are empty, negative, repeated, or (when called) beyond the data;
    TypeError for what is no list of integers.
    """

    kernel: Kernel = eqx.field(converter=lambda kernel: as_operand(kernel))
    columns: tuple[int, ...] = eqx.field(static=True, converter=lambda columns: _columns(columns))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return self.kernel._evaluate(pairs.transformed(self._pick))

    def _prepared(self, X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> "Restrict":
        return Restrict(self.kernel._prepared(self._pick(X), self._pick(Y)), self.columns)

    def _pick(self, X: Float[Array, "n d"]) -> Float[Array, "n c"]:
        if max(self.columns) >= X.shape[1]:
            raise ValueError(f"columns must be below {X.shape[1]}, the columns of X, got {list(self.columns)}")
        return X[:, np.array(self.columns)]


def as_operand(kernel: Any) -> Kernel:
    """`kernel` itself.  Raises TypeError for what is no kernel."""
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
