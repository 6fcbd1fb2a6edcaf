"""Regression: `rf.ridge_regression(kernel_or_features, X, y, ridge=...)` returns a fit to call on new points."""

from rfjax.regression.fit import FeatureFit, KernelFit, Start, as_start, start_values, with_start
from rfjax.regression.ridge import ridge_regression
from rfjax.regression.solvers import Stats
from rfjax.regression.solvers.cholesky import solve

__all__ = [
    "FeatureFit",
    "KernelFit",
    "Start",
    "Stats",
    "as_start",
    "ridge_regression",
    "solve",
    "start_values",
    "with_start",
]
