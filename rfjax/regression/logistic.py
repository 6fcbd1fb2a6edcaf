"""Logistic and softmax regression with a kernel or a feature map, by Newton's method in an eigenbasis."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.numerics import adjoint_matmul, gram, matmul, normal_matrix
from rfjax.regression.fit import FeatureFit, KernelFit
from rfjax.regression.gram import check_spectrum, rounding, square_gram
from rfjax.regression.solvers import Stats
from rfjax.regression.solvers.base import Stopwatch

_INNER = 200  # steps of conjugate gradients at most, for one of Newton's
_HALVINGS = 30


def logistic_regression(
    model: Kernel | FeatureMap,
    X: Float[Array, "n d"],
    T: Float[Array, "n ..."],
    *,
    ridge: Float[Array, ""] | float,
    iterations: int = 100,
    tolerance: float | None = None,
    throw: bool = True,
) -> KernelFit | FeatureFit:
    """The minimiser of Σ_i ℓ(f(x_i), T_i) + ½ ridge·‖f‖², one score for T [n] of 0 and 1, c for one-hot T [n, c].

        ℓ = log(1 + e^f) − T f,   or log Σ_c e^{f_c} − Σ_c T_c f_c;       at the minimum f = Σ_i k(·, x_i)(T_i − P_i)/ridge

    **Raises** as `rf.classify`.
    """
    watch = Stopwatch()
    checks.number("ridge", ridge, above=0.0)
    least = math.sqrt(jnp.finfo(X.dtype).eps)
    limit = checks.number("tolerance", least if tolerance is None else tolerance, above=0.0)
    settings = (jnp.asarray(ridge, X.dtype), jnp.asarray(limit, X.dtype), checks.count("iterations", iterations))
    kernel = isinstance(model, Kernel)
    matrix = square_gram(model, X) if isinstance(model, Kernel) else model(X)
    columns = T.reshape(X.shape[0], -1)
    primal = not kernel and matrix.shape[1] < matrix.shape[0]
    if primal:
        found = _primal(matrix, columns, *settings)
    else:
        found = _dual(matrix if kernel else gram(matrix, matrix), columns, *settings)
    found = _converged(found, float(limit), iterations) if throw else found
    coefficients = found.coefficients if kernel or primal else matmul(matrix.T, found.coefficients)
    coefficients = coefficients.reshape(-1, *T.shape[1:])
    size = found.eigenvalues.shape[0]
    stats = Stats(
        solver="newton",
        form="primal" if primal else "dual",
        dtype=str(matrix.dtype),
        size=size,
        ridge=ridge,
        residual=found.residual,
        ok=found.ok,
        iterations=found.steps,
        seconds=watch.read(coefficients),
        memory=matrix.dtype.itemsize * (2 * matrix.size + 2 * size * size),
        reason="the one solver of the logistic loss",
    )
    if isinstance(model, Kernel):
        return KernelFit(model, X, coefficients, None, stats)
    return FeatureFit(model, coefficients, None, stats)


def probabilities(F: Float[Array, "m ..."]) -> Float[Array, "m c"]:
    """softmax(F) for scores [m, c]; for one score [m], those of the first class and of the second."""
    return jnp.stack([jax.nn.sigmoid(-F), jax.nn.sigmoid(F)], axis=1) if F.ndim == 1 else jax.nn.softmax(F, axis=1)


class _Found(NamedTuple):
    coefficients: Float[Array, "k c"]
    eigenvalues: Float[Array, " k"]
    residual: Float[Array, ""]
    steps: Int[Array, ""]
    ok: Bool[Array, ""]


@jax.jit
def _dual(K: Float[Array, "n n"], T: Float[Array, "n c"], ridge: Any, tolerance: Any, iterations: Any) -> _Found:
    s, V = jnp.linalg.eigh(K)
    P, _, residual, steps = _newton(V * jnp.sqrt(jnp.maximum(s, 0)), s, T, ridge, tolerance, iterations)
    return _Found((T - P) / ridge, s, residual, steps, (residual <= tolerance) & (s[0] >= -rounding(s)))


@jax.jit
def _primal(F: Float[Array, "n p"], T: Float[Array, "n c"], ridge: Any, tolerance: Any, iterations: Any) -> _Found:
    s, V = jnp.linalg.eigh(normal_matrix(F))
    _, w, residual, steps = _newton(matmul(F, V), s, T, ridge, tolerance, iterations)
    return _Found(matmul(V, w), s, residual, steps, residual <= tolerance)


class _State(NamedTuple):
    w: Float[Array, "k c"]
    F: Float[Array, "n c"]  # B w
    slope: Float[Array, "k c"]
    step: Int[Array, ""]


def _newton(
    B: Float[Array, "n k"], s: Float[Array, " k"], T: Float[Array, "n c"], ridge: Any, tolerance: Any, iterations: Any
) -> tuple[Float[Array, "n c"], Float[Array, "k c"], Float[Array, ""], Int[Array, ""]]:
    """Probabilities P, the w that minimises Σ_i ℓ((B w)_i, T_i) + ½ ridge·‖w‖², its gradient relative to w = 0, steps.

    BᵀB = diag(s), so that the Hessian Bᵀ S B + ridge·I, S the covariance of the classes at a point, is nearly diagonal:
    conjugate gradients solve with it in a few steps.
    """

    def at(w: Float[Array, "k c"], F: Float[Array, "n c"], step: Int[Array, ""]) -> _State:
        return _State(w, F, adjoint_matmul(B, _means(F) - T) + ridge * w, step)

    def objective(w: Float[Array, "k c"], F: Float[Array, "n c"]) -> Float[Array, ""]:
        return _losses(F, T).sum() + ridge * (w**2).sum() / 2

    def descend(state: _State) -> _State:
        P = _means(state.F)
        curvature = (P * (1 - P)).mean()

        def hessian(v: Float[Array, "k c"]) -> Float[Array, "k c"]:
            weighted = P * matmul(B, v)
            return adjoint_matmul(B, weighted - P * weighted.sum(axis=1, keepdims=True)) + ridge * v

        def precondition(v: Float[Array, "k c"]) -> Float[Array, "k c"]:
            return v / (curvature * jnp.maximum(s, 0) + ridge)[:, None]

        near = jnp.minimum(0.5, jnp.sqrt(relative(state)))
        move, _ = jax.scipy.sparse.linalg.cg(hessian, -state.slope, tol=near, maxiter=_INNER, M=precondition)
        moved = matmul(B, move)
        here, descent = objective(state.w, state.F), (state.slope * move).sum()
        slack = 10 * jnp.finfo(B.dtype).eps * here

        def too_far(trial: tuple[Float[Array, ""], Int[Array, ""]]) -> Bool[Array, ""]:
            length, halved = trial
            there = objective(state.w + length * move, state.F + length * moved)
            return (there > here + 1e-4 * length * descent + slack) & (halved < _HALVINGS)

        one = (jnp.ones((), B.dtype), jnp.zeros((), jnp.int32))
        length, _ = lax.while_loop(too_far, lambda trial: (trial[0] / 2, trial[1] + 1), one)
        return at(state.w + length * move, state.F + length * moved, state.step + 1)

    w = jnp.zeros((B.shape[1], T.shape[1]), B.dtype)
    first = at(w, jnp.zeros_like(T), jnp.zeros((), jnp.int32))
    size = jnp.maximum(jnp.linalg.norm(first.slope), jnp.finfo(B.dtype).tiny)

    def relative(state: _State) -> Float[Array, ""]:
        return jnp.linalg.norm(state.slope) / size

    def unfinished(state: _State) -> Bool[Array, ""]:
        return (relative(state) > tolerance) & (state.step < iterations)

    last = lax.while_loop(unfinished, descend, first)
    return _means(last.F), last.w, relative(last), last.step


def _means(F: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """The probability of each class, of the second alone where there is one score."""
    return jax.nn.sigmoid(F) if F.shape[1] == 1 else jax.nn.softmax(F, axis=1)


def _losses(F: Float[Array, "n c"], T: Float[Array, "n c"]) -> Float[Array, " n"]:
    normaliser = jax.nn.softplus(F[:, 0]) if F.shape[1] == 1 else jax.nn.logsumexp(F, axis=1)
    return normaliser - (T * F).sum(axis=1)


def _converged(found: _Found, tolerance: float, iterations: int) -> _Found:
    if checks.is_traced(found.ok):
        message = (
            "Newton's method did not converge, or the kernel is not positive semi-definite (eager calls tell which)"
        )
        return eqx.error_if(found, ~found.ok, message)
    check_spectrum(found.eigenvalues)
    if not found.ok:
        raise ValueError(
            f"Newton's method reached a gradient of {float(found.residual):.2g} times the first in {iterations} "
            f"iterations, above tolerance={tolerance:.2g}: a larger ridge, tolerance= or iterations= is needed"
        )
    return found
