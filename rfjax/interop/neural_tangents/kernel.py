"""A `kernel_fn` of neural-tangents as a kernel of rfjax."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PyTree

from rfjax import checks
from rfjax.kernels import Kernel, Pairs

KernelFn = Callable[..., Any]


class NeuralTangentsKernel(Kernel):
    """k(x, y) = kernel_fn(x, y, get), rows of X reshaped to `shape`; made by `as_kernel`."""

    kernel_fn: KernelFn = eqx.field(static=True)
    get: str = eqx.field(static=True)
    shape: tuple[int, ...] | None = eqx.field(static=True)
    params: PyTree
    batch_size: int | None = eqx.field(static=True)

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return pairs.matrix(self._gram)

    def _gram(self, X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        if self.batch_size is None:
            return self._block(X, Y)
        left, right = _blocks(X, self.batch_size), _blocks(Y, self.batch_size)
        blocks = lax.map(lambda x: lax.map(lambda y: self._block(x, y), right), left)
        rows, columns = left.shape[0] * left.shape[1], right.shape[0] * right.shape[1]
        return blocks.transpose(0, 2, 1, 3).reshape(rows, columns)[: X.shape[0], : Y.shape[0]]

    def _block(self, X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        settings: dict[str, Any] = {} if self.params is None else {"params": self.params}
        if "get" in _parameters(self.kernel_fn):
            settings["get"] = self.get
        with jax.numpy_dtype_promotion("standard"):  # which it was written for
            values: Any = self.kernel_fn(self._shaped(X), self._shaped(Y), **settings)
        if isinstance(values, (list, tuple)):
            raise ValueError(f"kernel_fn must return one array, got {len(values)}: a network of several outputs")
        if getattr(values, "mask1", None) is not None or getattr(values, "mask2", None) is not None:
            raise ValueError(
                "kernel_fn must return a kernel without masks, got one with a mask: leave out mask_constant"
            )
        values = getattr(values, self.get, values)
        expected = (X.shape[0], Y.shape[0])
        if jnp.shape(values) != expected:
            raise ValueError(
                f"kernel_fn must return one number a pair of points, {list(expected)}, got {list(jnp.shape(values))}: end "
                "the network with stax.Flatten or stax.GlobalAvgPool and stax.Dense, an empirical kernel with its default "
                "trace_axes"
            )
        return values.astype(X.dtype)

    def _shaped(self, X: Float[Array, "n d"]) -> Float[Array, "n ..."]:
        if self.shape is None:
            return X
        if X.shape[1] != math.prod(self.shape):
            raise ValueError(
                f"X must have {math.prod(self.shape)} columns, the entries of shape {list(self.shape)}, got {X.shape[1]}"
            )
        return X.reshape(-1, *self.shape)


def as_kernel(
    kernel_fn: KernelFn,
    get: str = "ntk",
    *,
    shape: tuple[int, ...] | None = None,
    params: PyTree = None,
    batch_size: int | None = None,
) -> NeuralTangentsKernel:
    """A `kernel_fn` of neural-tangents (the third of what `stax.serial` returns) as a kernel: it regresses, adds, plots.

        k(x, y) = kernel_fn(x, y, get)[0, 0]      get: "ntk" or "nngp"

    `shape` is that of one input where it is no vector: rfjax has data [n, d], and rows are reshaped, (28, 28, 1) for 784
    columns.  `params` are those of an empirical kernel (`nt.empirical_kernel_fn`, `nt.empirical_ntk_fn`), and leaves of
    this one.  `batch_size` bounds the points on either side of one call of `kernel_fn`, whose intermediate arrays may be
    far larger than its result: with pooling, height² width² numbers a pair.  Give the function itself, not `nt.batch` of
    it; other arguments of `kernel_fn` through `functools.partial`.

    It jits, vmaps and differentiates where `kernel_fn` does, and its values are those of neural-tangents: their float32
    error is not bounded as that of rfjax's own kernels is.

    **Raises** TypeError unless `kernel_fn` is a function and `shape` a tuple of integers, ValueError for another `get`;
    when called, ValueError where X has not the columns of `shape`, or the result is masked, or not [n, m].
    """
    if not callable(kernel_fn):
        raise TypeError(
            f"kernel_fn must be a function of (x1, x2, get), the third that stax.serial returns, got {kernel_fn!r}"
        )
    if getattr(_parameters(kernel_fn).get("mask_constant"), "default", None) is not None:
        raise ValueError("kernel_fn must have no mask_constant: masked outputs are no function of a pair of points")
    if shape is not None:
        if not isinstance(shape, (tuple, list)):
            raise TypeError(f"shape must be that of one input, (28, 28, 1) say, got {shape!r}")
        shape = tuple(checks.count("every entry of shape", size) for size in shape)
    if batch_size is not None:
        batch_size = checks.count("batch_size", batch_size)
    return NeuralTangentsKernel(kernel_fn, checks.choice("get", get, ("ntk", "nngp")), shape, params, batch_size)


def _parameters(function: KernelFn) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _blocks(X: Float[Array, "n d"], size: int) -> Float[Array, "blocks rows d"]:
    """Rows in blocks of at most `size`, the last one repeated to fill them."""
    count = -(-X.shape[0] // size)
    rows = -(-X.shape[0] // count)
    padded = X[jnp.minimum(jnp.arange(count * rows, dtype=jnp.int32), X.shape[0] - 1)]
    return padded.reshape(count, rows, X.shape[1])
