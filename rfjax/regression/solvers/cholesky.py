"""Solving (A + ridge·I) c = b by Cholesky, with an error that names a ridge which works."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rfjax import checks
from rfjax.kernels import Grid, Kernel
from rfjax.numerics import matmul, solve_factored
from rfjax.regression.gram import check_spectrum, square_gram
from rfjax.regression.solvers.base import Solution, Solver, Stats, Stopwatch, as_columns, relative

_IN_PLACE = 2048  # rows from which a second n × n buffer counts
_TILE = 2048
_WRONG = 0.1  # relative residual of a factor of nothing but rounding, whose solution is none


class Cholesky(Solver):
    """(k(X) + ridge·I)α = y by the Cholesky factor of the whole matrix: n³/3 operations, exact to rounding.

    Eager on a CPU it works in place, in one n × n buffer (LAPACK's potrf); under `jax.jit` and on accelerators in two or
    three.
    """

    @property
    def name(self) -> str:
        return "cholesky"

    @property
    def streams(self) -> bool:
        return False

    def solve(self, kernel: Kernel, X: Any, y: Float[Array, "n ..."], ridge: Any, *, throw: bool) -> Solution:
        watch = Stopwatch()
        n = X.shape[0]
        if n >= _IN_PLACE and _on_host(kernel, X, y, ridge):
            alpha, residual, ok = _in_place(kernel, X, y, float(ridge), throw)
            buffers = 1
        else:
            K = square_gram(kernel, X)
            alpha, residual, ok = solve(K, y.astype(K.dtype), ridge, throw=throw)
            buffers = 3
        memory = buffers * n * n * alpha.dtype.itemsize
        seconds = watch.read(alpha)
        stats = Stats(self.name, "dual", str(alpha.dtype), n, ridge, residual, ok, seconds=seconds, memory=memory)
        return Solution(X, alpha, stats)


@jax.jit
def _solve(
    A: Float[Array, "n n"], b: Float[Array, "n ..."], ridge: Float[Array, ""]
) -> tuple[Float[Array, "n ..."], Float[Array, ""], Bool[Array, ""]]:
    """c, the relative residual, and whether the matrix was positive definite and c a solution."""
    shifted, b = A + ridge * jnp.eye(A.shape[0], dtype=A.dtype), as_columns(b)
    c = solve_factored(jnp.linalg.cholesky(shifted), b)
    residual = relative(matmul(shifted, c) - b, b)
    ok = jnp.isfinite(c).all() & (residual <= _WRONG)
    return jnp.where(ok, c, jnp.nan), residual, ok


def solve(
    A: Float[Array, "n n"], b: Float[Array, "n ..."], ridge: Float[Array, ""] | float, *, throw: bool
) -> tuple[Float[Array, "n ..."], Float[Array, ""], Bool[Array, ""]]:
    """(A + ridge·I)⁻¹ b for a symmetric A, its relative residual, and whether it succeeded.

    **Raises** ValueError, naming A's negative eigenvalue or a ridge that works, when A + ridge·I is not positive definite
    to working precision, or so nearly singular that a tenth of b is left; under tracing the error comes at run time.
    With throw=False it returns NaN and ok = False.
    """
    c, residual, ok = _solve(A, b, jnp.asarray(ridge, A.dtype))
    c = c.reshape(b.shape)
    if not throw:
        return c, residual, ok
    if checks.is_traced(ok):
        message = "the matrix plus ridge is not positive definite: a larger ridge is needed (eager calls name one)"
        return eqx.error_if(c, ~ok, message), residual, ok
    if not ok:
        raise ValueError(_advice(A, b, float(ridge)))
    return c, residual, ok


def _on_host(kernel: Kernel, X: Array, y: Array, ridge: Any) -> bool:
    """Whether all is known, on one CPU, in a precision that LAPACK has, and tile by tile as good as at once."""
    if checks.is_traced(kernel, X, y, ridge) or not kernel.tiled or len(X.sharding.device_set) > 1:
        return False
    return X.devices().pop().platform == "cpu" and X.dtype in (jnp.float32, jnp.float64)


def _in_place(
    kernel: Kernel, X: Float[Array, "n d"], y: Float[Array, "n ..."], ridge: float, throw: bool
) -> tuple[Float[Array, "n ..."], Float[Array, ""], Bool[Array, ""]]:
    """`solve` for k(X), which LAPACK overwrites by its factor below the diagonal; above it stays, for the residual."""
    import scipy.linalg  # at the top it would take a fifth of the time of `import rfjax`

    grid = Grid.of(np.asarray(X), None, _TILE)
    dtype = np.dtype(jax.eval_shape(kernel, X).dtype)
    K = np.empty(grid.shape, dtype, order="F")
    for i, j in grid.tiles():
        grid.write(K, i, j, np.asarray(kernel(*grid.points(i, j))))
    places = np.diag_indices_from(K)
    K[places] += dtype.type(ridge)
    diagonal = K[places].copy()
    b = np.asarray(as_columns(y)).astype(dtype)
    potrf, potrs = scipy.linalg.get_lapack_funcs(("potrf", "potrs"), (K,))
    factor, info = potrf(K, lower=True, clean=False, overwrite_a=True)
    if info != 0:
        residual, ok = np.inf, False
    else:
        c, _ = potrs(factor, b, lower=True)
        (symm,) = scipy.linalg.get_blas_funcs(("symm",), (K,))
        factor[places] = diagonal
        residual = float(relative(symm(1.0, factor, c, lower=False) - b, jnp.asarray(b)))
        ok = residual <= _WRONG
    if ok:
        return jnp.asarray(c.reshape(y.shape)), jnp.asarray(residual, dtype), jnp.asarray(True)
    if throw:
        raise ValueError(_advice(kernel(X), jnp.asarray(b), ridge))
    return jnp.full(y.shape, jnp.nan, dtype), jnp.asarray(jnp.nan, dtype), jnp.asarray(False)


def _advice(A: Float[Array, "n n"], b: Float[Array, "n ..."], ridge: float) -> str:
    scale = float(jnp.max(jnp.abs(A)))
    if not math.isfinite(scale):
        return "the Gram matrix has NaN or infinite entries: check the kernel and its hyperparameters"
    if scale == 0:
        return f"the matrix is zero (dead features?), and ridge={ridge:g} leaves it singular: ridge=1 works"
    n, eps = A.shape[0], float(jnp.finfo(A.dtype).eps)
    trial, works = float(f"{max(ridge, 1e-2 * eps * scale):.0e}"), False
    while not works and trial < 1e3 * n * scale:
        trial = float(f"{10 * trial:.1e}")
        works = bool(_solve(A, b, jnp.asarray(trial, A.dtype))[2])
    if trial > ridge + 10 * max(n, 100) * eps * n * scale:  # more than rounding asks, for n·scale bounds eigenvalues
        check_spectrum(jnp.linalg.eigvalsh(A))
    if not works:
        return (
            f"the matrix plus ridge={ridge:g} is not positive definite and no ridge mends it: is the kernel symmetric?"
        )
    return (
        f"the {n} x {n} matrix plus ridge={ridge:g} is not positive definite in {A.dtype} "
        f"(duplicate points, or a kernel of lower rank): ridge={trial:g} works"
    )
