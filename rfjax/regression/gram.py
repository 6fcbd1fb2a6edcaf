"""Gram matrices that regression can use: a row a point, positive semi-definite, factored once noise is added."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel

Noise = Float[Array, ""] | Float[Array, " n"] | float


def as_kernel(model: Any, name: str = "model") -> Kernel:
    """The kernel of a model.  Raises TypeError, naming the argument, unless it is a kernel or a feature map."""
    if not isinstance(model, (Kernel, FeatureMap)):
        raise TypeError(f"{name} must be a kernel or a feature map, got {type(model).__name__}")
    return model.kernel if isinstance(model, FeatureMap) else model


def as_points(model: Any, X: Any) -> Float[Array, "n d"]:
    """Data points for `model`.  Raises TypeError or ValueError for bad ones, TypeError for what is no model."""
    as_kernel(model)
    return checks.points("X", X, columns=model.in_dim if isinstance(model, FeatureMap) else None)


def as_noise(noise: Any, points: Float[Array, "n d"], *, above: float = -np.inf) -> Float[Array, "..."]:
    """Noise variances, one for all points or [n], in the dtype of the points.

    **Raises** TypeError or ValueError unless they are finite, >= 0 and > `above`.
    """
    if np.ndim(noise) == 0:
        return jnp.asarray(checks.number("noise", noise, above=above, least=0.0), points.dtype)
    noise = checks.targets("noise", noise, rows=points.shape[0])
    if noise.ndim != 1:
        raise ValueError(f"noise must be a number or have shape [n], got {list(noise.shape)}")
    if not checks.is_traced(noise):
        checks.number("noise", float(noise.min()), above=above, least=0.0)
    return noise.astype(points.dtype)


def square_gram(kernel: Kernel, X: Float[Array, "n d"]) -> Float[Array, "n n"]:
    """k(X).  Raises ValueError where a point has several rows, one for each output of a network."""
    K = kernel(X)
    if K.shape[0] != X.shape[0]:
        raise ValueError(
            f"the kernel's Gram matrix has {K.shape[0]} rows for {X.shape[0]} points: regression needs one output a "
            "point (empirical_ntk with outputs='mean')"
        )
    return K


def factor(
    K: Float[Array, "n n"], noise: Float[Array, "..."], *, throw: bool
) -> tuple[Float[Array, "n n"], Bool[Array, ""]]:
    """The lower Cholesky factor L of K + diag(noise), and whether there is one.

    **Raises** ValueError when there is none: it names the negative eigenvalue of K, or a noise that works.  Under
    tracing the error comes at run time.  With throw=False L is NaN and ok False.
    """
    L, ok = _factor(K, noise)
    if not throw:
        return L, ok
    if checks.is_traced(ok):
        message = (
            "the Gram matrix plus noise is not positive definite: more noise is needed (eager calls name how much)"
        )
        return eqx.error_if(L, ~ok, message), ok
    if not ok:
        raise ValueError(_advice(K, noise))
    return L, ok


@jax.jit
def _factor(K: Float[Array, "n n"], noise: Float[Array, "..."]) -> tuple[Float[Array, "n n"], Bool[Array, ""]]:
    place = jnp.arange(K.shape[0])
    L = jnp.linalg.cholesky(K.at[place, place].add(noise))
    return L, jnp.isfinite(L).all()


def _advice(K: Float[Array, "n n"], noise: Float[Array, "..."]) -> str:
    eigenvalues = jnp.linalg.eigvalsh(K)
    check_spectrum(eigenvalues)
    smallest, largest = float(eigenvalues[0]), float(jnp.abs(eigenvalues).max())
    trial = max(float(noise.min()), 0.1 * float(jnp.finfo(K.dtype).eps) * largest)
    works = False
    while not works and trial < 1e3 * largest:
        trial = float(f"{10 * trial:.0e}")
        works = bool(_factor(K, jnp.maximum(noise, jnp.asarray(trial, K.dtype)))[1])
    return (
        f"the {K.shape[0]} x {K.shape[0]} Gram matrix plus noise={float(noise.min()):g} is not positive definite in "
        f"{K.dtype} (its smallest eigenvalue is {smallest:.2g}, its largest {largest:.2g}; duplicate points?): "
        f"noise={trial or 1.0:g} works"
    )


def rounding(
    eigenvalues: Float[Array, " r"], scale: Float[Array, ""] | None = None, *, size: int | None = None
) -> Float[Array, ""]:
    """How far below zero the computed eigenvalues of a positive semi-definite matrix may be, `size` = n of them.

    max(n, 100)·eps·scale, the largest |λ| by default: the rounding errors of a kernel's entries and of the eigenvalues.
    """
    units = max(size or eigenvalues.shape[0], 100) * jnp.finfo(eigenvalues.dtype).eps
    return units * (jnp.max(jnp.abs(eigenvalues)) if scale is None else scale)


def check_spectrum(
    eigenvalues: Float[Array, " r"], scale: Float[Array, ""] | None = None, *, size: int | None = None
) -> None:
    """Nothing for the ascending eigenvalues [n] of a positive semi-definite matrix; traced ones pass unchecked.

    With `size` = n they may be Ritz values [r]: the smallest eigenvalue is that small, or smaller.

    **Raises** ValueError that names the smallest where it is below zero by more than `rounding`.
    """
    if checks.is_traced(eigenvalues):
        return
    n = eigenvalues.shape[0] if size is None else size
    if bool(eigenvalues[0] < -rounding(eigenvalues, scale, size=n)):
        has = "has the eigenvalue" if size is None else "has an eigenvalue at or below"
        raise ValueError(
            f"the kernel is not positive semi-definite at these points: the {n} x {n} matrix {has} "
            f"{float(eigenvalues[0]):.6g} (the largest is {float(eigenvalues[-1]):.6g})"
        )
