"""The model near its parameters: empirical NTK, tangent features and linearisation."""

from rfjax.tangent.kernel import EmpiricalNTK
from rfjax.tangent.models import Linearized, TangentFeatures

__all__ = ["EmpiricalNTK", "Linearized", "TangentFeatures"]
