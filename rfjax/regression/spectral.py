"""Ridge regression at many ridges in one eigenbasis: what is not the eigendecomposition is matrix products."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rfjax import checks
from rfjax.numerics import adjoint_matmul, gram, matmul, normal_matrix
from rfjax.regression.gram import check_spectrum, rounding

_DIGITS = 2  # units of rounding of the largest eigenvalue, below which A + ridge·I has no correct inverse


class Spectral(NamedTuple):
    """What each of r ridges gives for c outputs, and the ascending eigenvalues of the matrix that was decomposed."""

    ridges: Float[Array, " r"]
    eigenvalues: Float[Array, " k"]
    coefficients: Float[Array, "r k c"]
    loo_residuals: Float[Array, "r n c"]
    gcv: Float[Array, "r c"]
    degrees_of_freedom: Float[Array, " r"]
    residual: Float[Array, " r"]
    ok: Bool[Array, " r"]


@jax.jit
def dual(K: Float[Array, "n n"], b: Float[Array, "n c"], ridges: Float[Array, " r"]) -> Spectral:
    """All from K = V diag(s) Vᵀ, [n, n]."""
    b, ridges = b.astype(K.dtype), ridges.astype(K.dtype)
    s, V = jnp.linalg.eigh(K)
    inverse = 1 / (s[:, None] + ridges)
    alpha = _spread(V, inverse, matmul(V.T, b))
    diagonal = matmul(V * V, inverse)  # of (K + ridge·I)⁻¹, for every ridge
    gcv = K.shape[0] * (alpha**2).sum(axis=0) / inverse.sum(axis=0)[:, None] ** 2
    residual = _residual(K, alpha, ridges, b)
    ok = _definite(s, ridges)
    return Spectral(ridges, s, _rows(alpha), _rows(alpha / diagonal[:, :, None]), gcv, matmul(s, inverse), residual, ok)


@jax.jit
def features(F: Float[Array, "n p"], b: Float[Array, "n c"], ridges: Float[Array, " r"]) -> Spectral:
    """All from the smaller of FᵀF and FFᵀ; the coefficients are those of the features [n, p]."""
    b, ridges = b.astype(F.dtype), ridges.astype(F.dtype)
    n, p = F.shape
    if p >= n:
        solved = dual(gram(F, F), b, ridges)
        return solved._replace(coefficients=_rows(_across(F.T, _rows(solved.coefficients))))
    A, image = normal_matrix(F), adjoint_matmul(F, b)
    s, V = jnp.linalg.eigh(A)
    inverse = 1 / (s[:, None] + ridges)
    c = _spread(V, inverse, matmul(V.T, image))
    remaining = b[:, None] - _across(F, c)
    room = 1 - matmul(matmul(F, V) ** 2, inverse)
    freedom = matmul(s, inverse)
    gcv = n * (remaining**2).sum(axis=0) / (n - freedom)[:, None] ** 2
    residual = _residual(A, c, ridges, image)
    ok = _definite(s, ridges) & (room.min(axis=0) > _DIGITS * jnp.finfo(F.dtype).eps)
    loo_residuals = _rows(remaining / room[:, :, None])
    return Spectral(ridges, s, _rows(c), loo_residuals, gcv, freedom, residual, ok)


def _spread(V: Float[Array, "n k"], gain: Float[Array, "k r"], b: Float[Array, "k c"]) -> Float[Array, "n r c"]:
    """V diag(gain_r) b for every r, as one product."""
    return _across(V, gain[:, :, None] * b[:, None])


def _across(A: Float[Array, "n k"], B: Float[Array, "k r c"]) -> Float[Array, "n r c"]:
    return matmul(A, B.reshape(B.shape[0], -1)).reshape(A.shape[0], *B.shape[1:])


def _rows(values: Float[Array, "n r c"]) -> Float[Array, "r n c"]:
    return jnp.moveaxis(values, 1, 0)


def _residual(
    A: Float[Array, "k k"], c: Float[Array, "k r c"], ridges: Float[Array, " r"], b: Float[Array, "k c"]
) -> Float[Array, " r"]:
    """‖(A + ridge·I)c − b‖/‖b‖."""
    error = _across(A, c) + ridges[:, None] * c - b[:, None]
    return jnp.linalg.norm(error, axis=(0, 2)) / jnp.maximum(jnp.linalg.norm(b), jnp.finfo(b.dtype).tiny)


def _definite(s: Float[Array, " k"], ridges: Float[Array, " r"]) -> Bool[Array, " r"]:
    return (s[0] >= -rounding(s)) & (s[0] + ridges > _least_eigenvalue(s))


def _least_eigenvalue(s: Float[Array, " k"]) -> Float[Array, ""]:
    """Where A + ridge·I has an inverse with correct digits; A = 0 is measured by 1."""
    largest = jnp.max(jnp.abs(s))
    return _DIGITS * jnp.finfo(s.dtype).eps * jnp.where(largest == 0, 1, largest)


def checked(solved: Spectral, *, throw: bool) -> Spectral:
    """`solved`, if every ridge worked; with throw=False, with NaN in the rows of those that failed.

    **Raises** ValueError for a negative eigenvalue and for ridges that failed; under tracing the error comes at run time.
    """
    if throw and checks.is_traced(solved.ok):
        message = "a ridge of the path leaves the matrix singular, or the kernel is not positive semi-definite"
        return eqx.error_if(solved, ~solved.ok.all(), f"{message} (eager calls tell which)")
    if throw:
        check_spectrum(solved.eigenvalues)
        if not solved.ok.all():
            raise ValueError(_advice(solved))
        return solved

    def good(values: Float[Array, "r ..."]) -> Float[Array, "r ..."]:
        return jnp.where(solved.ok.reshape(-1, *[1] * (values.ndim - 1)), values, jnp.nan)

    return solved._replace(
        coefficients=good(solved.coefficients),
        loo_residuals=good(solved.loo_residuals),
        gcv=good(solved.gcv),
        degrees_of_freedom=good(solved.degrees_of_freedom),
    )


def _advice(solved: Spectral) -> str:
    s = solved.eigenvalues
    failed = ", ".join(f"{ridge:g}" for ridge in np.asarray(solved.ridges)[~np.asarray(solved.ok)])
    least = float(_least_eigenvalue(s) - s[0])
    if (solved.ridges[~solved.ok] < least).any():
        size = s.shape[0]
        return (
            f"ridges must leave the {size} x {size} matrix invertible: in {s.dtype} {failed} cannot, for its eigenvalues "
            f"go from {float(s[0]):.2g} to {float(s[-1]):.2g} (duplicate points?): ridges from {2 * least:.1g} work"
        )
    return f"ridges {failed} let a point have leverage 1, whose value the others cannot predict: larger ones are needed"
