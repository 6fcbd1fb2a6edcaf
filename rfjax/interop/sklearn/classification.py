"""Least-squares classification with the NTK as a scikit-learn estimator."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from rfjax.interop.sklearn import settings
from rfjax.interop.sklearn.network import NetworkEstimator
from rfjax.regression import ridge_regression


class NTKClassifier(ClassifierMixin, NetworkEstimator):
    """One-vs-rest least squares with the NTK: ridge regression on targets of ±1, the largest output wins.

    Parameters as `NTKRegressor`.  Attributes: `classes_`; `fit_`, the rfjax fit with its `stats`; `dtype_`; `n_features_in_`,
    `feature_names_in_`.  Its outputs are no probabilities.

    `fit` raises ValueError or TypeError for bad data or settings, for targets that are no classes, or one class alone.
    """

    def fit(self, X: Any, y: Any) -> "NTKClassifier":
        """Fit the classes y [n], of any type that can be sorted, on X [n, d]."""
        X, y = validate_data(self, X, y, dtype=settings.FLOATS)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise ValueError(f"y must have two classes or more, got one class: {self.classes_[0]!r}")
        self.dtype_ = settings.computed_dtype(X)
        chosen = labels == 1 if count == 2 else labels[:, None] == np.arange(count)
        targets = jnp.asarray(np.where(chosen, 1, -1), self.dtype_)
        key = settings.key(self.random_state)
        self.fit_ = ridge_regression(
            self._ntk(), X.astype(self.dtype_), targets, ridge=self.ridge, solver=self.solver, key=key
        )
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """The outputs at X [m, d]: [m, classes]; of two classes the second's alone, [m]."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=settings.FLOATS, reset=False)
        return np.asarray(self.fit_(X.astype(self.dtype_)))

    def predict(self, X: Any) -> np.ndarray:
        """The class of every row of X [m, d]."""
        outputs = self.decision_function(X)
        return self.classes_[(outputs > 0).astype(int) if outputs.ndim == 1 else outputs.argmax(axis=1)]
