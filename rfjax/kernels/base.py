"""The public verb of every kernel, `k(X, Y)`, and the algebra that makes new kernels from old ones."""

import abc
from functools import partial
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.kernels.pairs import CrossPairs, DiagonalPairs, Pairs


class Kernel(eqx.Module):
    """A positive semi-definite function of two points.  `k(X)` and `k(X, Y)` are Gram matrices, `k.diag(X)` a diagonal.

    Kernels are pytrees whose leaves are hyperparameters: they jit, vmap, differentiate and optimise.  They add and
    multiply: `2.0 * k1 + k2 * k3`.  A subclass gives one hook, `_evaluate`, which serves Gram matrices and diagonals.
    """

    __array_ufunc__ = None  # so that a NumPy scalar times a kernel is a kernel

    @abc.abstractmethod
    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        """The kernel's values on `pairs`, in their layout: [n, m] or [n]."""

    @final
    def __call__(self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None = None) -> Float[Array, "n m"]:
        """The Gram matrix k(x_i, y_j).  Without Y it is that of X with itself: its diagonal exact,
        and exactly symmetric (inside a larger compiled program up to a unit of rounding).

        **Raises** TypeError for data that are not floats, ValueError for wrong shapes, NaN or inf.
        """
        X = checks.points("X", X)
        if Y is None:
            return _symmetric(*_self_gram(self, X))
        return _cross_gram(self, X, checks.points("Y", Y, columns=X.shape[1]))

    @final
    def diag(self, X: Float[Array, "n d"]) -> Float[Array, " n"]:
        """k(x_i, x_i), without the rest of the matrix.  Raises as `__call__` does."""
        return _diagonal(self, checks.points("X", X))

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


@jax.jit
def _self_gram(kernel: Kernel, X: Float[Array, "n d"]) -> tuple[Float[Array, "n n"], Float[Array, " n"]]:
    return kernel._evaluate(CrossPairs(X, X, symmetric=True)), kernel._evaluate(DiagonalPairs(X))


@jax.jit
def _symmetric(full: Float[Array, "n n"], diagonal: Float[Array, " n"]) -> Float[Array, "n n"]:
    # A program of its own: inside `_self_gram` the two halves may be computed in two orders of rounding.
    return jnp.where(jnp.eye(full.shape[0], dtype=bool), diagonal[:, None], (full + full.T) / 2)


@jax.jit
def _cross_gram(kernel: Kernel, X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    return kernel._evaluate(CrossPairs(X, Y))


@jax.jit
def _diagonal(kernel: Kernel, X: Float[Array, "n d"]) -> Float[Array, " n"]:
    return kernel._evaluate(DiagonalPairs(X))


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
