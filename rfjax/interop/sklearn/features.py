"""Random features of a network as a scikit-learn transformer."""

from typing import Any

import jax
import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from rfjax.interop.sklearn import settings
from rfjax.views import random_features


class RandomFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """The frozen hidden layers of a random network as features, [n, width + (b_std ≠ 0)]: `rf.random_features`.

    Their inner products approach the NNGP kernel as the width grows.

    Parameters: `width`; `depth` hidden layers; `activation`, a name in `rf.activations` or a member of it; `w_std`,
    `b_std` of all layers; `random_state`, an int for the same features each time.

    Attributes: `features_`, the rfjax feature map; `n_features_in_`, `feature_names_in_`.  Rahimi & Recht 2007.

    `fit` raises ValueError or TypeError for bad data or settings.
    """

    def __init__(
        self,
        width: int = 100,
        depth: int = 1,
        activation: Any = "relu",
        w_std: float = 2**0.5,
        b_std: float = 1.0,
        random_state: Any = None,
    ):
        self.width = width
        self.depth = depth
        self.activation = activation
        self.w_std = w_std
        self.b_std = b_std
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "RandomFeatures":
        """Draw the features for the columns of X [n, d]; its values do not matter."""
        X = validate_data(self, X, dtype=settings.FLOATS)
        net = settings.network(
            depth=self.depth, width=self.width, activation=self.activation, w_std=self.w_std, b_std=self.b_std
        )
        self.features_ = random_features(net, X.shape[1], key=settings.key(self.random_state))
        self._n_features_out = self.width + (self.b_std != 0)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The features of the rows of X [m, d]."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=settings.FLOATS, reset=False)
        return np.asarray(self.features_(X.astype(settings.computed_dtype(X))))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = [
            np.dtype(dtype).name for dtype in settings.FLOATS if jax.dtypes.canonicalize_dtype(dtype) == dtype
        ]
        return tags
