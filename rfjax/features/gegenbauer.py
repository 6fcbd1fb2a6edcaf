"""Gegenbauer features: neural and other dot-product kernels of any depth by one layer of neurons of the right shape.

With u, v the directions of x and y, a kernel of norms and angle is k(x, y) = Σ_m ⟨h_m(‖x‖), h_m(‖y‖)⟩ P_m(⟨u, v⟩), and
E_w p_m(⟨w, u⟩)p_m(⟨w, v⟩) = P_m(⟨u, v⟩) makes it the kernel of random neurons w whatever the network it came from.
"""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

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
_NODES = 16  # norms between which h_m is interpolated
_EXACT = 6  # the last degree that may be expanded in full
_LEFT_OUT = 1e-5  # of the kernel's diagonal, by leaving out columns of h_m
_RARE = 0.01  # of the neurons are for a column of h_m, at least, however small at norm √d
_UNROLL = 4


class Gegenbauer(FeatureMap):
    """φ(x) = [h_mt(x)·Y_m(u)/√N(d, m) for (m, t) in `exact`, then one random neuron a direction w_i,

        weight_i·Σ_m (−1)^⌊m/2⌋ h_mt(x) p_m(⟨w_i, u⟩)   over the m that are not, at t = component_i],

    with h_m(x) = √k(x, x)·(polynomials in ‖x‖/(‖x‖ + √d)), one for every component t.  Prefer `rf.features.gegenbauer`.
    """

    approximates: Kernel
    radial: Float[Array, "m t s"]
    directions: Directions | None
    component: Int[Array, " r"]
    weight: Float[Array, " r"]
    exact: tuple[tuple[int, int], ...] = eqx.field(static=True)
    columns: int = eqx.field(static=True)

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        return by_rows(_parts, replace(self, directions=self.directions and self.directions.ready()), X)

    @property
    def in_dim(self) -> int:
        return self.columns


def _parts(phi: Gegenbauer, X: Float[Array, "n d"]) -> tuple[Float[Array, "n c"], ...]:
    """The expanded degrees one by one, and the neurons."""
    size = norm(X)
    height = safe_sqrt(phi.approximates._evaluate(DiagonalPairs(X)))
    place = size / (size + phi.columns**0.5)
    basis = _chebyshev(2 * place - 1, phi.radial.shape[-1])
    h = jnp.einsum("mts,ns->mnt", phi.radial.astype(X.dtype), basis, precision="highest") * height[:, None]
    U, parts = safe_divide(X, size[:, None]), []
    if phi.exact:
        Y = harmonics(U, max(m for m, _ in phi.exact))
        parts = [h[m, :, t, None] * Y[m] / Y[m].shape[1] ** 0.5 for m, t in phi.exact]
    if phi.directions is not None:
        kept = _turns(len(phi.radial))[:, None] * _random(phi.exact, phi.radial.shape[:2])
        parts.append(_neurons(phi, U, h * jnp.asarray(kept[:, None], X.dtype)))
    return tuple(parts)


def _neurons(phi: Gegenbauer, U: Float[Array, "n d"], h: Float[Array, "m n t"]) -> Float[Array, "n r"]:
    """weight_i·Σ_m h_mt p_m(⟨w_i, u⟩) by the recursion of p_m."""
    assert phi.directions is not None
    assert phi.directions.rows is not None
    x, a = gram(U, phi.directions.rows.astype(U.dtype)), steps(U.shape[1], _DEGREE + 1)
    ratios = jnp.asarray(np.stack([1 / a, np.concatenate([[0.0], a[:-1]]) / a], axis=1), x.dtype)

    def add(carry: tuple[Array, Array, Array], now: tuple[Array, Array]) -> tuple[tuple[Array, Array, Array], None]:
        total, before, p = carry
        own, (up, down) = now
        own = own if own.shape[1] == 1 else own[:, phi.component]
        return (total + own * p, p, up * x * p - down * before), None

    start = (jnp.zeros_like(x), jnp.zeros_like(x), jnp.ones_like(x))
    return phi.weight.astype(x.dtype) * lax.scan(add, start, (h, ratios), unroll=_UNROLL)[0][0]


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
    lower ones (for ReLU NTKs of depth up to 5 together below 2% of √(k(x, x)k(y, y)), and 3e-4 below cosines of 0.95), and
    where k is no power of the norms, the interpolation in ‖x‖ (for norms of 0.3√d to 4√d, depth up to 3 and b_std up to 1:
    5e-3 below cosines of 0.95, 2e-2 at coincident points).

    Han, Zandieh & Avron 2022, *Random Gegenbauer features*; Simon, Anand & DeWeese 2022, *Reverse engineering the neural
    tangent kernel*; Zandieh et al. 2021, *Scaling neural tangent kernels via sketching and random features*.

    **Raises** TypeError for other kernels; ValueError or TypeError for sizes below 1, unknown draws or a bad key.
    """
    kernel, d = as_operand(kernel), checks.count("in_dim", in_dim)
    features = checks.count("features", features)
    checks.choice("draw", draw, ("orthogonal", "iid"))
    direction_key, component_key = jax.random.split(checks.prng_key("key", key))
    radial, energies = _radial(kernel, d)
    chosen = _expanded_degrees(energies, d, features) if exact else ()
    rest = (energies * _random(chosen, energies.shape)).sum(axis=0)
    done = rest.sum() <= _LEFT_OUT * energies.sum()
    left = 0 if done else features - int(sum(counts(d, _DEGREE)[m] for m, _ in chosen))
    law = np.maximum(rest, _RARE * rest.sum() / len(rest)) if left else np.ones(len(rest))
    component, weight = _components(component_key, law / law.sum(), left)
    directions = Directions.of(direction_key, left, d, draw, stored=stored) if left else None
    return Gegenbauer(kernel, jnp.asarray(radial, float), directions, component, weight, chosen, d)


def _components(
    key: PRNGKeyArray, law: Float[np.ndarray, " t"], count: int
) -> tuple[Int[Array, " r"], Float[Array, " r"]]:
    """Components t of `count` neurons, as nearly in proportion to `law` as can be, in random order; and 1/√(count·law)."""
    shift, order = jax.random.split(key)
    places = (jnp.arange(count, dtype=float) + jax.random.uniform(shift, ())) / max(count, 1)
    component = jnp.searchsorted(jnp.asarray(np.cumsum(law)[:-1], float), places, side="right")
    component = jax.random.permutation(order, component)
    return component, jnp.asarray(1 / np.sqrt(max(count, 1) * law), float)[component]


def _random(exact: tuple[tuple[int, int], ...], shape: tuple[int, ...]) -> Float[np.ndarray, "m t"]:
    """1 where (m, t) is left to random neurons, and 0 where it is expanded."""
    mask = np.ones(shape)
    for m, t in exact:
        mask[m, t] = 0
    return mask


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
