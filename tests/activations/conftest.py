"""The registry of activations that every test of their duals and coefficients runs over."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from rfjax import activations

WIDTH = 2.4020563531719796
FUNCTIONS: dict[str, tuple[activations.Nonlinearity, Callable[[np.ndarray], np.ndarray]]] = {
    "relu": (activations.relu, lambda x: np.maximum(x, 0)),
    "leaky_relu(0.1)": (activations.leaky_relu(0.1), lambda x: np.where(x < 0, 0.1 * x, x)),
    "abs": (activations.abs, np.abs),
    "identity": (activations.identity, lambda x: x),
    "step": (activations.step, lambda x: (x >= 0).astype(float)),
    "sign": (activations.sign, np.sign),
    "erf": (activations.erf, scipy.special.erf),
    "sigmoid_like": (activations.sigmoid_like, lambda x: scipy.special.erf(x / WIDTH) / 2 + 0.5),
    "tanh by quadrature": (activations.from_function(jnp.tanh), np.tanh),
    "gelu": (activations.gelu, lambda x: x * scipy.special.ndtr(x)),
    "sin": (activations.sin, np.sin),
    "cos": (activations.cos, np.cos),
    "rbf(0.3)": (activations.rbf(0.3), lambda x: np.sqrt(2) * np.sin(np.sqrt(0.6) * x + np.pi / 4)),
    "gaussian": (activations.gaussian, lambda x: np.exp(-(x**2))),
    "gabor": (activations.gabor, lambda x: np.exp(-(x**2)) * np.sin(x)),
    "exp(0.5)": (activations.exp(0.5), lambda x: np.exp(x / 2)),
    "monomial(2)": (activations.monomial(2), lambda x: x**2),
    "monomial(3)": (activations.monomial(3), lambda x: x**3),
    "rectified_monomial(2)": (activations.rectified_monomial(2), lambda x: np.maximum(x, 0) ** 2),
    "rectified_monomial(5)": (activations.rectified_monomial(5), lambda x: np.maximum(x, 0) ** 5),
    "polynomial": (activations.polynomial([0.3, 1, -0.5, 0.2]), lambda x: 0.3 + x - 0.5 * x**2 + 0.2 * x**3),
    "relu by quadrature": (activations.from_function(lambda x: jnp.maximum(x, 0)), lambda x: np.maximum(x, 0)),
    "hermite(2)": (activations.hermite(2), lambda x: (x**2 - 1) / np.sqrt(2)),
    "hermite(5)": (activations.hermite(5), lambda x: (x**5 - 10 * x**3 + 15 * x) / np.sqrt(120)),
}


@pytest.fixture(scope="session")
def functions():
    """Every activation beside the same function in NumPy, by name."""
    return FUNCTIONS


@pytest.fixture(params=FUNCTIONS)
def name(request):
    """Each name of `functions`."""
    return request.param
