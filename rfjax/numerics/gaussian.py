"""Gaussian densities and distribution functions: φ, Φ, Owen's T and the bivariate Φ₂.

Φ₂ and the moments built on it take the correlation as the pair (below, above) = (1 − ρ, 1 + ρ), so that near ρ = ±1
the small one keeps its digits.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from rfjax.numerics.safe import safe_divide, safe_sqrt

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)  # Owen's T to 1e-16 absolute on a in [0, 1], every h
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2
_FAR = 40.0  # standard deviations, beyond which Φ has reached 0 or 1 and e^{−z²/2} is 0


def normal_pdf(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The standard normal density φ(x) = e^{−x²/2}/√(2π)."""
    return jnp.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def normal_cdf(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The standard normal distribution function Φ(x), accurate in both tails."""
    return lax.erfc(x * -math.sqrt(0.5)) / 2


def _owens_t_core(h: Float[Array, "..."], a: Float[Array, "..."]) -> Float[Array, "..."]:
    """T(h, a) for 0 <= a <= 1 by Gauss–Legendre; h = ∞ gives 0."""
    total, exponent, square = jnp.zeros_like(h * a), -(h**2) / 2, a**2
    for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        t = 1 + square * node**2
        total = total + weight * jnp.exp(exponent * t) / t
    return a * total / (2 * math.pi)


def _owens_t_at(h: Float[Array, "..."], z: Float[Array, "..."], tail: Float[Array, "..."]) -> Float[Array, "..."]:
    """T(h, z/h) given tail = Φ(−|z|); ±¼ at h = 0, with h = 0 counted as positive, and 0 at z = 0.

    Where |z| > |h|:  T(h, z/h) = ½(Φ(|h|)Φ(−|z|) + Φ(|z|)Φ(−|h|)) − T(z, h/z)   for z, h > 0.
    """
    size, far, own = jnp.abs(h), jnp.abs(z), normal_cdf(-jnp.abs(h))
    large, small = jnp.maximum(size, far), jnp.minimum(size, far)
    core = _owens_t_core(large, safe_divide(small, large))
    value = jnp.where(far > size, ((1 - own) * tail + (1 - tail) * own) / 2 - core, core)
    return jnp.where(z == 0, 0, jnp.where((z < 0) != (h < 0), -value, value))


def _product(h: Float[Array, "..."], a: Float[Array, "..."]) -> Float[Array, "..."]:
    """h·a with 0·∞ = 0."""
    zero = (h == 0) | (a == 0)
    return jnp.where(zero, 0, jnp.where(zero, 1, h) * jnp.where(zero, 1, a))


@jax.custom_jvp
def owens_t(h: Float[Array, "..."], a: Float[Array, "..."]) -> Float[Array, "..."]:
    """Owen's T function, even in h and odd in a, to about 1e-15 absolute.

        T(h, a) = (1/2π) ∫₀^a e^{−h²(1+x²)/2}/(1+x²) dx

    Owen 1956, *Tables for computing bivariate normal probabilities*.
    """
    z = jnp.clip(_product(h, a), -_FAR, _FAR)
    return jnp.where(h == 0, jnp.arctan(a) / (2 * math.pi), _owens_t_at(h, z, normal_cdf(-jnp.abs(z))))


@owens_t.defjvp
def _owens_t_jvp(primals, tangents):
    h, a = primals
    dh, da = tangents
    z = _product(h, a)
    by_h = -normal_pdf(h) * (normal_cdf(z) - 0.5)
    by_a = jnp.exp(-(h**2 + z**2) / 2) / (2 * math.pi * (1 + a**2))
    return owens_t(h, a), by_h * dh + by_a * da


def conditional_gap(
    h: Float[Array, "..."], k: Float[Array, "..."], below: Float[Array, "..."], above: Float[Array, "..."]
):
    """k − ρh without cancellation near ρ = ±1: (k−h) + (1−ρ)h for ρ >= 0, (k+h) − (1+ρ)h below."""
    return jnp.where(above >= below, (k - h) + below * h, (k + h) - above * h)


def exponent(h: Float[Array, "..."], k: Float[Array, "..."], below: Float[Array, "..."], above: Float[Array, "..."]):
    """Q = (h² − 2ρhk + k²)/(2(1−ρ²)) without cancellation; 0/0 counts as 0, so that e^{−Q} is the limit at h = ±k.

    Q = (h−k)²/(2s²) + hk/(1+ρ) for ρ >= 0, and (h+k)²/(2s²) − hk/(1−ρ) below, s² = (1−ρ)(1+ρ).
    """
    near = above >= below
    difference = jnp.where(near, h - k, h + k) ** 2
    product = jnp.where(near, h * k, -h * k) / jnp.maximum(below, above)
    variance = 2 * below * above
    ratio = jnp.where(
        variance > 0, difference / jnp.where(variance > 0, variance, 1), jnp.where(difference > 0, jnp.inf, 0.0)
    )
    return ratio + product


class _Pair(NamedTuple):
    """What Φ₂ and the moments share at one (h, k, ρ), each computed once."""

    s: Float[Array, "..."]  # √(1−ρ²)
    left: Float[Array, "..."]  # Φ((k−ρh)/s), the probability of V <= k given U = h
    right: Float[Array, "..."]  # Φ((h−ρk)/s)
    cdf: Float[Array, "..."]  # Φ₂(h, k; ρ)


def _pair(
    h: Float[Array, "..."], k: Float[Array, "..."], below: Float[Array, "..."], above: Float[Array, "..."]
) -> _Pair:
    s = safe_sqrt(below * above)
    h, k = jnp.clip(h, -_FAR, _FAR), jnp.clip(k, -_FAR, _FAR)

    def standardised(gap: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(s > 0, jnp.clip(gap / jnp.where(s > 0, s, 1), -_FAR, _FAR), _FAR * jnp.sign(gap))

    z1, z2 = standardised(conditional_gap(h, k, below, above)), standardised(conditional_gap(k, h, below, above))
    # Both of Owen's functions at once: the program is half as long, and so is its compilation.
    z = jnp.stack([z1, z2])
    tail = normal_cdf(-jnp.abs(z))
    owen = _owens_t_at(jnp.stack(jnp.broadcast_arrays(h, k)), z, tail)
    both = (normal_cdf(h) + normal_cdf(k)) / 2 - owen[0] - owen[1]
    both = both - jnp.where((h < 0) != (k < 0), 0.5, 0.0)
    origin = (h == 0) & (k == 0)
    both = jnp.where(origin, 0.5 - jnp.arctan2(safe_sqrt(below), safe_sqrt(above)) / math.pi, both)
    left, right = jnp.where(z > 0, 1 - tail, tail)
    return _Pair(s, left, right, both)


@jax.custom_jvp
def bivariate_normal_cdf(
    h: Float[Array, "..."], k: Float[Array, "..."], below: Float[Array, "..."], above: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Φ₂(h, k; ρ) = P(U <= h, V <= k) for standard normals of correlation ρ, given as below = 1−ρ, above = 1+ρ.

        Φ₂ = ½(Φ(h) + Φ(k)) − T(h, (k−ρh)/(hs)) − T(k, (h−ρk)/(ks)) − ½·[h, k of opposite sign],  s = √(1−ρ²)
        Φ₂(0, 0; ρ) = ½ − θ/2π with θ the angle of cosine ρ

    A zero argument counts as positive, and ±∞ is allowed.  Within 1e-15 absolute in float64.  Its derivative in ρ, the
    bivariate density, is taken as 0 at ρ = ±1.  Owen 1956.
    """
    return _pair(h, k, below, above).cdf


@bivariate_normal_cdf.defjvp
def _bivariate_normal_cdf_jvp(primals, tangents):
    h, k, below, above = primals
    h, k = jnp.clip(h, -_FAR, _FAR), jnp.clip(k, -_FAR, _FAR)
    dh, dk, dbelow, dabove = tangents
    pair = _pair(h, k, below, above)
    by_rho = safe_divide(jnp.exp(-exponent(h, k, below, above)), 2 * math.pi * pair.s)
    change = normal_pdf(h) * pair.left * dh + normal_pdf(k) * pair.right * dk + by_rho * (dabove - dbelow) / 2
    return pair.cdf, change


@jax.custom_jvp
def relu_pair_moment(
    h: Float[Array, "..."], k: Float[Array, "..."], below: Float[Array, "..."], above: Float[Array, "..."]
) -> Float[Array, "..."]:
    """E[(U+h)₊(V+k)₊] for standard normals U, V of correlation ρ, given as below = 1−ρ, above = 1+ρ.

        s = √(1−ρ²),  Q = (h² − 2ρhk + k²)/(2s²)
        M = (hk + ρ)Φ₂(h, k; ρ) + kφ(h)Φ((k−ρh)/s) + hφ(k)Φ((h−ρk)/s) + s·e^{−Q}/2π

    Two biased ReLU neurons have the moment E(⟨w,x⟩+b)₊(⟨v,x⟩+c)₊ = ‖w‖‖v‖·M(b/‖w‖, c/‖v‖, ρ).  Within 3e-15
    absolute in float64 for |h|, |k| <= 4; its derivatives (∂M/∂ρ = Φ₂) are exact and finite everywhere.  By Gaussian
    integration by parts; the case h = k = 0 is Cho & Saul 2009.
    """
    return _moment(h, k, below, above, _pair(h, k, below, above))


def _moment(
    h: Float[Array, "..."], k: Float[Array, "..."], below: Float[Array, "..."], above: Float[Array, "..."], pair: _Pair
) -> Float[Array, "..."]:
    corner = pair.s * jnp.exp(-exponent(h, k, below, above)) / (2 * math.pi)
    edges = k * normal_pdf(h) * pair.left + h * normal_pdf(k) * pair.right
    return (h * k + (above - below) / 2) * pair.cdf + edges + corner


@relu_pair_moment.defjvp
def _relu_pair_moment_jvp(primals, tangents):
    h, k, below, above = primals
    dh, dk, dbelow, dabove = tangents
    pair, rho = _pair(*primals), (above - below) / 2
    left, right = normal_pdf(h) * pair.left, normal_pdf(k) * pair.right
    by_h = k * pair.cdf + rho * left + right
    by_k = h * pair.cdf + rho * right + left
    return _moment(h, k, below, above, pair), by_h * dh + by_k * dk + pair.cdf * (dabove - dbelow) / 2


def relu_mean(h: Float[Array, "..."]) -> Float[Array, "..."]:
    """E(U+h)₊ = hΦ(h) + φ(h) for a standard normal U."""
    return h * normal_cdf(h) + normal_pdf(h)
