"""Step sizes at which gradient descent in function space is stable."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from rfjax import checks
from rfjax.dynamics.lanczos import largest_eigenvalue
from rfjax.dynamics.problem import as_kernel
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel


def critical_learning_rate(
    model: Kernel | FeatureMap,
    X: Float[Array, "n d"],
    *,
    momentum: Float[Array, ""] | float = 0.0,
    nesterov: bool = False,
) -> Float[Array, ""]:
    """The learning rate at and above which gradient descent on ½·mean‖f(x_i) − y_i‖² diverges.

        2(1 + β)·n/λ_max,   and with Nesterov's momentum 2(1 + β)/(1 + 2β)·n/λ_max

    λ_max is that of k(X) [n, n] by Lanczos' process, some ten products with k(X), which is never formed: any n that
    the time allows.  The process starts from a fixed random vector.  Infinite where k(X) = 0.

    It jits; it does not differentiate in reverse.  **Raises** TypeError or ValueError for bad data or settings.
    """
    kernel = as_kernel(model)
    X = checks.points("X", X, columns=model.in_dim if isinstance(model, FeatureMap) else None)
    momentum, nesterov = momentum_settings(momentum, nesterov)
    top = largest_eigenvalue(kernel, X)
    return critical(top, X.shape[0], momentum, nesterov)


@partial(jax.jit, static_argnames=("size", "nesterov"))
def critical(top: Float[Array, ""], size: int, momentum: ArrayLike, nesterov: bool) -> Float[Array, ""]:
    """The critical learning rate for the largest eigenvalue `top` of an n × n Gram matrix, `size` = n.

    A mode of η = learning rate·λ/n decays while the roots of z² − (1 + β − η)z + β (Nesterov: of
    z² − (1 + β)(1 − η)z + β(1 − η)) are within the unit circle: at the critical one, a root is −1.
    """
    beta = jnp.asarray(momentum, top.dtype)
    limit = 2 * (1 + beta) / (1 + 2 * beta) if nesterov else 2 * (1 + beta)
    return limit * size / jnp.maximum(top, 0)


def momentum_settings(momentum: Any, nesterov: Any) -> tuple[Any, bool]:
    """Both, checked: 0 <= momentum < 1."""
    momentum = checks.number("momentum", momentum, least=0.0, below=1.0)
    if not isinstance(nesterov, bool):
        raise TypeError(f"nesterov must be True or False, got {nesterov!r}")
    return momentum, nesterov


def require_stable(learning_rate: Any, limit: Float[Array, ""], throw: bool) -> None:
    """Raise ValueError, naming the critical learning rate, for one that diverges; tracers pass."""
    if not throw or checks.is_traced(learning_rate, limit) or bool(learning_rate < limit):
        return
    raise ValueError(
        f"learning_rate={float(learning_rate):g} diverges here: it must be below {float(limit):.6g}, the critical one "
        "(throw=False to follow the divergence)"
    )
