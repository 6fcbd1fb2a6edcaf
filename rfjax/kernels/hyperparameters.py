"""The settings of kernels, checked when a kernel is made; Python integers become floats, so that they differentiate."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax import checks

Scalar = Float[Array, ""] | float
Scales = Float[Array, ""] | Float[Array, " d"] | float


def real(name: str, **bounds: float) -> Callable[[Any], Any]:
    """A converter to a real number within `bounds`, those of `checks.number`."""
    return partial(_real, name, bounds)


def _real(name: str, bounds: dict[str, float], value: Any) -> Any:
    value = checks.number(name, value, **bounds)
    return float(value) if isinstance(value, int) else value


def scales(name: str) -> Callable[[Any], Any]:
    """A converter to a positive number, or to a vector [d] of them."""
    return partial(_scales, name)


def _scales(name: str, value: Any) -> Any:
    if not isinstance(value, (list, tuple, np.ndarray, jax.Array)) or np.ndim(value) == 0:
        return _real(name, {"above": 0.0}, value)
    if np.ndim(value) != 1 or np.size(value) == 0:
        raise ValueError(f"{name} must be a number or a vector [d], got shape {list(np.shape(value))}")
    if checks.is_traced(value):
        return value
    try:
        host = np.asarray(value)
        host = host if np.issubdtype(host.dtype, np.floating) else host.astype(float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must hold real numbers, got {value!r}") from error
    if not (np.isfinite(host) & (host > 0)).all():
        raise ValueError(f"{name} must hold finite numbers > 0, got {host.tolist()}")
    return jnp.asarray(host)


def like(value: Scalar, array: Float[Array, "..."]) -> Float[Array, ""]:
    """`value` in the dtype of `array`: the dtype of a kernel is that of its data."""
    return jnp.asarray(value, array.dtype)
