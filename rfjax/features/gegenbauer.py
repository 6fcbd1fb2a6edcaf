"""Gegenbauer features: neural and other dot-product kernels of any depth by one layer of neurons of the right shape.

With u, v the directions of x and y, a kernel of norms and angle is k(x, y) = Σ_m ⟨h_m(‖x‖), h_m(‖y‖)⟩ P_m(⟨u, v⟩), and
E_w p_m(⟨w, u⟩)p_m(⟨w, v⟩) = P_m(⟨u, v⟩) makes it the kernel of random neurons w whatever the network it came from.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.features.base import FeatureMap
from rfjax.features.directions import Directions
from rfjax.features.harmonics import by_degree, counts, harmonics, steps
from rfjax.features.powers import power_series
from rfjax.features.rows import by_rows
from rfjax.kernels import DiagonalPairs, Kernel
from rfjax.kernels.base import as_operand
from rfjax.numerics import gram, norm, safe_divide, safe_sqrt

_DEGREE = 64  # of the last harmonics; the energy of those beyond is theirs
_NODES = 10  # norms between which h_m is interpolated
_EXACT = 6  # the last degree that may be expanded in full
_LEFT_OUT = 1e-6  # of the kernel's diagonal, by leaving out columns of h_m
_UNROLL = 4


class Gegenbauer(FeatureMap):
    """φ(x) = [h_mt(x)·Y_m(u)/√N(d, m) for (m, t) in `exact`, then one random neuron a direction w,

        (1/√r)·Σ_t ε_wt Σ_m (−1)^⌊m/2⌋ h_mt(x) p_m(⟨w, u⟩)   over all other (m, t)],

    with h_m(x) = √k(x, x)·(a polynomial in ‖x‖/(‖x‖ + √d)) of several components t, and signs ε.  Prefer
    `rf.features.gegenbauer`.
    """

    approximates: Kernel
    radial: Float[Array, "m t s"]
    directions: Directions | None
    signs: Float[Array, "r t"] | None
    exact: tuple[tuple[int, int], ...] = eqx.field(static=True)
    columns: int = eqx.field(static=True)

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        size = norm(X)
        height = safe_sqrt(self.approximates._evaluate(DiagonalPairs(X)))
        place = size / (size + self.columns**0.5)
        basis = _chebyshev(2 * place - 1, self.radial.shape[-1])
        h = height[:, None, None] * jnp.einsum("mts,ns->nmt", self.radial.astype(X.dtype), basis, precision="highest")
        U = safe_divide(X, size[:, None])
        parts = self._expanded(U, h)
        if self.directions is not None:
            W, signs = self.directions.ready().astype(X.dtype), self.signs
            left = np.ones(h.shape[1:])
            for m, t in self.exact:
                left[m, t] = 0
            mixed = h * jnp.asarray(left * _turns(len(left))[:, None], X.dtype)
            rows = jnp.concatenate([U, mixed.reshape(len(X), -1)], axis=1)
            assert signs is not None
            parts.append(by_rows(_neurons, (W, signs.astype(X.dtype)), rows))
        return jnp.concatenate(parts, axis=1)

    def _expanded(self, U: Float[Array, "n d"], h: Float[Array, "n m t"]) -> list[Float[Array, "n N"]]:
        if not self.exact:
            return []
        Y = harmonics(U, max(m for m, _ in self.exact))
        return [h[:, m, t, None] * Y[m] / Y[m].shape[1] ** 0.5 for m, t in self.exact]

    @property
    def in_dim(self) -> int:
        return self.columns

    @property
    def neurons(self) -> None:
        return None


def _neurons(frozen: tuple[Array, Array], rows: Float[Array, "n d+mt"]) -> Float[Array, "n r"]:
    """Σ_t ε_wt Σ_m h_mt p_m(⟨w, u⟩)/√r by the recursion of p_m."""
    W, signs = frozen
    d = W.shape[1]
    x = gram(rows[:, :d], W)
    h = jnp.moveaxis(rows[:, d:].reshape(len(rows), -1, signs.shape[1]), 1, 0)
    a = steps(d, len(h))
    ratios = jnp.asarray(np.stack([1 / a, np.concatenate([[0.0], a[:-1]]) / a], axis=1), x.dtype)

    def add(carry: tuple[Array, Array, Array], now: tuple[Array, Array]) -> tuple[tuple[Array, Array, Array], None]:
        total, before, p = carry
        own, (up, down) = now
        weight = sum(own[:, t, None] * signs[:, t] for t in range(signs.shape[1]))
        return (total + weight * p, p, up * x * p - down * before), None

    start = (jnp.zeros_like(x), jnp.zeros_like(x), jnp.ones_like(x))
    return lax.scan(add, start, (h, ratios), unroll=_UNROLL)[0][0] / W.shape[0] ** 0.5


def gegenbauer(
    kernel: Kernel,
    in_dim: int,
    features: int,
    *,
    key: PRNGKeyArray,
    draw: str = "orthogonal",
    exact: bool = True,
    stored: bool = True,
) -> Gegenbauer:
    """`features` columns for NNGPs, NTKs, arc-cosine and polynomial kernels, their sums and products: any depth, one layer.

        k(x, y) = Σ_m ⟨h_m(‖x‖), h_m(‖y‖)⟩ P_m(cos θ)
        φ(x)·φ(y) = exactly the degrees m that p can hold, and one random neuron a column for the rest

    The h_m come from the network's layers (Dense with any w_std and b_std, Activation, Residual, Parallel, Repeat,
    LayerNorm), as a power series in the cosine that is computed once on the host.  The accuracy is that of p alone, with no
    width of anything in it: the error of an entry is about the energy of the degrees that are left to chance, by √(their
    columns), and which degrees are expanded is chosen to make it least.  A kernel of finitely many harmonics (a
    polynomial) is exact, in fewer columns, where they fit.

    `draw`: neurons "orthogonal" in blocks of d, or "iid".  With `exact` False all columns are random.  With `stored` False
    the neurons are drawn anew in every call.

    Unbiased but for three remainders: degrees beyond 64 count as degree 63 or 64, powers of the cosine beyond 512 as
    lower ones (for ReLU NTKs together below 2% of k(x, x), at cosines beyond 0.95 only), and where k is no power
    of the norms, the interpolation in ‖x‖ (1e-4 for smooth activations, 1e-3 for ReLU with biases).

    Han, Zandieh & Avron 2022, *Random Gegenbauer features*; Simon, Anand & DeWeese 2022, *Reverse engineering the neural
    tangent kernel*; Zandieh et al. 2021, *Scaling neural tangent kernels via sketching and random features*.

    **Raises** TypeError for other kernels; ValueError or TypeError for sizes below 1, unknown draws or a bad key.
    """
    kernel, d = as_operand(kernel), checks.count("in_dim", in_dim)
    features = checks.count("features", features)
    checks.choice("draw", draw, ("orthogonal", "iid"))
    direction_key, sign_key = jax.random.split(checks.prng_key("key", key))
    radial, energies = _radial(kernel, d)
    chosen = _expanded_degrees(energies, d, features) if exact else ()
    N = counts(d, _DEGREE)
    left = features - int(sum(N[m] for m, _ in chosen))
    done = energies.sum() - sum(energies[m, t] for m, t in chosen) <= _LEFT_OUT * energies.sum()
    directions = None if done else Directions.of(direction_key, left, d, draw, stored=stored)
    signs = None if done else jax.random.rademacher(sign_key, (left, radial.shape[1]), float)
    return Gegenbauer(kernel, jnp.asarray(radial, float), directions, signs, chosen, d)


def _radial(kernel: Kernel, d: int) -> tuple[Float[np.ndarray, "m t s"], Float[np.ndarray, "m t"]]:
    """h_m/√k(x, x) as Chebyshev coefficients in ‖x‖/(‖x‖ + √d), and the energies ‖h_mt‖² of a point of norm √d."""
    nodes = (1 - np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)) / 2
    place = np.append(nodes, 0.5)  # norm √d last
    powers = power_series(kernel, place / (1 - place) * d**0.5, d)
    root = np.sqrt(np.diagonal(powers.sum(axis=0)))
    B = by_degree(powers / np.multiply.outer(root, root), d, _DEGREE)
    if np.ptp(B, axis=(1, 2)).max() < 1e-6:  # a power of the norm, which √k(x, x) has
        one = np.maximum(B[:, -1, -1], 0)
        return np.sqrt(one)[:, None, None], one[:, None]
    values, vectors = np.linalg.eigh(B[:, :-1, :-1])
    values, vectors = np.maximum(values[:, ::-1], 0), vectors[:, :, ::-1]
    vectors = vectors * np.where(vectors.sum(axis=1, keepdims=True) < 0, -1, 1)
    h = vectors * np.sqrt(values)[:, None, :]  # [m, s, t]
    lost = np.cumsum(values.sum(axis=0)[::-1])[::-1] / values.sum()
    kept = max(1, int((lost > _LEFT_OUT).sum()))
    angles = np.arccos(2 * nodes - 1)
    transform = 2 / _NODES * np.cos(np.multiply.outer(np.arange(_NODES), angles))
    transform[0] /= 2
    radial = np.einsum("ks,mst->mtk", transform, h[..., :kept])
    at_one = np.cos(np.arange(_NODES) * np.pi / 2)
    return radial, np.einsum("mtk,k->mt", radial, at_one) ** 2


def _expanded_degrees(energies: Float[np.ndarray, "m t"], d: int, features: int) -> tuple[tuple[int, int], ...]:
    """The (m, t) that make (energy of the others)/√(columns left for them) least."""
    N = counts(d, _DEGREE)
    order = sorted(
        ((m, t) for m in range(_EXACT + 1) for t in range(energies.shape[1]) if N[m] and energies[m, t] > 0),
        key=lambda mt: -energies[mt] / N[mt[0]],
    )
    rest, left = energies.sum(), features
    best, chosen = rest / left**0.5, 0
    for i, (m, t) in enumerate(order, 1):
        rest, left = rest - energies[m, t], left - N[m]
        if left >= 0 and rest <= _LEFT_OUT * energies.sum():
            return tuple(order[:i])
        if left <= 0:
            break
        if rest / left**0.5 < best:
            best, chosen = rest / left**0.5, i
    return tuple(order[:chosen])


def _turns(count: int) -> Float[np.ndarray, " m"]:
    """(−1)^⌊m/2⌋: the signs of a function that is rough at ⟨w, u⟩ = 0, where every w is, and not at w = u."""
    return (-1.0) ** (np.arange(count) // 2)


def _chebyshev(x: Float[Array, " n"], count: int) -> Float[Array, "n s"]:
    """T_0(x), …, T_{count−1}(x)."""
    values: list[Any] = [jnp.ones_like(x), x]
    while len(values) < count:
        values.append(2 * x * values[-1] - values[-2])
    return jnp.stack(values[:count], axis=1)
