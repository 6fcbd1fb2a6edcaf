"""Feature maps: `phi(X)` is [n, p], `phi.kernel` the kernel φ(x)·φ(y)."""

from rfjax.features.approximate import approximate
from rfjax.features.base import FeatureKernel, FeatureMap
from rfjax.features.combined import Concatenated, OnColumns
from rfjax.features.fourier import Fourier, fourier
from rfjax.features.gegenbauer import Gegenbauer, gegenbauer
from rfjax.features.inner_product import Maclaurin, Positive, maclaurin, positive
from rfjax.features.judge import ApproximationError, FeaturesNeeded, approximation_error, features_needed
from rfjax.features.laws import Constant, Law, Normal, Uniform, Zero
from rfjax.features.neurons import NetworkFeatures, Neurons, arc_cosine_neurons, network_neurons, random_neurons
from rfjax.features.nystrom import Nystrom, nystrom
from rfjax.features.tensor_sketch import ProductFeatures, TensorSketch, tensor_sketch

__all__ = [
    "ApproximationError",
    "Concatenated",
    "Constant",
    "FeatureKernel",
    "FeatureMap",
    "FeaturesNeeded",
    "Fourier",
    "Gegenbauer",
    "Law",
    "Maclaurin",
    "NetworkFeatures",
    "Neurons",
    "Normal",
    "Nystrom",
    "OnColumns",
    "Positive",
    "ProductFeatures",
    "TensorSketch",
    "Uniform",
    "Zero",
    "approximate",
    "approximation_error",
    "arc_cosine_neurons",
    "features_needed",
    "fourier",
    "gegenbauer",
    "maclaurin",
    "network_neurons",
    "nystrom",
    "positive",
    "random_neurons",
    "tensor_sketch",
]
