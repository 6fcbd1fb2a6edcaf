"""Features of the exponential kernel exp(scale·⟨x, y⟩) that are positive, and of power series in ⟨x, y⟩."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rfjax import checks
from rfjax.features.base import FeatureMap
from rfjax.features.laws import DRAWS, draw_weights
from rfjax.kernels import Exponential, Polynomial
from rfjax.kernels.hyperparameters import Scalar
from rfjax.numerics import gram

_POWERS = 24  # of ⟨x, y⟩ in the exponential


class Positive(FeatureMap):
    """φ(x) = e^{−‖z‖²/2}·(e^{⟨w, z⟩}, e^{−⟨w, z⟩})/√p, z = √scale·x, w ~ N(0, I).  Prefer `rf.features.positive`."""

    approximates: Exponential
    weight: Float[Array, "r d"]

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        z = jnp.sqrt(jnp.asarray(self.approximates.scale, X.dtype)) * X
        projected, half = gram(z, self.weight.astype(X.dtype)), jnp.sum(z**2, axis=1, keepdims=True) / 2
        return jnp.exp(jnp.concatenate([projected, -projected], axis=1) - half) / (2 * self.weight.shape[0]) ** 0.5

    @property
    def in_dim(self) -> int:
        return self.weight.shape[1]


def positive(
    kernel: Exponential, in_dim: int, features: int, *, key: PRNGKeyArray, draw: str = "orthogonal"
) -> Positive:
    """`features` positive columns for exp(scale·⟨x, y⟩): no entry of φ(x)·φ(y) is negative, and small ones err little.

    Unbiased.  The variance of an entry is k(x, y)²·(cosh(scale·‖x + y‖²) − 1)/(p/2) with independent weights, less by
    the other `draw`s of `rf.random_neurons`: it falls with the entry, where that of trigonometric features does not.

    Choromanski et al. 2021, *Rethinking attention with performers* (FAVOR+, its hyperbolic form).

    **Raises** TypeError for another kernel; ValueError or TypeError for sizes below 1, odd `features`, an unknown
    draw or a bad key.
    """
    checks.choice("draw", draw, DRAWS)
    if not isinstance(kernel, Exponential):
        raise TypeError(f"positive is for rf.exponential, got {type(kernel).__name__}")
    in_dim, features = checks.count("in_dim", in_dim), checks.count("features", features)
    if features % 2:
        raise ValueError(f"features must be even, as they come in pairs ±w, got {features}")
    key = checks.prng_key("key", key)
    weight = draw_weights("gaussian", key, features // 2, in_dim, draw)
    return Positive(kernel, weight * in_dim**0.5)


class Maclaurin(FeatureMap):
    """φ_i(x) = √(coefficient_i/p)·Π_{j <= degree_i} ⟨w_ij, x⟩ with signs w.  Prefer `rf.features.maclaurin`."""

    approximates: Polynomial | Exponential
    weight: Float[Array, "k p d"]
    used: Bool[Array, "k p"]
    coefficient: Float[Array, " p"]

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        powers = jnp.ones((X.shape[0], self.coefficient.shape[0]), X.dtype)
        for weight, used in zip(self.weight, self.used, strict=True):
            powers = powers * jnp.where(used, gram(X, weight.astype(X.dtype)), 1)
        return powers * jnp.sqrt(self.coefficient.astype(X.dtype))

    @property
    def in_dim(self) -> int:
        return self.weight.shape[2]


def maclaurin(kernel: Polynomial | Exponential, in_dim: int, features: int, *, key: PRNGKeyArray) -> Maclaurin:
    """Random Maclaurin features of a power series Σ_k c_k⟨x, y⟩^k: column i stands for a power k_i drawn with P(k).

        φ_i(x) = √(c_k/(P(k)·p))·Π_{j <= k} ⟨w_j, x⟩,   w_j ∈ {±1}^d;   P(k) ∝ c_k,  where ⟨x, y⟩ is about 1

    Unbiased for the polynomial kernel; for the exponential one up to powers beyond 24.  Of high variance where powers
    beyond the second count: `tensor_sketch` and `positive` err less.  Kar & Karnick 2012.

    **Raises** TypeError for other kernels; ValueError or TypeError for sizes below 1 or a bad key.
    """
    in_dim, features = checks.count("in_dim", in_dim), checks.count("features", features)
    degree_key, sign_key = jax.random.split(checks.prng_key("key", key))
    c = _coefficients(kernel)
    law = c / c.sum()
    degrees = jax.random.choice(degree_key, len(c), (features,), p=jnp.asarray(law))
    used = jnp.arange(len(c) - 1)[:, None] < degrees
    weight = jax.random.rademacher(sign_key, (len(c) - 1, features, in_dim), float)
    share = np.divide(c, law, out=np.zeros_like(c), where=law > 0)
    return Maclaurin(kernel, weight, used, jnp.asarray(share, float)[degrees] / features)


def _coefficients(kernel: Polynomial | Exponential) -> Float[np.ndarray, " k"]:
    """c_k of Σ_k c_k⟨x, y⟩^k."""
    match kernel:
        case Polynomial(degree=degree, scale=scale, offset=offset):
            a, b = _known(scale), _known(offset)
            return np.array([math.comb(degree, k) * a**k * b ** (degree - k) for k in range(degree + 1)])
        case Exponential(scale=scale):
            a = _known(scale)
            return np.array([a**k / math.factorial(k) for k in range(_POWERS + 1)])
    raise TypeError(f"maclaurin is for rf.polynomial and rf.exponential, got {type(kernel).__name__}")


def _known(value: Scalar) -> float:
    if checks.is_traced(value):
        raise TypeError(
            "the hyperparameters of the kernel must be known numbers, not tracers: make features outside jit"
        )
    return float(value)
