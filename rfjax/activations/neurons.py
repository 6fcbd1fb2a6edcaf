"""Moments of whole neurons: E σ(⟨w, x⟩ + b) and E σ(⟨w, x⟩ + b)τ(⟨v, x⟩ + c) over x ~ N(0, I), for (leaky) ReLUs."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from rfjax.activations.base import Nonlinearity
from rfjax.numerics import Covariance, gram, normal_cdf, normal_pdf, relu_mean, relu_pair_moment, safe_divide, safe_sqrt

_AT_ONCE = 2**20  # pairs: each holds tens of numbers on its way


def pair_moments(
    W: Float[Array, "r d"],
    b: Float[Array, " r"] | None,
    sigma: Nonlinearity,
    V: Float[Array, "s d"],
    c: Float[Array, " s"] | None,
    tau: Nonlinearity,
) -> Float[Array, "r s"]:
    """E σ(⟨w_i, x⟩ + b_i)·τ(⟨v_j, x⟩ + c_j) over x ~ N(0, I), for leaky ReLUs σ and τ; no bias at all is cheaper.

    A leaky ReLU is (z)₊ − slope·(−z)₊, and each product of two such parts has the moment of THEORY's section 3.
    Many are taken some rows at a time.
    """
    rows = max(1, _AT_ONCE // V.shape[0])
    if W.shape[0] > rows:

        def row(neuron: tuple[Float[Array, " d"], Float[Array, ""] | None]) -> Float[Array, " s"]:
            w, own = neuron
            return pair_moments(w[None], None if own is None else own[None], sigma, V, c, tau)[0]

        return lax.map(row, (W, b), batch_size=rows)
    a1, a2 = _lengths(W)[:, None], _lengths(V)[None, :]
    cosine = jnp.clip(safe_divide(gram(W, V), a1 * a2), -1, 1)
    if b is None and c is None and sigma == tau:
        pair = Covariance(a1**2, a2**2, a1 * a2 * (1 - cosine), a1 * a2 * (1 + cosine))
        return sigma.propagate(pair).cross
    b1 = jnp.zeros_like(a1) if b is None else b[:, None]
    b2 = jnp.zeros_like(a2) if c is None else c[None, :]
    total = jnp.zeros_like(cosine)
    for p, s in zip(_slopes(sigma), (1, -1), strict=True):
        for q, t in zip(_slopes(tau), (1, -1), strict=True):
            if p * q != 0:
                total += p * q * _relu_moments(a1, s * b1, a2, t * b2, 1 - s * t * cosine, 1 + s * t * cosine)
    return total


def _relu_moments(
    a1: Float[Array, "r 1"],
    b1: Float[Array, "r 1"],
    a2: Float[Array, "1 s"],
    b2: Float[Array, "1 s"],
    below: Float[Array, "r s"],
    above: Float[Array, "r s"],
) -> Float[Array, "r s"]:
    """E(a₁U + b₁)₊(a₂V + b₂)₊; a neuron of zero weight is the constant (b)₊."""
    some1, some2 = a1 > 0, a2 > 0
    beta, gamma = b1 / jnp.where(some1, a1, 1), b2 / jnp.where(some2, a2, 1)
    beta, gamma = jnp.where(some1, beta, 0), jnp.where(some2, gamma, 0)
    both = a1 * a2 * relu_pair_moment(beta, gamma, below, above)
    mean1, mean2 = a1 * relu_mean(beta), a2 * relu_mean(gamma)
    constant1, constant2 = jax.nn.relu(b1), jax.nn.relu(b2)
    dead = jnp.where(some1, mean1, constant1) * jnp.where(some2, mean2, constant2)
    return jnp.where(some1 & some2, both, dead)


def neuron_means(W: Float[Array, "r d"], b: Float[Array, " r"] | None, sigma: Nonlinearity) -> Float[Array, " r"]:
    """E σ(⟨w_i, x⟩ + b_i)."""
    a = _lengths(W)
    b = jnp.zeros_like(a) if b is None else b
    beta = safe_divide(b, a)
    parts = [
        p * (a * (s * beta * normal_cdf(s * beta) + normal_pdf(beta)))
        for p, s in zip(_slopes(sigma), (1, -1), strict=True)
    ]
    return jnp.where(a > 0, parts[0] + parts[1], sigma(b))


def _slopes(sigma: Nonlinearity) -> tuple[float, float]:
    """(p, q) of σ(z) = p·(z)₊ + q·(−z)₊."""
    if sigma.relu_slopes is None:
        raise TypeError(f"exact moments need a (leaky) ReLU, got {type(sigma).__name__}")
    return sigma.relu_slopes


def _lengths(W: Float[Array, "r d"]) -> Float[Array, " r"]:
    return safe_sqrt(jnp.sum(W**2, axis=1))
