"""Regression: `rf.ridge_regression(kernel_or_features, X, y, ridge=...)` returns a fit to call on new points."""

from rfjax.regression.classification import Classifier, classify
from rfjax.regression.evidence import Evidence, log_marginal_likelihood
from rfjax.regression.fit import FeatureFit, KernelFit, Start, as_start, start_values, with_start
from rfjax.regression.path import RidgePath, ridge_path
from rfjax.regression.posterior import Posterior, posterior
from rfjax.regression.ridge import ridge_regression
from rfjax.regression.solvers import Stats
from rfjax.regression.solvers.cholesky import solve
from rfjax.regression.tune import Tuned, tune

__all__ = [
    "Classifier",
    "Evidence",
    "FeatureFit",
    "KernelFit",
    "Posterior",
    "RidgePath",
    "Start",
    "Stats",
    "Tuned",
    "as_start",
    "classify",
    "log_marginal_likelihood",
    "posterior",
    "ridge_path",
    "ridge_regression",
    "solve",
    "start_values",
    "tune",
    "with_start",
]
