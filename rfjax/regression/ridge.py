"""Ridge regression with a kernel or a feature map."""

from typing import Any

from jaxtyping import Array, Float

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.numerics import gram, matmul
from rfjax.regression.cholesky import solve
from rfjax.regression.fit import FeatureFit, KernelFit, Start, Stats, as_start, start_values

SOLVERS = ("auto", "cholesky")


def ridge_regression(
    model: Kernel | FeatureMap,
    X: Float[Array, "n d"],
    y: Float[Array, "n ..."],
    *,
    ridge: Float[Array, ""] | float,
    solver: str = "auto",
    start: Start | None = None,
    throw: bool = True,
) -> KernelFit | FeatureFit:
    """Fit y on X with a kernel, or with a feature map by its smaller system; `fit(X_test)` predicts, `fit.stats` tells.

        dual:    (K + ridge·I) α = y − start(X);     f(x) = k(x, X) α + start(x)
        primal:  (ΦᵀΦ + ridge·I) c = Φᵀ(y − start(X));   f(x) = φ(x)·c + start(x)       (features with p <= n)

    X [n, d]; y [n] or [n, c], and predictions have y's trailing shape.  `ridge` >= 0 is absolute: never scaled by n or
    by the trace.  `start` is the function that is corrected (default zero).  Both forms are the same predictor.

    It jits, vmaps and differentiates.  **Raises** TypeError or ValueError for bad data or settings; ValueError, naming
    a ridge that works, when the matrix is not positive definite (under tracing the error comes at run time; with
    throw=False the fit has `fit.stats.ok` False and NaN coefficients instead).
    """
    if not isinstance(model, (Kernel, FeatureMap)):
        raise TypeError(f"model must be a kernel or a feature map, got {type(model).__name__}")
    checks.choice("solver", solver, SOLVERS)
    checks.number("ridge", ridge, least=0.0)
    columns = model.in_dim if isinstance(model, FeatureMap) else None
    X = checks.points("X", X, columns=columns)
    y = checks.targets("y", y, rows=X.shape[0])
    start = as_start(start)
    residual = y if start is None else y - start_values(start, X, y.shape)
    if isinstance(model, Kernel):
        return _fit_kernel(model, X, residual, ridge, start, throw)
    return _fit_features(model, X, residual, ridge, start, throw)


def _fit_kernel(
    kernel: Kernel, X: Float[Array, "n d"], y: Float[Array, "n ..."], ridge: Any, start: Start | None, throw: bool
) -> KernelFit:
    K = kernel(X)
    if K.shape[0] != X.shape[0]:
        raise ValueError(
            f"the kernel's Gram matrix has {K.shape[0]} rows for {X.shape[0]} points: regression needs one output a "
            "point (empirical_ntk with outputs='mean')"
        )
    alpha, residual, ok = solve(K, y.astype(K.dtype), ridge, throw=throw)
    stats = Stats("cholesky", "dual", str(K.dtype), X.shape[0], ridge, residual, ok)
    return KernelFit(kernel, X, alpha, start, stats)


def _fit_features(
    phi: FeatureMap, X: Float[Array, "n d"], y: Float[Array, "n ..."], ridge: Any, start: Start | None, throw: bool
) -> FeatureFit:
    F = phi(X)
    y = y.astype(F.dtype)
    n, p = F.shape
    if p <= n:
        c, residual, ok = solve(gram(F.T, F.T), matmul(F.T, y), ridge, throw=throw)
    else:
        alpha, residual, ok = solve(gram(F, F), y, ridge, throw=throw)
        c = matmul(F.T, alpha)
    form, size = ("primal", p) if p <= n else ("dual", n)
    return FeatureFit(phi, c, start, Stats("cholesky", form, str(F.dtype), size, ridge, residual, ok))
