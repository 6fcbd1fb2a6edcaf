"""The model near its parameters: empirical NTK, tangent features and Taylor polynomials."""

from rfjax.tangent.kernel import EmpiricalNTK
from rfjax.tangent.models import Linearized, TangentFeatures
from rfjax.tangent.monte_carlo import Estimate, MonteCarloKernel
from rfjax.tangent.projection import ProjectedTangentFeatures

__all__ = [
    "EmpiricalNTK",
    "Estimate",
    "Linearized",
    "MonteCarloKernel",
    "ProjectedTangentFeatures",
    "TangentFeatures",
]
