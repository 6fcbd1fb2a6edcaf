"""The normal equations (ΦᵀΦ + ridge·I) c = Φᵀy of features that are never all there: accumulated block by block."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.numerics import adjoint_matmul, from_stripes, gram_stripes, matmul, normal_matrix
from rfjax.regression.solvers.base import as_columns, relative
from rfjax.regression.solvers.cholesky import solve
from rfjax.regression.solvers.stream import Block, Stream

WHOLE = 2**28  # bytes of features that are held at once rather than streamed
_BLOCK = 2**26  # bytes of features a block
_CORRECTIONS = 3


class Sums(NamedTuple):
    """Σ_b Φ_bᵀ[Φ_b, y_b], in stripes of rows of ΦᵀΦ up to the diagonal, with what rounding took off each."""

    value: tuple[Float[Array, "..."], ...]
    lost: tuple[Float[Array, "..."], ...]


def block_rows(phi: FeatureMap, X: Any) -> int | None:
    """Rows a block where φ(X) is to be streamed; None where it is small, its data are traced or on several devices."""
    if checks.is_traced(phi, X) or (isinstance(X, jax.Array) and len(X.sharding.device_set) > 1):
        return None
    one = jax.ShapeDtypeStruct((1, X.shape[1]), jax.dtypes.canonicalize_dtype(X.dtype))
    features = jax.eval_shape(phi, one)
    row = features.shape[1] * features.dtype.itemsize
    return None if X.shape[0] * row <= WHOLE else max(1, _BLOCK // row)


def streamed_solve(
    phi: FeatureMap, X: Any, y: Float[Array, "n ..."], ridge: Any, rows: int, *, throw: bool
) -> tuple[Float[Array, "p ..."], Float[Array, ""], Bool[Array, ""], int]:
    """c, the relative residual of its equations, whether it succeeded, and the bytes that were held.

    Blocks are added with compensation, so that the error of ΦᵀΦ is that of one block.  Then up to three corrections by
    residuals Φᵀ(y − Φc) − ridge·c from the data themselves: forming ΦᵀΦ squares the condition, and they take that back.
    Björck 1987, *Stability analysis of the method of seminormal equations*.
    """
    stream, targets = Stream(X, rows), as_columns(y)
    total: Sums | None = None
    for block in stream.blocks():
        part = _products(phi, block, block.of(targets))
        total = Sums(part, tuple(jnp.zeros_like(v) for v in part)) if total is None else _added(total, part)
    assert total is not None
    *stripes, right = total.value
    G = jax.jit(from_stripes)(stripes)
    held = G.dtype.itemsize * (rows * G.shape[0] + 4 * G.shape[0] ** 2)
    c, _, ok = solve(G, right, ridge, throw=throw)

    def remaining(c: Float[Array, "p c"]) -> Float[Array, "p c"]:
        return sum(_remaining(phi, c, block, block.of(targets)) for block in stream.blocks()) - ridge * c

    r = remaining(c)
    reached = relative(r, right)
    for _ in range(_CORRECTIONS):
        better = c + solve(G, r, ridge, throw=False)[0]
        after = remaining(better)
        now = relative(after, right)
        if not now < reached:
            break
        stalled = now > reached / 2
        c, r, reached = better, after, now
        if stalled:
            break
    return c.reshape(c.shape[:1] + y.shape[1:]), reached, ok, held


def corrected(
    F: Float[Array, "n p"], y: Float[Array, "n ..."], ridge: Any, *, throw: bool
) -> tuple[Float[Array, "p ..."], Float[Array, ""], Bool[Array, ""]]:
    """`solve` of the normal equations of features that are all there, with one correction of the same kind."""
    G = normal_matrix(F)
    c, residual, ok = solve(G, matmul(F.T, y), ridge, throw=throw)
    r = matmul(F.T, y - matmul(F, c)) - ridge * c
    change, _, better = solve(G, r, ridge, throw=False)
    return c + jnp.where(better, change, 0), residual, ok


def predictions(phi: FeatureMap, c: Float[Array, "p ..."], X: Any) -> Float[Array, "m ..."]:
    """φ(X) c, without ever holding more of φ(X) than a block."""
    rows = block_rows(phi, X)
    if rows is None:
        return _values(phi, checks.points("X", jnp.asarray(X), columns=phi.in_dim), c)
    parts = [_values(phi, block.X, c)[: block.length] for block in Stream(X, rows).blocks()]
    return jnp.concatenate(parts)


@jax.jit
def _products(phi: FeatureMap, block: Block, y: Float[Array, "b c"]) -> tuple[Float[Array, "..."], ...]:
    F = phi(block.X)
    F = F * block.weight.astype(F.dtype)
    return (*gram_stripes(F), adjoint_matmul(F, y.astype(F.dtype)))


@partial(jax.jit, donate_argnums=0)
def _added(total: Sums, part: tuple[Float[Array, "..."], ...]) -> Sums:
    """Kahan's sum."""
    whole = [v - lost for v, lost in zip(part, total.lost, strict=True)]
    value = tuple(a + b for a, b in zip(total.value, whole, strict=True))
    return Sums(value, tuple((v - a) - b for v, a, b in zip(value, total.value, whole, strict=True)))


@jax.jit
def _remaining(phi: FeatureMap, c: Float[Array, "p c"], block: Block, y: Float[Array, "b c"]) -> Float[Array, "p c"]:
    """Φ_bᵀ(y_b − Φ_b c)."""
    values, transposed = jax.vjp(partial(_values, phi, block.X), c)
    return transposed(block.weight.astype(c.dtype) * (y.astype(c.dtype) - values))[0]


@jax.jit
def _values(phi: FeatureMap, X: Float[Array, "m d"], c: Float[Array, "p ..."]) -> Float[Array, "m ..."]:
    return phi._product(X, c)
