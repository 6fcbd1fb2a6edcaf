"""What is trained: the kernel, the points, and the residual y − start(X) that is to vanish."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rfjax import checks
from rfjax.kernels import Kernel
from rfjax.numerics import matmul
from rfjax.regression import Start, as_start, start_values
from rfjax.regression.gram import as_kernel, as_points, check_spectrum, square_gram

Problem = tuple[Kernel, Float[Array, "n d"], Float[Array, "n ..."], Start | None]


def prepare(model: Any, X: Any, y: Any, start: Any) -> Problem:
    """(kernel, X, y − start(X), start), checked."""
    kernel, X = as_kernel(model), as_points(model, X)
    y = checks.targets("y", y, rows=X.shape[0])
    start = as_start(start)
    return kernel, X, y if start is None else y - start_values(start, X, y.shape), start


def spectrum(kernel: Kernel, X: Float[Array, "n d"]) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
    """Eigenvalues of k(X), ascending, and its eigenvectors.

    **Raises** ValueError for several rows a point, or a kernel that is not positive semi-definite, with its eigenvalue.
    """
    eigenvalues, eigenvectors = jnp.linalg.eigh(square_gram(kernel, X))
    check_spectrum(eigenvalues)
    return eigenvalues, eigenvectors


@jax.jit
def project(eigenvectors: Float[Array, "n n"], residual: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """Vᵀ(y − start(X))."""
    return matmul(eigenvectors.T, residual.astype(eigenvectors.dtype))


def alive(eigenvalues: Float[Array, " r"]) -> Bool[Array, " r"]:
    """Which eigenvalues of an r × r matrix are not zero to working precision: λ > eps·r·λ_max."""
    floor = jnp.finfo(eigenvalues.dtype).eps * eigenvalues.shape[0] * jnp.max(jnp.abs(eigenvalues))
    return eigenvalues > floor


@partial(jax.jit, static_argnames="size")
def flow_gains(eigenvalues: Float[Array, " r"], times: Float[Array, " T"], size: int) -> Float[Array, "T r"]:
    """(1 − e^{−λt/n})/λ with n = `size`, and 0 for eigenvalues that are zero to working precision."""
    moving = alive(eigenvalues)
    safe = jnp.where(moving, eigenvalues, 1)
    return jnp.where(moving, -jnp.expm1(-safe * (times[:, None] / size)) / safe, 0)


@jax.jit
def combine(
    cross: Float[Array, "m n"],
    eigenvectors: Float[Array, "n n"],
    gains: Float[Array, "T n"],
    projections: Float[Array, "n ..."],
) -> Float[Array, "T m ..."]:
    """cross·V·diag(gain)·projections for each of the gains."""
    turned = matmul(cross, eigenvectors)

    def one(gain: Float[Array, " n"]) -> Float[Array, "m ..."]:
        return matmul(turned, gain.reshape(-1, *[1] * (projections.ndim - 1)) * projections)

    return jax.vmap(one)(gains)
