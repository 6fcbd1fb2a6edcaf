"""Ridge regression with a kernel or a feature map."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.regression.fit import FeatureFit, KernelFit, Start, as_start, start_values
from rfjax.regression.gram import as_kernel
from rfjax.regression.primal import fit_features
from rfjax.regression.solvers import Solver
from rfjax.regression.solvers.choice import as_solver, choose
from rfjax.regression.solvers.stream import rows


def ridge_regression(
    model: Kernel | FeatureMap,
    X: Float[Array, "n d"] | Float[np.ndarray, "n d"],
    y: Float[Array, "n ..."] | Float[np.ndarray, "n ..."],
    *,
    ridge: Float[Array, ""] | float,
    solver: str | Solver = "auto",
    start: Start | None = None,
    key: PRNGKeyArray | None = None,
    throw: bool = True,
) -> KernelFit | FeatureFit:
    """Fit y on X with a kernel, or with a feature map by its smaller system; `fit(X_test)` predicts, `fit.stats` tells.

        dual:        (K + ridge·I) α = y − start(X);     f(x) = k(x, X) α + start(x)
        primal:      (ΦᵀΦ + ridge·I) c = Φᵀ(y − start(X));   f(x) = φ(x)·c + start(x)       (features with p <= n)
        restricted:  min_β ‖k(X, Z)β − y + start(X)‖² + ridge·βᵀk(Z, Z)β;   f(x) = k(x, Z) β + start(x)

    X [n, d]; y [n] or [n, c], and predictions have y's trailing shape.  `ridge` >= 0 is absolute: never scaled by n or
    by the trace.  `start` is the function that is corrected (default zero).

    `solver` is "auto", a name or one of `rf.solvers` with its settings: "cholesky" (exact, n² memory), "cg"
    (preconditioned conjugate gradients, the matrix never formed), "nystrom" (restricted to centres, for n in the
    millions; `key` draws them and is required), "eigenpro" (stochastic, memory of the order of n).  "auto" goes by n,
    the dtype and the free memory, and `fit.stats.reason` says why.  All but "nystrom" are the same predictor to their
    tolerance.  For "nystrom" and "eigenpro" X may be a NumPy array or a memory map, which is read in blocks.  A feature
    map knows "cholesky" and "cg"; where φ(X) is large "cholesky" reads X in blocks too, and holds a block of φ(X) only.

    With "cholesky" and "cg" it jits, vmaps and (Cholesky) differentiates.  **Raises** TypeError or ValueError for bad
    data or settings; ValueError, naming the kernel's negative eigenvalue or else a ridge that works, when the matrix is
    not positive definite, or saying what was reached when an iterative solver misses its tolerance (under tracing the
    error comes at run time; with throw=False the fit has `fit.stats.ok` False instead, and NaN coefficients where there
    is no solution).
    """
    as_kernel(model)
    chosen = as_solver(solver, key)
    checks.number("ridge", ridge, least=0.0)
    X = rows("X", X, columns=model.in_dim if isinstance(model, FeatureMap) else None)
    y = checks.targets("y", y, rows=X.shape[0])
    start = as_start(start)
    if isinstance(model, FeatureMap):
        return fit_features(model, X, _remaining(y, start, X), ridge, chosen, start, throw)
    reason, traced = "asked for", checks.is_traced(model, X, y, ridge)
    if chosen is None:
        chosen, reason = choose(X, key, traced=traced)
    if chosen.streams and traced:
        raise TypeError(
            f"the {chosen.name} solver streams its data and is not traceable: use cholesky or cg inside jax.jit"
        )
    X = X if chosen.streams else jnp.asarray(X)
    solution = chosen.solve(model, X, _remaining(y, start, X), ridge, throw=throw)
    if solution.stats.solver != chosen.name:
        reason += f", and {solution.stats.iterations} steps did not reach the tolerance"
    return KernelFit(model, solution.points, solution.coefficients, start, replace(solution.stats, reason=reason))


def _remaining(y: Float[Array, "n ..."], start: Start | None, X: Any) -> Float[Array, "n ..."]:
    """y − start(X)."""
    return y if start is None else y - start_values(start, X, y.shape)
