"""Lanczos' process on k(X), which is never formed, for several vectors at once."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from rfjax import checks
from rfjax.kernels import Kernel
from rfjax.numerics import matmul, safe_divide
from rfjax.regression.gram import check_spectrum

_STEPS = 64  # at most, for the largest eigenvalue: kernels' spectra decay, and ten are plenty
_SEED = 0  # of the vector it starts from, which leaves the answer unchanged to rounding

# Lanczos vectors, the next one, and the diagonal of T with what stands beside it.
State = tuple[Float[Array, "c rank n"], Float[Array, "c n"], Float[Array, "c rank"], Float[Array, "c rank"]]


def krylov(
    kernel: Kernel, X: Float[Array, "n d"], b: Float[Array, "n c"], rank: int
) -> tuple[Float[Array, "c rank"], Float[Array, "c rank n"], Float[Array, "c rank"], Float[Array, "c rank"]]:
    """Ritz values θ and Ritz vectors of k(X) in the Krylov space of every column of b, and what b and the error hold.

        k(X) V = V T + β v e_rᵀ by `rank` steps of Lanczos from b/‖b‖;   T = S diag(θ) Sᵀ
        θ,  V S,  projections Sᵀe₁‖b‖,  remainders β·(e_rᵀS)·projections

    A step is one product with k(X), and two orthogonalisations against everything before: V stays orthogonal to
    rounding.  Where the Krylov space ends early, what is left is zero.

    **Raises** ValueError where a product leaves the range of its dtype, or a Ritz value is below zero beyond rounding.
    """
    result = _krylov(kernel, X, b, rank)
    require_range(result[0])
    check_spectrum(jnp.sort(result[0], axis=None), size=X.shape[0])
    return result


@partial(jax.jit, static_argnames="rank")
def _krylov(
    kernel: Kernel, X: Float[Array, "n d"], b: Float[Array, "n c"], rank: int
) -> tuple[Float[Array, "c rank"], Float[Array, "c rank n"], Float[Array, "c rank"], Float[Array, "c rank"]]:
    V, _, diagonal, beside = lax.fori_loop(0, rank, partial(_step, kernel, X), _begin(X, b, rank))
    ritz, S = jnp.linalg.eigh(jax.vmap(_tridiagonal)(diagonal, beside))
    projections = jnp.linalg.norm(b.astype(V.dtype), axis=0)[:, None] * S[:, 0]
    return ritz, matmul(jnp.swapaxes(S, 1, 2), V), projections, beside[:, -1:] * S[:, -1] * projections


def largest_eigenvalue(kernel: Kernel, X: Float[Array, "n d"]) -> Float[Array, ""]:
    """λ_max of k(X), to rounding: Lanczos steps until the Ritz residual, whose square is the error, is √eps·λ_max.

    **Raises** ValueError as `krylov`.
    """
    extremes = _extremes(kernel, X)
    require_range(extremes)
    check_spectrum(extremes, size=X.shape[0])
    return extremes[1]


@jax.jit
def _extremes(kernel: Kernel, X: Float[Array, "n d"]) -> Float[Array, " 2"]:
    """The least and the largest Ritz value."""
    n, steps = X.shape[0], min(X.shape[0], _STEPS)
    noise = jax.random.normal(jax.random.key(_SEED), (n, 1), X.dtype)
    tolerance = float(jnp.finfo(X.dtype).eps) ** 0.5
    Carry = tuple[Int[Array, ""], State, Float[Array, " 2"], Float[Array, ""]]

    def going(carry: Carry) -> Bool[Array, ""]:
        k, _, extremes, residual = carry
        return (k < steps) & (residual > tolerance * extremes[1])

    def step(carry: Carry) -> Carry:
        k, state, _, _ = carry
        state = _step(kernel, X, k, state)
        diagonal, beside = state[2][0], state[3][0]
        ritz, S = jnp.linalg.eigh(_tridiagonal(diagonal, jnp.where(jnp.arange(steps) < k, beside, 0)))
        return k + 1, state, ritz[jnp.array([0, -1])], beside[k] * jnp.abs(S[k, -1])

    state = _begin(X, 1 + noise, steps)  # a constant is near the first eigenvector of most kernels
    extremes = jnp.zeros(2, state[0].dtype)
    return lax.while_loop(going, step, (jnp.asarray(0), state, extremes, jnp.inf + extremes[0]))[2]


def require_range(value: Array) -> None:
    """Raise ValueError unless `value`, made by products with a kernel, is finite; tracers pass."""
    if not checks.is_traced(value) and not bool(jnp.isfinite(value).all()):
        raise ValueError(
            f"products with the kernel leave the range of {value.dtype}: scale the points or the kernel, or use float64"
        )


def _begin(X: Float[Array, "n d"], b: Float[Array, "n c"], rank: int) -> State:
    rows = b.T.astype(jnp.result_type(X, b))
    zeros = jnp.zeros((rows.shape[0], rank), rows.dtype)
    return jnp.zeros((*zeros.shape, rows.shape[1]), rows.dtype), _unit(rows), zeros, zeros


def _step(kernel: Kernel, X: Float[Array, "n d"], k: Int[Array, ""], state: State) -> State:
    V, v, diagonal, beside = state
    V = V.at[:, k].set(v)
    w = kernel.matvec(X, None, v.T).T.astype(v.dtype)
    size = jnp.linalg.norm(w, axis=-1)
    diagonal = diagonal.at[:, k].set(jnp.sum(v * w, axis=-1))
    for _ in range(2):
        w = w - matmul(matmul(w[:, None], jnp.swapaxes(V, 1, 2)), V)[:, 0]
    beta = jnp.linalg.norm(w, axis=-1)
    # What is left of w is rounding where the Krylov space has ended.
    beta = jnp.where(beta > X.shape[0] * jnp.finfo(v.dtype).eps * size, beta, 0)
    return V, safe_divide(w, beta[:, None]), diagonal, beside.at[:, k].set(beta)


def _unit(rows: Float[Array, "c n"]) -> Float[Array, "c n"]:
    return safe_divide(rows, jnp.linalg.norm(rows, axis=-1, keepdims=True))


def _tridiagonal(diagonal: Float[Array, " r"], beside: Float[Array, " r"]) -> Float[Array, "r r"]:
    return jnp.diag(diagonal) + jnp.diag(beside[:-1], 1) + jnp.diag(beside[:-1], -1)
