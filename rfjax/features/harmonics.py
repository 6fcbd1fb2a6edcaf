"""Spherical harmonics of S^{d−1}, as values and as laws: what rotation-invariant kernels are made of.

P_m is the Gegenbauer polynomial with P_m(1) = 1, N(d, m) the number of independent harmonics Y of degree m, orthonormal
over uniform points:

    Σ_j Y_mj(u)Y_mj(v) = N(d, m) P_m(⟨u, v⟩),   p_m = √N(d, m)·P_m,   E_w p_m(⟨w, u⟩)p_m(⟨w, v⟩) = P_m(⟨u, v⟩)
"""

import math
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax.numerics import matmul


def counts(d: int, degree: int) -> Float[np.ndarray, " m"]:
    """N(d, m) for m = 0…degree; on the two points of S⁰ nothing from degree 2 on."""
    values = np.ones(degree + 1)
    for m in range(1, degree + 1):
        values[m] = d if m == 1 else values[m - 1] * (2 * m + d - 2) * (m + d - 3) / max((2 * m + d - 4) * m, 1)
    return np.where(values < 2**53, np.rint(values), values)


def by_degree(powers: Float[np.ndarray, "k s t"], d: int, degree: int) -> Float[np.ndarray, "m s t"]:
    """B with Σ_k powers_k c^k = Σ_m B_m P_m(c), for m up to `degree`; powers must have as many.

    c·P_m = ((m+d−2)P_{m+1} + m·P_{m−1})/(2m+d−2): c^k spreads over degrees like a walk that started at 0.  What is
    beyond `degree` goes to the last two degrees, by parity, so that the sums at c = ±1 stay.
    """
    degrees = np.arange(len(powers))
    total = np.maximum(2 * degrees + d - 2, 1)
    up = np.where(degrees == 0, 1.0, (degrees + d - 2) / total)
    law, laws = np.eye(1, len(powers))[0], []
    for _ in powers:
        laws.append(law)
        law = np.concatenate([[0], (up * law)[:-1]]) + np.concatenate([((1 - up) * law)[1:], [0]])
    energies = np.tensordot(np.array(laws), powers, axes=(0, 0))
    kept = energies[: degree + 1].copy()
    for m in range(degree + 1, len(energies)):
        kept[degree - (m - degree) % 2] += energies[m]
    return kept


def steps(d: int, degree: int) -> Float[np.ndarray, " m"]:
    """a_1…a_degree of the recursion t·p_m = a_{m+1}p_{m+1} + a_m p_{m−1}, p_0 = 1; a_1² = 1/d.

    On S⁰, where there are no p_m beyond m = 1, they are 1.
    """
    m = np.arange(2, degree + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        later = np.sqrt(m * (m + d - 3) / ((2 * m + d - 2) * (2 * m + d - 4)))
    return np.concatenate([[d**-0.5], later if d > 1 else np.ones(len(m))])[:degree]


def harmonics(U: Float[Array, "n d"], degree: int) -> list[Float[Array, "n N"]]:
    """Y_0(U), …, Y_degree(U): orthonormal harmonics at unit vectors, [n, N(d, m)] of each degree.

        Y_(m,k,j)(x, y) = p_{m−k}(x; d+2k)·Y_kj(y)/√E(1−t²)^k,   k <= m,  t = ⟨w, e⟩ on S^{d−1}

    for y the coordinates after x, and homogeneous polynomials throughout: they are smooth at every point.
    """
    n, d = U.shape
    if degree <= 2 or d == 1:
        return list(_low(U, degree))
    one = jnp.ones((n, 1), U.dtype)
    square = U[:, -1] ** 2 + U[:, -2] ** 2
    wave, blocks = (one[:, 0], jnp.zeros_like(one[:, 0])), [one]
    for _ in range(degree):
        real, imaginary = wave
        wave = real * U[:, -2] - imaginary * U[:, -1], real * U[:, -1] + imaginary * U[:, -2]
        blocks.append(2**0.5 * jnp.stack(wave, axis=1))
    for dimension in range(3, d + 1):
        x = U[:, d - dimension]
        square = square + x**2
        blocks = _raised(blocks, x, square, dimension)
    return blocks


def _low(U: Float[Array, "n d"], degree: int) -> Iterator[Float[Array, "n N"]]:
    """Degrees 0 to 2: 1, x_i, x_i x_j and what the x_i² have beside their sum."""
    n, d = U.shape
    yield jnp.ones((n, 1), U.dtype)
    if degree >= 1:
        yield d**0.5 * U
    if degree >= 2 and d > 1:
        i, j = np.triu_indices(d, 1)
        i_th = np.arange(1, d)
        contrasts = np.tril(np.ones((d - 1, d))) - np.diag(i_th.astype(float), 1)[:-1]  # Helmert's
        contrasts /= np.sqrt(i_th * (i_th + 1.0))[:, None]
        squares = matmul(U**2, jnp.asarray(contrasts.T, U.dtype))
        size = (d * (d + 2)) ** 0.5
        yield size * jnp.concatenate([U[:, i] * U[:, j], squares / 2**0.5], axis=1)
    for _ in range(3 if d > 1 else 2, degree + 1):
        yield jnp.zeros((n, 0), U.dtype)


def _raised(
    blocks: list[Float[Array, "n N"]], x: Float[Array, " n"], square: Float[Array, " n"], d: int
) -> list[Float[Array, "n M"]]:
    """The harmonics in `d` coordinates, from those in the last d − 1 of them."""
    degree = len(blocks) - 1
    raised: list[list[Array]] = [[] for _ in blocks]
    for k, block in enumerate(blocks):
        log_mean = math.lgamma((d - 1) / 2 + k) + math.lgamma(d / 2) - math.lgamma((d - 1) / 2) - math.lgamma(d / 2 + k)
        a = steps(d + 2 * k, degree - k).tolist()
        before, now = jnp.zeros_like(x), jnp.full_like(x, math.exp(-log_mean / 2))
        for m in range(k, degree + 1):
            raised[m].append(now[:, None] * block)
            if m < degree:
                i = m - k
                last = a[i - 1] * square * before if i else 0
                before, now = now, (x * now - last) / a[i]
    return [jnp.concatenate(parts, axis=1) for parts in raised]
