"""Solving (A + ridge·I) c = b by Cholesky, with an error that names a ridge which works."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rfjax import checks
from rfjax.numerics import matmul


@jax.jit
def _solve(
    A: Float[Array, "n n"], b: Float[Array, "n ..."], ridge: Float[Array, ""]
) -> tuple[Float[Array, "n ..."], Float[Array, ""], Bool[Array, ""]]:
    """c, the relative residual, and whether the matrix was positive definite."""
    shifted = A + ridge * jnp.eye(A.shape[0], dtype=A.dtype)
    c = jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(shifted, lower=True), b)
    residual = jnp.linalg.norm(matmul(shifted, c) - b) / jnp.maximum(jnp.linalg.norm(b), jnp.finfo(A.dtype).tiny)
    return c, residual, jnp.isfinite(c).all()


@jax.jit
def _definite(A: Float[Array, "n n"], ridge: Float[Array, ""]) -> Bool[Array, ""]:
    factor = jnp.linalg.cholesky(A + ridge * jnp.eye(A.shape[0], dtype=A.dtype))
    return jnp.isfinite(factor).all()


def solve(
    A: Float[Array, "n n"], b: Float[Array, "n ..."], ridge: Float[Array, ""] | float, *, throw: bool
) -> tuple[Float[Array, "n ..."], Float[Array, ""], Bool[Array, ""]]:
    """(A + ridge·I)⁻¹ b for a symmetric A, its relative residual, and whether it succeeded.

    **Raises** ValueError, naming a ridge at which the factorisation succeeds, when A + ridge·I is not positive definite
    to working precision; under tracing the error comes at run time.  With throw=False it returns NaN and ok = False.
    """
    c, residual, ok = _solve(A, b, jnp.asarray(ridge, A.dtype))
    if not throw:
        return c, residual, ok
    if checks.is_traced(ok):
        message = "the matrix plus ridge is not positive definite: a larger ridge is needed (eager calls name one)"
        return eqx.error_if(c, ~ok, message), residual, ok
    if not ok:
        raise ValueError(_advice(A, float(ridge)))
    return c, residual, ok


def _advice(A: Float[Array, "n n"], ridge: float) -> str:
    scale = float(jnp.max(jnp.abs(A)))
    if not math.isfinite(scale):
        return "the Gram matrix has NaN or infinite entries: check the kernel and its hyperparameters"
    if scale == 0:
        return f"the matrix is zero (dead features?), and ridge={ridge:g} leaves it singular: ridge=1 works"
    trial = float(f"{max(ridge, 1e-2 * float(jnp.finfo(A.dtype).eps) * scale):.0e}")
    while trial < 1e3 * A.shape[0] * scale:
        trial = float(f"{10 * trial:.1e}")
        if bool(_definite(A, jnp.asarray(trial, A.dtype))):
            return (
                f"the {A.shape[0]} x {A.shape[0]} matrix plus ridge={ridge:g} is not positive definite in {A.dtype} "
                f"(duplicate points, or a kernel of lower rank): ridge={trial:g} works"
            )
    return f"the matrix plus ridge={ridge:g} is not positive definite and no ridge mends it: is the kernel symmetric?"
