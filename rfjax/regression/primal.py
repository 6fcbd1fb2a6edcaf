"""Ridge regression with a feature map, by the smaller of its two systems."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.features.nystrom import Nystrom as NystromFeatures
from rfjax.numerics import gram, matmul
from rfjax.regression.fit import FeatureFit, Start
from rfjax.regression.normal import block_rows, corrected, streamed_solve
from rfjax.regression.solvers import Cholesky, Nystrom, Solver, Stats
from rfjax.regression.solvers.base import Solution, Stopwatch
from rfjax.regression.solvers.cholesky import solve
from rfjax.regression.solvers.columns import are_kept

_MANY, _MANY_KEPT = 4096, 1024  # Nyström features from which some twenty steps cost less than their normal equations
_A_STEP = 80  # features a step, as many of which take the time of the normal equations


def fit_features(
    phi: FeatureMap,
    X: Any,
    y: Float[Array, "n ..."],
    ridge: Any,
    solver: Solver | None,
    start: Start | None,
    throw: bool,
) -> FeatureFit:
    """The fit of y on φ(X).  Without a `solver` by Cholesky; an iterative one works on the dual system.

    Where φ(X) is large and p <= n it is never held: its normal equations are accumulated over blocks of rows; those of
    many Nyström features are not formed either, but solved as the same problem restricted to their centres.
    """
    watch, asked = Stopwatch(), solver is not None
    if solver is not None and not isinstance(solver, Cholesky):
        if solver.streams:
            raise ValueError(f"solver {solver.name!r} is for kernels: a feature map knows cholesky and cg")
        X = jnp.asarray(X)
        solution = solver.solve(phi.kernel, X, y.astype(X.dtype), ridge, throw=throw)
        return FeatureFit(phi, matmul(phi(X).T, solution.coefficients), start, solution.stats)
    rows = None if checks.is_traced(y, ridge) else block_rows(phi, X)
    if rows is not None and not asked:
        found = _by_centres(phi, X, y, ridge, watch)
        if found is not None:
            return FeatureFit(phi, found.coefficients, start, found.stats)
    if rows is not None and jax.eval_shape(phi, X[:1]).shape[1] <= X.shape[0]:
        c, residual, ok, memory = streamed_solve(phi, X, y, ridge, rows, throw=throw)
        form, size, why = "primal", c.shape[0], f", streamed in blocks of {rows} rows"
    else:
        F = phi(jnp.asarray(X))
        n, p = F.shape
        y = y.astype(F.dtype)
        if p <= n:
            c, residual, ok = corrected(F, y, ridge, throw=throw)
        else:
            alpha, residual, ok = solve(gram(F, F), y, ridge, throw=throw)
            c = matmul(F.T, alpha)
        form, size, why = ("primal", p, "") if p <= n else ("dual", n, "")
        memory = F.dtype.itemsize * (n * p + 3 * size * size)
    seconds = watch.read(c)
    reason = ("asked for" if asked else f"the {form} system of the features is {size} x {size}") + why
    stats = Stats(
        "cholesky", form, str(c.dtype), size, ridge, residual, ok, seconds=seconds, memory=memory, reason=reason
    )
    return FeatureFit(phi, c, start, stats)


def _by_centres(phi: FeatureMap, X: Any, y: Float[Array, "n ..."], ridge: Any, watch: Stopwatch) -> Solution | None:
    """c = Tᵀβ, where β solves the problem restricted to the centres of Nyström features; None where that does not pay.

    Its steps take n·p entries of the kernel each, where n·p²/2 operations form the normal equations: after as many as take
    that long, it is these.
    """
    if not isinstance(phi, NystromFeatures):
        return None
    n, p, dtype = X.shape[0], phi.points.shape[0], jnp.result_type(jnp.asarray(X[:1]))
    if not (_MANY_KEPT if are_kept(n, p, dtype.itemsize) else _MANY) <= p <= n / 2:
        return None
    Z, T = phi.points.astype(dtype), phi.whitening.astype(dtype)
    steps = Nystrom(choice=phi.choice, max_iterations=max(20, p // _A_STEP))
    found = steps.restricted(phi.approximates, X, y, ridge, Z, T, watch=watch, throw=False)
    if not found.stats.ok:
        return None
    reason = f"{found.stats.iterations} steps cost less than the {p} x {p} normal equations of the features"
    stats = replace(found.stats, form="primal", reason=reason)
    return found._replace(coefficients=matmul(T.T, found.coefficients), stats=stats)
