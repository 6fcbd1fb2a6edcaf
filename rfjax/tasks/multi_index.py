"""Functions of a few directions: polynomials and products of neurons, staircases and parities."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.activations import Nonlinearity, from_function
from rfjax.activations.base import graded_breaks, host_values
from rfjax.numerics import gaussian_quadrature, gram
from rfjax.tasks.base import Task

Factors = tuple[tuple[int, Nonlinearity], ...]


class MultiIndex(Task):
    """g(x) = Σ_t c_t Π_i σ_ti(⟨w_i, x⟩) with orthonormal w_i; made by `rf.tasks.multi_index`, `staircase` and `parity`.

    The z_i = ⟨w_i, x⟩ are independent, so that mean and variance are products of integrals in one variable.
    """

    directions: Float[Array, "k d"]
    coefficients: tuple[float, ...] = eqx.field(static=True)
    factors: tuple[Factors, ...] = eqx.field(static=True)

    @property
    def d(self) -> int:
        return self.directions.shape[1]

    def _target(self, X: Float[Array, "n d"]) -> Float[Array, " n"]:
        z = gram(X, self.directions.astype(X.dtype))
        total = jnp.zeros(X.shape[0], X.dtype)
        for coefficient, factors in zip(self.coefficients, self.factors, strict=True):
            term = jnp.full_like(total, coefficient)
            for i, function in factors:
                term = term * function(z[:, i])
            total = total + term
        return total

    @property
    def mean(self) -> float:
        return float(
            sum(
                c * math.prod(function.moments()[0] for _, function in factors)
                for c, factors in zip(self.coefficients, self.factors, strict=True)
            )
        )

    @property
    def variance(self) -> float:
        square = 0.0
        for (c, one), (b, two) in itertools.product(zip(self.coefficients, self.factors, strict=True), repeat=2):
            one_by_index, two_by_index = dict(one), dict(two)
            indices = one_by_index.keys() | two_by_index.keys()
            square += c * b * math.prod(_pair_mean(one_by_index.get(i), two_by_index.get(i)) for i in indices)
        return square - self.mean**2


def _pair_mean(one: Nonlinearity | None, two: Nonlinearity | None) -> float:
    """E σ(z)τ(z), z ~ N(0, 1); None stands for 1."""
    if one is None or two is None or one == two:
        present = one if one is not None else two
        assert present is not None
        return present.moments()[1 if one is not None and two is not None else 0]
    z, weights = gaussian_quadrature(breaks=graded_breaks(one.centres + two.centres, 1.0, 0.0))
    return float(weights @ (host_values(one, z) * host_values(two, z)))


def build(
    d: int, terms: Sequence[tuple[float, Mapping[int, Any]]], directions: Any = None, key: Any = None
) -> MultiIndex:
    """The task with checked terms; its directions given, drawn from `key`, or the first axes."""
    d = checks.count("d", d)
    coefficients, factors = [], []
    for term in terms:
        if not (isinstance(term, tuple) and len(term) == 2 and isinstance(term[1], Mapping)):
            raise TypeError(f"terms must be pairs (coefficient, {{index: activation}}), got {term!r}")
        coefficients.append(float(checks.number("terms", term[0])))
        indices = sorted(checks.count("terms", i, least=0) for i in term[1])
        factors.append(tuple((i, from_function(term[1][i])) for i in indices))
    if not coefficients:
        raise ValueError("terms must hold at least one, got none")
    count = max((i + 1 for f in factors for i, _ in f), default=1)
    if count > d:
        raise ValueError(f"terms must use at most d = {d} directions, got index {count - 1}")
    return MultiIndex(_orthonormal(d, count, directions, key), tuple(coefficients), tuple(factors))


def _orthonormal(d: int, count: int, directions: Any, key: Any) -> Float[Array, "k d"]:
    """The given directions where they are orthonormal, uniform ones from `key`, or the first axes."""
    if directions is not None and key is not None:
        raise ValueError("give directions= or key=, not both")
    if directions is not None:
        array = checks.floating("directions", directions)
        if array.ndim != 2 or array.shape[0] < count or array.shape[1] != d:
            raise ValueError(f"directions must have shape [{count}, {d}], got {list(array.shape)}")
        if not checks.is_traced(array):
            gap = np.abs(np.asarray(gram(array, array)) - np.eye(array.shape[0])).max()
            if not gap < 1e-4:
                raise ValueError(f"directions must be orthonormal rows, got an inner product off by {gap:.2g}")
        return array
    if key is not None:
        return jnp.linalg.qr(jax.random.normal(checks.prng_key("key", key), (d, count)))[0].T
    return jnp.eye(count, d)
