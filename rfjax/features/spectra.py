"""Spectral laws of the stationary kernels: k(x, y) = k(0)·E cos⟨w, (x − y)/ℓ⟩ (Bochner's theorem).

Each is a Gaussian of random width, w = √τ·z with z ~ N(0, I): only the law of τ > 0 differs.

    rbf                 τ = 1
    Matérn of ν         τ = ν/g,  g ~ Gamma(ν):  w is multivariate t of 2ν degrees of freedom (Laplace: Cauchy)
    rational quadratic  τ = g/α,  g ~ Gamma(α)

Rasmussen & Williams 2006, §4.2.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.kernels import RBF, Kernel, Matern, RationalQuadratic, Restrict, Scaled
from rfjax.kernels.hyperparameters import Scales


class Mixing(eqx.Module):
    """The law of τ: `shape` of the Gamma law, None where τ = 1; `inverse` where τ falls with g."""

    shape: Float[Array, ""] | float | None = None
    inverse: bool = eqx.field(static=True, default=False)

    def draw(self, key: PRNGKeyArray, count: int) -> Float[Array, " count"] | None:
        """`count` values of √τ; None where all are 1."""
        if self.shape is None:
            return None
        g = jax.random.gamma(key, self.shape, (count,)) / self.shape
        return jnp.sqrt(1 / g if self.inverse else g)

    def quantile(self, u: Float[np.ndarray, " count"]) -> Float[np.ndarray, " count"]:
        """√τ at the quantiles u of g, on the host."""
        shape = float(self.shape)  # type: ignore[arg-type]
        g = scipy.special.gammaincinv(shape, u) / shape
        return np.sqrt(1 / g if self.inverse else g)


class Spectrum(NamedTuple):
    """What a kernel is made of: its value k(0), its length scales, the law of its widths, and the columns it sees."""

    height: Float[Array, ""] | float
    length_scale: Scales
    mixing: Mixing
    columns: tuple[int, ...] | None = None

    def scaled(self, X: Float[Array, "n d"]) -> Float[Array, "n c"]:
        """The columns of X that the kernel sees, in length scales."""
        kept = X if self.columns is None else X[:, np.array(self.columns)]
        return kept / jnp.asarray(self.length_scale, X.dtype)


def spectrum(kernel: Any) -> Spectrum:
    """The spectral law of a kernel: rbf, Laplace, Matérn or rational quadratic, scaled, and on columns of its own.

    **Raises** TypeError for any other, naming these.
    """
    match kernel:
        case RBF():
            return Spectrum(1.0, kernel.length_scale, Mixing())
        case Matern():
            return Spectrum(1.0, kernel.length_scale, Mixing(kernel.nu, inverse=True))
        case RationalQuadratic():
            return Spectrum(1.0, kernel.length_scale, Mixing(kernel.alpha))
        case Scaled():
            inner = spectrum(kernel.kernel)
            return inner._replace(height=kernel.factor * inner.height)
        case Restrict():
            inner = spectrum(kernel.kernel)
            columns = kernel.columns if inner.columns is None else tuple(kernel.columns[c] for c in inner.columns)
            return inner._replace(columns=columns)
    what = (
        f"{type(kernel).__name__}, which is not stationary or has no known law"
        if isinstance(kernel, Kernel)
        else (f"{type(kernel).__name__}")
    )
    raise TypeError(
        "kernel must be rbf, laplace, matern or rational_quadratic, also scaled (2.0 * k) or on some columns (k.on), for "
        f"Fourier features; got a {what}"
    )


def columns_of(kernel: Spectrum, in_dim: int) -> int:
    """How many columns of the `in_dim` the kernel sees.  Raises ValueError where its own do not fit."""
    checks.count("in_dim", in_dim)
    if kernel.columns is not None and max(kernel.columns) >= in_dim:
        raise ValueError(f"in_dim must be above the kernel's columns {list(kernel.columns)}, got {in_dim}")
    seen = in_dim if kernel.columns is None else len(kernel.columns)
    if jnp.ndim(kernel.length_scale) == 1 and jnp.shape(kernel.length_scale)[0] != seen:
        raise ValueError(
            f"length_scale must have one entry a column: got {jnp.shape(kernel.length_scale)[0]} for {seen} columns"
        )
    return seen
