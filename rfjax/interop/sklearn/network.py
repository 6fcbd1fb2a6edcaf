"""The parameters that estimators of an infinitely wide network share."""

from typing import Any

from sklearn.base import BaseEstimator

from rfjax.interop.sklearn import settings
from rfjax.kernels import Kernel
from rfjax.views import ntk


class NetworkEstimator(BaseEstimator):
    """An estimator whose kernel is the NTK of a multilayer perceptron; `NTKRegressor` says what its parameters are."""

    def __init__(
        self,
        depth: int = 2,
        activation: Any = "relu",
        w_std: float = 2**0.5,
        b_std: float = 1.0,
        ridge: float = 1.0,
        solver: str = "auto",
        random_state: Any = None,
    ):
        self.depth = depth
        self.activation = activation
        self.w_std = w_std
        self.b_std = b_std
        self.ridge = ridge
        self.solver = solver
        self.random_state = random_state

    def _ntk(self) -> Kernel:
        """The kernel of these parameters.  Raises TypeError or ValueError for those that are out of range."""
        net = settings.network(
            depth=self.depth, width=1, activation=self.activation, w_std=self.w_std, b_std=self.b_std
        )
        return ntk(net)
