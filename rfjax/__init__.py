"""rfjax: one network, five views.

Neural-tangent, NNGP and random-feature kernels, feature maps, kernel regression, exact population risks, and the
trained network beside them.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

from rfjax import activations, features, kernels, networks, numerics, risk, tasks
from rfjax.citing import cite
from rfjax.dynamics import GradientFlow, critical_learning_rate, ensemble, gradient_descent, gradient_flow
from rfjax.features import FeatureMap, approximate, approximation_error, features_needed, random_neurons
from rfjax.kernels import Kernel, angular, arc_cosine, exponential, laplace, matern, polynomial, rational_quadratic, rbf
from rfjax.networks import Activation, Dense, Dropout, Layer, LayerNorm, Parallel, Repeat, Residual, Serial, mlp, neuron
from rfjax.regression import classify, log_marginal_likelihood, posterior, ridge_path, ridge_regression, solvers, tune
from rfjax.risk import Risk, population_regression, population_risk
from rfjax.saving import load, save
from rfjax.training import Run, train
from rfjax.views import empirical_ntk, linearize, monte_carlo_kernel, nngp, ntk, random_features, tangent_features

if TYPE_CHECKING:
    from rfjax import diagnostics, theory

__version__ = _version("rfjax")

__all__ = [
    "Activation",
    "Dense",
    "Dropout",
    "FeatureMap",
    "GradientFlow",
    "Kernel",
    "Layer",
    "LayerNorm",
    "Parallel",
    "Repeat",
    "Residual",
    "Risk",
    "Run",
    "Serial",
    "activations",
    "angular",
    "approximate",
    "approximation_error",
    "arc_cosine",
    "cite",
    "classify",
    "critical_learning_rate",
    "diagnostics",
    "empirical_ntk",
    "ensemble",
    "exponential",
    "features",
    "features_needed",
    "gradient_descent",
    "gradient_flow",
    "kernels",
    "laplace",
    "linearize",
    "load",
    "log_marginal_likelihood",
    "matern",
    "mlp",
    "monte_carlo_kernel",
    "networks",
    "neuron",
    "nngp",
    "ntk",
    "numerics",
    "polynomial",
    "population_regression",
    "population_risk",
    "posterior",
    "random_features",
    "random_neurons",
    "rational_quadratic",
    "rbf",
    "ridge_path",
    "ridge_regression",
    "risk",
    "save",
    "solvers",
    "tangent_features",
    "tasks",
    "theory",
    "train",
    "tune",
]


if not TYPE_CHECKING:  # so that a type checker still says which names there are not

    def __getattr__(name: str) -> object:
        """Rooms that no other needs: imported on first use, for a quick `import rfjax`."""
        if name in ("diagnostics", "theory"):
            return _import_module(f"rfjax.{name}")
        raise AttributeError(f"module 'rfjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
