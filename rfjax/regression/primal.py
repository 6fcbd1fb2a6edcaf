"""Ridge regression with a feature map, by the smaller of its two systems."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.numerics import gram, matmul
from rfjax.regression.fit import FeatureFit, Start
from rfjax.regression.normal import block_rows, corrected, streamed_solve
from rfjax.regression.solvers import Cholesky, Solver, Stats
from rfjax.regression.solvers.base import Stopwatch
from rfjax.regression.solvers.cholesky import solve


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

    Where φ(X) is large and p <= n it is never held: its normal equations are accumulated over blocks of rows.
    """
    watch, asked = Stopwatch(), solver is not None
    if solver is not None and not isinstance(solver, Cholesky):
        if solver.streams:
            raise ValueError(f"solver {solver.name!r} is for kernels: a feature map knows cholesky and cg")
        X = jnp.asarray(X)
        solution = solver.solve(phi.kernel, X, y.astype(X.dtype), ridge, throw=throw)
        return FeatureFit(phi, matmul(phi(X).T, solution.coefficients), start, solution.stats)
    rows = None if checks.is_traced(y, ridge) else block_rows(phi, X)
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
