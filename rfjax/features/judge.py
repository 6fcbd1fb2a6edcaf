"""How good a feature map is: its error as a kernel, and the columns that a wanted error takes."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.features.approximate import approximate
from rfjax.features.base import FeatureMap
from rfjax.kernels import DiagonalPairs, GramOperator, Kernel
from rfjax.kernels.base import as_operand
from rfjax.numerics import (
    adjoint_matmul,
    from_stripes,
    gram,
    gram_stripes,
    matmul,
    safe_divide,
    shifted_cholesky,
    solve_factored,
    solve_lower,
)

_DENSE = 2048  # rows up to which matrices are formed
_STEPS = 40  # of the power method beyond that
_TOLERANCE = 1e-4
_ENTRIES = 2**22  # of a block of rows
MEASURES = ("rms", "largest", "spectral", "weighted")


class ApproximationError(eqx.Module):
    """The error E = ΦΦᵀ − K of features on n points.

    rms, largest   of E_ij/√(K_ii K_jj), over all pairs
    spectral       ‖E‖/‖K‖
    weighted       ‖(K + ridge·I)^{−½} E (K + ridge·I)^{−½}‖, None without a ridge: what governs regression.  At
                   ε < 1 every ridge fit with the features has a risk within (1 + ε)/(1 − ε) of the kernel's
    """

    rms: Float[Array, ""]
    largest: Float[Array, ""]
    spectral: Float[Array, ""]
    weighted: Float[Array, ""] | None
    ridge: Float[Array, ""] | float | None
    features: int = eqx.field(static=True)


def approximation_error(
    phi: FeatureMap, kernel: Kernel, X: Float[Array, "n d"], *, ridge: Float[Array, ""] | float | None = None
) -> ApproximationError:
    """The error of φ(x)·φ(y) as k(x, y) on the rows of X; with a `ridge` also the one that governs regression.

    Up to 2048 rows by eigenvalues, beyond without forming a matrix: entries in blocks, norms by 40 steps of the power
    method (from below, to a few per cent), inverses by conjugate gradients preconditioned by ΦΦᵀ + ridge·I.
    Avron et al. 2017, *Random Fourier features for kernel ridge regression*.

    **Raises** TypeError or ValueError for bad data, or a ridge that is not positive.
    """
    kernel, X = as_operand(kernel), checks.points("X", X, columns=phi.in_dim)
    if ridge is not None:
        checks.number("ridge", ridge, above=0.0)
    F = phi(X)
    if X.shape[0] <= _DENSE:
        rms, largest, spectral, weighted = _dense(kernel(X), F, ridge)
    else:
        rms, largest = _entries(kernel, X, F)
        spectral, weighted = _matrix_free(GramOperator(kernel, X), F, ridge)
    return ApproximationError(rms, largest, spectral, weighted, ridge, F.shape[1])


@jax.jit
def _dense(K: Float[Array, "n n"], F: Float[Array, "n p"], ridge: Any) -> tuple[Array, Array, Array, Array | None]:
    E = gram(F, F) - K
    root = jnp.sqrt(jnp.diagonal(K))
    scaled = safe_divide(safe_divide(E, root), root[:, None])
    spectral = _norm(E) / _norm(K)
    weighted = None
    if ridge is not None:
        lower, _ = shifted_cholesky(K, ridge)
        half = solve_lower(lower, E)
        weighted = _norm(solve_lower(lower, half.T))
    return jnp.sqrt(jnp.mean(scaled**2)), jnp.abs(scaled).max(), spectral, weighted


def _norm(A: Float[Array, "n n"]) -> Float[Array, ""]:
    return jnp.abs(jnp.linalg.eigvalsh((A + A.T) / 2)).max()


@eqx.filter_jit
def _entries(kernel: Kernel, X: Float[Array, "n d"], F: Float[Array, "n p"]) -> tuple[Array, Array]:
    n = X.shape[0]
    root = jnp.sqrt(kernel._evaluate(DiagonalPairs(X)))
    size = max(1, min(n, _ENTRIES // n))

    def add(i: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        rows = jnp.minimum(i * size + jnp.arange(size), n - 1)
        new = (i * size + jnp.arange(size) < n)[:, None]
        E = gram(F[rows], F) - kernel(X[rows], X)
        scaled = jnp.where(new, safe_divide(safe_divide(E, root), root[rows, None]), 0)
        return sums[0] + jnp.mean(scaled**2) * (size / n), jnp.maximum(sums[1], jnp.abs(scaled).max())

    zero = jnp.zeros((), F.dtype)
    total, largest = lax.fori_loop(0, -(-n // size), add, (zero, zero))
    return jnp.sqrt(total), largest


@eqx.filter_jit
def _matrix_free(K: GramOperator, F: Float[Array, "n p"], ridge: Any) -> tuple[Array, Array | None]:
    def error(v: Float[Array, "n 1"]) -> Float[Array, "n 1"]:
        return matmul(F, adjoint_matmul(F, v)) - K(v)

    spectral = _power(error, F) / _power(K, F)
    if ridge is None:
        return spectral, None
    lower, shift = shifted_cholesky(from_stripes(gram_stripes(F), lower=True), ridge)

    def nearly(v: Float[Array, "n 1"]) -> Float[Array, "n 1"]:
        return (v - matmul(F, solve_factored(lower, adjoint_matmul(F, v)))) / shift

    def shifted(v: Float[Array, "n 1"]) -> Float[Array, "n 1"]:
        return K(v) + jnp.asarray(ridge, v.dtype) * v

    def weighted(v: Float[Array, "n 1"]) -> Float[Array, "n 1"]:
        solve = partial(jax.scipy.sparse.linalg.cg, shifted, tol=_TOLERANCE, maxiter=100, M=nearly)
        return solve(error(v))[0]

    return spectral, _power(weighted, F, inner=shifted)


def _power(operator: Callable[[Array], Array], F: Float[Array, "n p"], inner: Any = None) -> Float[Array, ""]:
    """The largest |eigenvalue| of an operator that is symmetric in vᵀ·inner(w), by the power method."""
    start = jax.random.normal(jax.random.key(0), (F.shape[0], 1), F.dtype)

    def length(v: Float[Array, "n 1"]) -> Float[Array, ""]:
        return jnp.sqrt(jnp.sum(v * (v if inner is None else inner(v))))

    def step(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
        v, _size = state
        w = operator(v)
        size = length(w)
        return safe_divide(w, size), size

    return lax.fori_loop(0, _STEPS, step, (start / length(start), jnp.zeros((), F.dtype)))[1]


class FeaturesNeeded(eqx.Module):
    """How many columns bring an error to `target`, by the measured law error = C·p^(−rate).

    `low` and `high` are p at two standard errors of the fit either way; `sizes` and `errors` [sizes, repeats] what it was
    fitted to.
    """

    features: int
    low: int
    high: int
    rate: float
    rate_stderr: float
    sizes: tuple[int, ...]
    errors: Float[np.ndarray, "sizes repeats"]


def features_needed(
    kernel: Kernel,
    X: Float[Array, "n d"],
    target: float,
    *,
    key: PRNGKeyArray,
    measure: str = "rms",
    ridge: float | None = None,
    make: Callable[..., FeatureMap] = approximate,
    sizes: Sequence[int] = (128, 256, 512),
    repeats: int = 3,
) -> FeaturesNeeded:
    """The columns that bring an error of `rf.approximation_error` to `target`, from maps of some smaller `sizes`.

        log error = log C − rate·log p        by least squares over sizes and repeats

    Independent features have rate ½; maps that expand, or see the data, more.  `make(kernel, p, key=..., X=X)` makes a map.
    Far beyond the sizes measured it is an extrapolation, and the interval says only how well the law fits where it was
    measured.

    **Raises** ValueError or TypeError for a target that is not positive, fewer than two sizes, unknown measures, or
    "weighted" without a ridge.
    """
    target = float(checks.number("target", target, above=0.0))
    checks.choice("measure", measure, MEASURES)
    if measure == "weighted" and ridge is None:
        raise ValueError("measure='weighted' needs a ridge")
    ps = tuple(checks.count("sizes", p) for p in sizes)
    if len(set(ps)) < 2:
        raise ValueError(f"sizes must be two different numbers or more, got {ps}")
    repeats = checks.count("repeats", repeats)
    keys = jax.random.split(checks.prng_key("key", key), (len(ps), repeats))
    errors, columns = np.empty((len(ps), repeats)), np.empty((len(ps), repeats))
    for i, p in enumerate(ps):
        for j in range(repeats):
            found = approximation_error(make(kernel, p, key=keys[i, j], X=X), kernel, X, ridge=ridge)
            errors[i, j], columns[i, j] = float(getattr(found, measure)), found.features
    return _fitted(np.log(columns.ravel()), np.log(errors.ravel()), math.log(target), ps, errors)


def _fitted(x: np.ndarray, y: np.ndarray, goal: float, sizes: tuple[int, ...], errors: np.ndarray) -> FeaturesNeeded:
    A = np.stack([np.ones_like(x), -x], axis=1)
    (level, rate), *_ = np.linalg.lstsq(A, y, rcond=None)
    noise = ((y - A @ [level, rate]) ** 2).sum() / max(len(y) - 2, 1)
    covariance = noise * np.linalg.inv(A.T @ A)
    if rate <= 0:
        raise ValueError("the error does not fall with the number of features on these sizes: is the kernel the map's?")
    where = (level - goal) / rate
    gradient = np.array([1.0, -where]) / rate  # of `where` in level and rate
    spread = 2 * math.sqrt(gradient @ covariance @ gradient)
    low, middle, high = (math.ceil(math.exp(min(v, 60.0))) for v in (where - spread, where, where + spread))
    return FeaturesNeeded(middle, low, high, float(rate), math.sqrt(covariance[1, 1]), sizes, errors)
