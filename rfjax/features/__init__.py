"""Feature maps: `phi(X)` is [n, p], `phi.kernel` the kernel φ(x)·φ(y)."""

from rfjax.features.base import FeatureKernel, FeatureMap
from rfjax.features.fourier import Fourier, fourier
from rfjax.features.laws import Constant, Law, Normal, Uniform, Zero
from rfjax.features.neurons import NetworkFeatures, Neurons, network_neurons, random_neurons

__all__ = [
    "Constant",
    "FeatureKernel",
    "FeatureMap",
    "Fourier",
    "Law",
    "NetworkFeatures",
    "Neurons",
    "Normal",
    "Uniform",
    "Zero",
    "fourier",
    "network_neurons",
    "random_neurons",
]
