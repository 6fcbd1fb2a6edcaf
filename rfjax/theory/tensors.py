"""Hermite coefficients of functions of several directions, and how they spread over spherical harmonics."""

import math
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from rfjax.activations import Nonlinearity, Polynomial
from rfjax.tasks import MultiIndex

_ENTRIES = 2**18  # of a Hermite tensor, at most
_HIGHEST = 40  # degree, beyond which taking harmonics apart loses its digits


def tensor_degree(task: MultiIndex) -> int:
    """The total degree to which the Hermite tensor is affordable; that of the target itself, for a polynomial."""
    own = max(sum((_degree(f) for _, f in factors), 0.0) for factors in task.factors)
    return int(min(own, _affordable(task)))


def hermite_tensor(task: MultiIndex, degree: int) -> Float[np.ndarray, "..."]:
    """E g·Π_i h_{α_i}(z_i) for all α of total degree up to `degree`, an axis for each direction; 0 beyond.

    **Raises** ValueError for more entries than are affordable.
    """
    if degree > _affordable(task):
        raise ValueError(
            f"degree must be at most {_affordable(task)} for a target of {task.directions.shape[0]} directions, got {degree}"
        )
    axes = task.directions.shape[0]
    total = np.zeros((degree + 1,) * axes)
    constant = np.eye(1, degree + 1)[0]
    for coefficient, factors in zip(task.coefficients, task.factors, strict=True):
        own, product = dict(factors), np.array(coefficient)
        for i in range(axes):
            product = np.multiply.outer(product, own[i].hermite_coefficients(degree) if i in own else constant)
        total = total + product
    return np.where(_total_degree(total.shape) <= degree, total, 0.0)


def multi_index_energies(task: MultiIndex, degree: int) -> Float[np.ndarray, " m"]:
    """The energy of the task in each spherical degree, from its Hermite tensor of total degree up to `degree`."""
    return _cached(task.coefficients, task.factors, task.directions.shape[0], task.d, degree)


@lru_cache(maxsize=64)
def _cached(coefficients: Any, factors: Any, axes: int, d: int, degree: int) -> Float[np.ndarray, " m"]:
    energy = harmonic_energies(hermite_tensor(MultiIndex(jnp.eye(axes), coefficients, factors), degree), d)
    energy.flags.writeable = False
    return energy


def harmonic_energies(tensor: Float[np.ndarray, "..."], d: int) -> Float[np.ndarray, " m"]:
    """The energy in spherical degrees m = 0…degree of Σ_α tensor_α Π_i h_{α_i}(z_i) in d dimensions.

    The terms of one degree k are to harmonics as the polynomial p_k = Σ tensor_α z^α/√α! is to |z|^{2j}u, u harmonic of
    degree m = k − 2j, in Fischer's inner product, where the Laplacian is the adjoint of |z|².  Hence with E_m the energies

        ‖Δ^i p_k‖² = Σ_{j >= i} E_{k−2j} Π_{l<i} 2(j−l)(2(j−l) + 2m + d − 2)

    which is solved from i = k/2 down.
    """
    degrees, energy = _total_degree(tensor.shape), np.zeros(tensor.shape[0])
    norms, current = [], tensor
    for _ in range(tensor.shape[0] // 2 + 1):
        norms.append(np.bincount(degrees.ravel(), (current**2).ravel(), minlength=tensor.shape[0] + 1))
        current = _laplacian(current)
    for k in range(tensor.shape[0]):
        found: dict[int, float] = {}
        for i in range(k // 2, -1, -1):
            rest = norms[i][k - 2 * i] - sum(value * _factor(j, i, k, d) for j, value in found.items())
            factor = _factor(i, i, k, d)
            found[i] = max(rest / factor, 0.0) if factor > 0 else 0.0
        for j, value in found.items():
            energy[k - 2 * j] += value
    return energy


def _laplacian(tensor: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Δ of Σ tensor_α z^α/√α!."""
    total = np.zeros_like(tensor)
    for axis, size in enumerate(tensor.shape):
        n = np.arange(2, size)
        moved = np.moveaxis(tensor, axis, -1)[..., 2:] * np.sqrt(n * (n - 1.0))
        total += np.moveaxis(np.pad(moved, [(0, 0)] * (tensor.ndim - 1) + [(0, min(2, size))]), -1, axis)
    return total


def _factor(j: int, i: int, k: int, d: int) -> float:
    m = k - 2 * j
    return math.prod(2.0 * (j - step) * (2 * (j - step) + 2 * m + d - 2) for step in range(i))


def _total_degree(shape: tuple[int, ...]) -> Int[np.ndarray, "..."]:
    return np.indices(shape).sum(axis=0)


def _affordable(task: MultiIndex) -> int:
    axes = task.directions.shape[0]
    return min(_HIGHEST, int(_ENTRIES ** (1 / axes) + 1e-9) - 1)


def _degree(function: Nonlinearity) -> float:
    """The degree of a factor that is a polynomial; inf otherwise."""
    if isinstance(function, Polynomial):
        return max((n for n, c in enumerate(function.coefficients) if c != 0), default=0)
    slopes = function.relu_slopes
    return 1 if slopes is not None and slopes[0] == -slopes[1] else math.inf
