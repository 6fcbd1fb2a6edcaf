"""Kernel ridge regression as scikit-learn estimators."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from rfjax.interop.sklearn import settings
from rfjax.interop.sklearn.network import NetworkEstimator
from rfjax.kernels import Kernel
from rfjax.regression import ridge_regression


class KernelRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Ridge regression with any rfjax kernel: (K + ridge·I)α = y, f(x) = k(x, X)α, as `rf.ridge_regression` has it.

    Parameters: `kernel`, an rfjax kernel or the name of one at its defaults (angular, laplace, matern, nngp, ntk,
    polynomial, rational_quadratic, rbf); `ridge` >= 0, absolute; `solver`, that of `rf.ridge_regression`;
    `random_state`, an int for the same centres each time, where the solver draws them ("nystrom").

    Attributes: `fit_`, the rfjax fit with its `stats`; `dtype_`; `n_features_in_`, `feature_names_in_`.  Integers and
    float64 are computed in float64 if jax_enable_x64 is set, and otherwise in float32; predictions are in `dtype_`.

    `fit` raises ValueError or TypeError for bad data or settings, and names a ridge that works when one does not.
    """

    def __init__(
        self, kernel: Kernel | str = "rbf", ridge: float = 1.0, solver: str = "auto", random_state: Any = None
    ):
        self.kernel = kernel
        self.ridge = ridge
        self.solver = solver
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "KernelRidge":
        """Fit y [n] or [n, c] on X [n, d]."""
        return _fit(self, settings.kernel(self.kernel), X, y)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions at X [m, d], with y's trailing shape."""
        return _predict(self, X)


class NTKRegressor(MultiOutputMixin, RegressorMixin, NetworkEstimator):
    """Ridge regression with the NTK of an infinitely wide network: what training it on the data tends to.

    Parameters: `depth` hidden layers; `activation`, a name in `rf.activations` or a member of it; `w_std`, `b_std` of all
    layers (NTK parameterisation); `ridge` >= 0, absolute: against k(x, x) = 2(depth + 1)‖x‖²/d for ReLU at w_std = √2
    without biases; `solver` and `random_state` as `KernelRidge`.

    Attributes and errors as `KernelRidge`.  Jacot, Gabriel & Hongler 2018.
    """

    def fit(self, X: Any, y: Any) -> "NTKRegressor":
        """Fit y [n] or [n, c] on X [n, d]."""
        return _fit(self, self._ntk(), X, y)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions at X [m, d], with y's trailing shape."""
        return _predict(self, X)


def _fit(estimator: Any, kernel: Kernel, X: Any, y: Any) -> Any:
    X, y = validate_data(estimator, X, y, dtype=settings.FLOATS, multi_output=True, y_numeric=True)
    estimator.dtype_ = settings.computed_dtype(X)
    X, y = X.astype(estimator.dtype_), y.astype(estimator.dtype_)
    key = settings.key(estimator.random_state)
    estimator.fit_ = ridge_regression(kernel, X, y, ridge=estimator.ridge, solver=estimator.solver, key=key)
    return estimator


def _predict(estimator: Any, X: Any) -> np.ndarray:
    check_is_fitted(estimator)
    X = validate_data(estimator, X, dtype=settings.FLOATS, reset=False)
    return np.asarray(estimator.fit_(X.astype(estimator.dtype_)))
