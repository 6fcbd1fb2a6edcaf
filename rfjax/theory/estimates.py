"""Energies by degree from data: unbiased, with standard errors."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.numerics import gram
from rfjax.theory.harmonics import multiplicities

_ROWS = 256  # of the matrix of pairs, at a time


@dataclass(frozen=True, eq=False)
class EnergyEstimates:
    """Estimates of the energy in each degree 0…degree, and their standard errors; made by `estimate_energies`."""

    basis: str
    """"hermite" or "spherical"."""
    energy: Float[np.ndarray, " k"]
    """Unbiased: it may be negative where the energy is small."""
    stderr: Float[np.ndarray, " k"]
    """Standard errors: the jackknife's, or those of independent pairs where these are larger, as where an energy is 0."""
    second_moment: float
    """The mean of y²."""


def estimate_energies(
    X: Float[Array, "n d"], y: Float[Array, " n"], degree: int, *, basis: str = "hermite"
) -> EnergyEstimates:
    """How much energy a target has in each degree, from samples (x_i, y_i) of it, with independent noise or without.

        E_k ≈ Σ_{i≠j} y_i y_j K_k(x_i, x_j) / (n(n−1))

    "hermite", for x ~ N(0, I_d): K_k = Σ_{|α|=k} h_α(x)h_α(y), the coefficients in ρ of Mehler's kernel, by

        (k+1)K_{k+1} = s(K_k + K_{k−2}) + (d − ‖x‖² − ‖y‖²)K_{k−1} + 2(k−1)K_{k−1} − (d + k − 3)K_{k−3},   s = ⟨x, y⟩

    "spherical", for directions x/‖x‖ that are uniform: K_m = N(d, m)P_m(cos θ); on a sphere E_m is all the energy of
    degree m, elsewhere that of the average over lengths.

    The standard error grows like √(2N)/n·E y², N the number of functions of the degree: n >> √N samples show a degree.

    **Raises** TypeError or ValueError for bad data, fewer than three points, a negative degree, or an unknown basis.
    """
    X = checks.points("X", X)
    y = checks.targets("y", y, rows=X.shape[0])
    basis, degree = checks.choice("basis", basis, ("hermite", "spherical")), checks.count("degree", degree, least=0)
    if y.ndim != 1:
        raise ValueError(f"y must have shape [n], got {list(y.shape)}")
    n = X.shape[0]
    if n < 3:
        raise ValueError(f"X must have at least three rows, got {n}")
    sums = _row_sums(X, y.astype(X.dtype), degree, basis)
    rows, squares = (np.asarray(part, dtype=np.float64) for part in sums)
    total = rows.sum(axis=1)
    without = (total[:, None] - 2 * rows) / ((n - 1) * (n - 2))
    spread = without - without.mean(axis=1, keepdims=True)
    jackknife, pairs = (n - 1) / n * (spread**2).sum(axis=1), 2 * squares.sum(axis=1) / (n * (n - 1)) ** 2
    square = float(np.mean(np.asarray(y, dtype=np.float64) ** 2))
    return EnergyEstimates(basis, total / (n * (n - 1)), np.sqrt(np.maximum(jackknife, pairs)), square)


@partial(jax.jit, static_argnames=("degree", "basis"))
def _row_sums(
    X: Float[Array, "n d"], y: Float[Array, " n"], degree: int, basis: str
) -> tuple[Float[Array, "k n"], Float[Array, "k n"]]:
    """Σ_{j≠i} y_i y_j K_k(x_i, x_j) for every k and i, and the same of squares."""
    n, d = X.shape
    if basis == "spherical":
        X = X / jnp.linalg.norm(X, axis=1, keepdims=True)
    blocks = -(-n // _ROWS)
    index = jnp.minimum(jnp.arange(blocks * _ROWS), n - 1).reshape(blocks, _ROWS)

    def block(rows: Array) -> tuple[Array, Array]:
        one, s = X[rows], gram(X[rows], X)
        weight = jnp.where(rows[:, None] != jnp.arange(n), y[rows][:, None] * y, 0)
        size = jnp.sum(one**2, axis=1)[:, None] + jnp.sum(X**2, axis=1)
        kernels = _mehler(degree, s, size, d) if basis == "hermite" else _gegenbauer(degree, s, d)
        terms = [weight * kernel for kernel in kernels]
        return jnp.stack([t.sum(axis=1) for t in terms]), jnp.stack([(t**2).sum(axis=1) for t in terms])

    sums, squares = lax.map(block, index)

    def by_degree(values: Array) -> Array:
        return jnp.moveaxis(values, 0, 1).reshape(degree + 1, -1)[:, :n]

    return by_degree(sums), by_degree(squares)


def _mehler(degree: int, s: Float[Array, "r n"], size: Float[Array, "r n"], d: int) -> list[Float[Array, "r n"]]:
    """K_0…K_degree, size = ‖x‖² + ‖y‖²."""
    zero = jnp.zeros_like(s)
    K = [zero, zero, zero, jnp.ones_like(s)]  # K_{−3}…K_0
    for k in range(degree):
        K.append((s * (K[-1] + K[-3]) + (d - size + 2 * (k - 1)) * K[-2] - (d + k - 3) * K[-4]) / (k + 1))
    return K[3:]


def _gegenbauer(degree: int, t: Float[Array, "r n"], d: int) -> list[Float[Array, "r n"]]:
    """N(d, m)P_m(t), m = 0…degree."""
    P = [jnp.ones_like(t), t]
    for m in range(1, degree):
        P.append(((2 * m + d - 2) * t * P[-1] - m * P[-2]) / (m + d - 2))
    counts = multiplicities(d, degree)[0]
    return [count * p for count, p in zip(counts.tolist(), P[: degree + 1], strict=True)]
