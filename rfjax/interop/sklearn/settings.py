"""What the estimators share: their settings as rfjax's own parts, and data as arrays that it takes."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray
from sklearn.utils import check_random_state

from rfjax import activations, checks
from rfjax.activations import Nonlinearity
from rfjax.kernels import Kernel, angular, laplace, matern, polynomial, rational_quadratic, rbf
from rfjax.networks import Serial, mlp
from rfjax.views import nngp, ntk

FLOATS = (np.float64, np.float32)
ACTIVATIONS = {
    name: getattr(activations, name)
    for name in activations.__all__
    if isinstance(getattr(activations, name), Nonlinearity)
}
KERNELS: dict[str, Callable[[], Kernel]] = {
    "angular": angular,
    "laplace": laplace,
    "matern": lambda: matern(1.5),
    "nngp": lambda: nngp(mlp(depth=2, width=1, b_std=1.0)),
    "ntk": lambda: ntk(mlp(depth=2, width=1, b_std=1.0)),
    "polynomial": lambda: polynomial(3),
    "rational_quadratic": rational_quadratic,
    "rbf": rbf,
}


def network(*, depth: Any, width: Any, activation: Any, w_std: Any, b_std: Any) -> Serial:
    """The multilayer perceptron of these settings, its activation by name or as rfjax has it.

    **Raises** TypeError or ValueError for settings that are out of range, or an unknown name.
    """
    if isinstance(activation, str):
        activation = ACTIVATIONS[checks.choice("activation", activation, ACTIVATIONS)]
    return mlp(depth=depth, width=width, activation=activation, w_std=w_std, b_std=b_std)


def kernel(value: Any) -> Kernel:
    """A kernel, or the one of this name.  Raises ValueError for an unknown name, TypeError for what is neither."""
    if isinstance(value, str):
        return KERNELS[checks.choice("kernel", value, KERNELS)]()
    if not isinstance(value, Kernel):
        raise TypeError(f"kernel must be an rfjax kernel or a name, got {type(value).__name__}")
    return value


def key(random_state: Any) -> PRNGKeyArray:
    """A random key from scikit-learn's seed, generator or None."""
    return jax.random.key(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def computed_dtype(X: np.ndarray) -> np.dtype:
    """The precision in which JAX computes X: float64 is float32 unless jax_enable_x64 is set."""
    return np.dtype(jax.dtypes.canonicalize_dtype(X.dtype))
