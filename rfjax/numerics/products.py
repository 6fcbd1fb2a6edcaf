"""Matrix products at the highest precision: accelerators default to TF32 or bf16, which ruin a kernel's diagonal."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

_STRIPES, _NARROWEST = 8, 128  # of rows, of which a Gram matrix is computed up to the diagonal
_GROUPS = 16  # of rows, whose sums are added at the end


def matmul(a: Float[Array, "... n k"], b: Float[Array, "... k m"]) -> Float[Array, "... n m"]:
    """a @ b in the full precision of its dtype on every device."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def adjoint_matmul(A: Float[Array, "n m"], B: Float[Array, "n c"]) -> Float[Array, "m c"]:
    """AᵀB for few columns c, as Σ_g (B_gᵀA_g)ᵀ over groups g of rows.

    Compilers would copy A to transpose it, at many times the cost; and without groups the sums over all rows would lose
    digits, one term after the other.
    """
    n, m = A.shape
    groups = max((k for k in range(2, min(_GROUPS, n // 16) + 1) if n % k == 0), default=1)
    parts = matmul(B.T.reshape(-1, groups, n // groups).swapaxes(0, 1), A.reshape(groups, -1, m))
    return parts.sum(axis=0).T


def gram(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """x @ y.T in the full precision of its dtype: entry (i, j) is ⟨x_i, y_j⟩."""
    return matmul(x, y.T)


def finer(dtype: Any) -> float:
    """By how much the error of `half_squared_distance` is less than that of a Gram product: 2⁻ᵏ, k a digit short of half."""
    return 2.0 ** -((jnp.finfo(dtype).nmant - 1) // 2)


def half_squared_distance(
    x: Float[Array, "n d"], y: Float[Array, "m d"], sign: Float[Array, "n m"] | float = 1.0
) -> Float[Array, "n m"]:
    """½‖x − s·y‖² of points in the unit ball and signs s, to eps·2⁻ᵏ·√d where ½‖x‖² + ½‖y‖² − s⟨x, y⟩ has eps.

        x = x₁ + x₂,  x₁ on the grid 2⁻ᵏ:   ½‖x₁‖² + ½‖y₁‖² − s⟨x₁, y₁⟩ exactly, as no product and no sum is rounded
                                            ½(‖x‖² − ‖x₁‖²) + ½(‖y‖² − ‖y₁‖²) − s(⟨x₁, y₂⟩ + ⟨x₂, y⟩), of the order 2⁻ᵏ√d

    Ozaki, Ogita, Oishi & Rump 2012, *Error-free transformations of matrix multiplication*.
    """
    grid = finer(jnp.result_type(x, y))
    x1, y1 = (lax.stop_gradient(jnp.round(v / grid) * grid) for v in (x, y))
    x2, y2 = x - x1, y - y1
    own = [(jnp.sum(v1**2, axis=1) / 2, jnp.sum((v1 + v2 / 2) * v2, axis=1)) for v1, v2 in ((x1, x2), (y1, y2))]
    (x_first, x_rest), (y_first, y_rest) = own
    first = x_first[:, None] + y_first - sign * gram(x1, y1)
    cross = gram(jnp.concatenate([x1, x2], axis=1), jnp.concatenate([y2, y], axis=1))
    return first + (x_rest[:, None] + y_rest - sign * cross)


def gram_stripes(F: Float[Array, "n p"], *, triangular: bool = False) -> tuple[Float[Array, "..."], ...]:
    """FᵀF in stripes of its rows, each up to the diagonal: little more than half of the whole product's work.

    Of a lower `triangular` F, where rows above a stripe add nothing: little more than a third.
    """
    p = F.shape[1]
    width = max(-(-p // _STRIPES), _NARROWEST)
    across = lax.optimization_barrier(F.T)  # products of a transposed left factor take up to twice as long
    stripes = []
    for i in range(0, p, width):
        first = i if triangular else 0
        stripes.append(matmul(across[i : i + width, first:], F[first:, : i + width]))
    return tuple(stripes)


def from_stripes(stripes: Sequence[Float[Array, "..."]], *, lower: bool = False) -> Float[Array, "p p"]:
    """The symmetric matrix of `gram_stripes`; with `lower` its triangle, and anything above the diagonal."""
    p = stripes[-1].shape[1]
    rows = jnp.concatenate([jnp.pad(s, ((0, 0), (0, p - s.shape[1]))) for s in stripes])
    return rows if lower else jnp.tril(rows) + jnp.tril(rows, -1).T


def normal_matrix(F: Float[Array, "n p"]) -> Float[Array, "p p"]:
    """FᵀF, the matrix of the normal equations, in full precision."""
    return from_stripes(gram_stripes(F))


def settled(values: Array, probe: Array | None = None) -> Array:
    """`values` computed once: compilers would otherwise work out what belongs to a row again for every entry.

    A branch that depends on data is what they do not fuse across, as they do across barriers; here it is whether
    `probe`, by default `values` itself, has a NaN, and then all is NaN.
    """
    lost = jnp.isnan(values if probe is None else probe).any()
    return lax.cond(lost, lambda: values * jnp.nan, lambda: values)


def anywhere(mask: Bool[Array, "... m"]) -> Bool[Array, ""]:
    """`mask.any()`, by rows first: XLA fuses that with what makes the mask, and stores a mask that is reduced at once."""
    return lax.optimization_barrier(jnp.any(mask, axis=-1)).any()


def less_multiple(
    y: Float[Array, "... d"], t: Float[Array, "... 1"], x: Float[Array, "... d"]
) -> Float[Array, "... d"]:
    """y − t·x with the error of twice the digits, where little is left of y.

        t = t₁ + t₂, x = x₁ + x₂ in halves of the digits, whose products are exact:  y − t₁x₁ − t₁x₂ − t₂x₁ − t₂x₂

    Dekker 1971, *A floating-point technique for extending the available precision*.
    """
    (t1, t2), (x1, x2) = _halves(t), _halves(x)
    return y - t1 * x1 - t1 * x2 - t2 * x1 - t2 * x2


def _halves(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    info = jnp.finfo(x.dtype)
    high = lax.reduce_precision(x, info.nexp, info.nmant // 2)
    return high, x - high
