"""Ridge regression with a feature map, by the smaller of its two systems."""

from typing import Any

from jaxtyping import Array, Float

from rfjax.features import FeatureMap
from rfjax.numerics import gram, matmul
from rfjax.regression.fit import FeatureFit, Start
from rfjax.regression.solvers import Cholesky, Solver, Stats
from rfjax.regression.solvers.base import Stopwatch
from rfjax.regression.solvers.cholesky import solve


def fit_features(
    phi: FeatureMap,
    X: Float[Array, "n d"],
    y: Float[Array, "n ..."],
    ridge: Any,
    solver: Solver | None,
    start: Start | None,
    throw: bool,
) -> FeatureFit:
    """The fit of y on φ(X).  Without a `solver` by Cholesky; an iterative one works on the dual system."""
    watch = Stopwatch()
    F = phi(X)
    y = y.astype(F.dtype)
    n, p = F.shape
    if solver is not None and not isinstance(solver, Cholesky):
        if solver.streams:
            raise ValueError(f"solver {solver.name!r} is for kernels: a feature map knows cholesky and cg")
        solution = solver.solve(phi.kernel, X, y, ridge, throw=throw)
        return FeatureFit(phi, matmul(F.T, solution.coefficients), start, solution.stats)
    if p <= n:
        c, residual, ok = solve(gram(F.T, F.T), matmul(F.T, y), ridge, throw=throw)
    else:
        alpha, residual, ok = solve(gram(F, F), y, ridge, throw=throw)
        c = matmul(F.T, alpha)
    form, size = ("primal", p) if p <= n else ("dual", n)
    memory = F.dtype.itemsize * (n * p + 3 * size * size)
    stats = Stats("cholesky", form, str(F.dtype), size, ridge, residual, ok, seconds=watch.read(c), memory=memory)
    return FeatureFit(phi, c, start, stats)
