"""Training in function space under a fixed kernel: gradient flow, gradient descent, and infinite ensembles."""

from rfjax.dynamics.descent import GradientDescent, IteratedDescent, gradient_descent
from rfjax.dynamics.ensembles import Ensemble, ensemble
from rfjax.dynamics.flow import GradientFlow, gradient_flow
from rfjax.dynamics.krylov import KrylovFlow
from rfjax.dynamics.step_size import critical_learning_rate
from rfjax.dynamics.trajectory import StoppingPath, Trajectory

__all__ = [
    "Ensemble",
    "GradientDescent",
    "GradientFlow",
    "IteratedDescent",
    "KrylovFlow",
    "StoppingPath",
    "Trajectory",
    "critical_learning_rate",
    "ensemble",
    "gradient_descent",
    "gradient_flow",
]
