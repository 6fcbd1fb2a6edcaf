"""Estimators for scikit-learn: kernels of infinitely wide networks and random features, in pipelines and grid searches.

    from rfjax.interop.sklearn import KernelRidge, NTKClassifier, NTKRegressor, RandomFeatures

It needs scikit-learn: pip install 'rfjax[sklearn]'.
"""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("rfjax.interop.sklearn needs scikit-learn: pip install 'rfjax[sklearn]'") from error

from rfjax.interop.sklearn.classification import NTKClassifier
from rfjax.interop.sklearn.features import RandomFeatures
from rfjax.interop.sklearn.regression import KernelRidge, NTKRegressor

__all__ = ["KernelRidge", "NTKClassifier", "NTKRegressor", "RandomFeatures"]
