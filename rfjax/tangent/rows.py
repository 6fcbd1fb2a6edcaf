"""What is kept of ∂f/∂θ at a point, and the tangent kernel of two sets of points from it.

A weight is kept either as the factors of its derivative Σ_s u_s ⊗ δ_{a,s}, which never forms it,

    ⟨∂f_a(x)/∂W, ∂f_b(y)/∂W⟩ = Σ_{s,t} ⟨u_s(x), u_t(y)⟩·⟨δ_{a,s}(x), δ_{b,t}(y)⟩

or as the derivative itself; everything else as the derivative that reverse mode gives.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from rfjax.tangent.selection import PointFunction
from rfjax.tangent.uses import Use, tapped

_EXACT = lax.Precision.HIGHEST


class Kept(NamedTuple):
    """How the derivatives are kept: weights as factors, weights as derivatives, and the other leaves, by number."""

    factored: tuple[Use, ...]
    formed: tuple[Use, ...]
    rest: tuple[int, ...]


class Rows(NamedTuple):
    """Of one point, or with a leading axis of several: (u, δ) of the weights in factors, and Jacobians [a, p]."""

    factors: list[tuple[Float[Array, "... groups places inputs"], Float[Array, "... a groups places outputs"]]]
    jacobians: list[Float[Array, "... a p"]]


def row(one: PointFunction, leaves: list[Array], kept: Kept, x: Float[Array, " d"], seeds: Float[Array, "a c"]) -> Rows:
    """The derivatives of ⟨seed_a, f(x)⟩ at one point."""
    uses = kept.factored + kept.formed

    def run(taps: list[Array], free: list[Array]) -> tuple[Float[Array, " c"], list[Array]]:
        moved = list(leaves)
        for i, leaf in zip(kept.rest, free, strict=True):
            moved[i] = leaf
        return tapped(one, moved, x, uses, taps) if uses else (one(moved, x), [])

    taps = [jnp.zeros(use.shape, x.dtype) for use in uses]
    _, pull, inputs = jax.vjp(run, taps, [leaves[i] for i in kept.rest], has_aux=True)
    shifted, plain = jax.vmap(pull)(seeds)
    pairs = [(u, use.arranged(z)) for use, u, z in zip(uses, inputs, shifted, strict=True)]
    count = len(kept.factored)
    formed = [jnp.einsum("hsk,ahso->ahko", u, delta, precision=_EXACT) for u, delta in pairs[count:]]
    return Rows(pairs[:count], [J.reshape(seeds.shape[0], -1) for J in (*formed, *plain)])


def pair(left: Rows, right: Rows, mode: str) -> Float[Array, "..."]:
    """The kernel of the points of two Rows: "sum" over equal outputs [n, m], "diagonal" [n, m, a], "full" [n, a, m, b]."""
    of_factors, of_jacobians = _SUMS[mode]
    parts = [
        of_factors(*(jnp.einsum("nhsk,mhtk->nmhst", u, v, precision=_EXACT), delta, epsilon))
        for (u, delta), (v, epsilon) in zip(left.factors, right.factors, strict=True)
    ]
    parts += [
        jnp.einsum(of_jacobians, J, L, precision=_EXACT) for J, L in zip(left.jacobians, right.jacobians, strict=True)
    ]
    return sum(parts[1:], parts[0])


def _factors_sum(G: Array, delta: Array, epsilon: Array) -> Float[Array, "n m"]:
    if G.shape[2:] == (1, 1, 1):  # a dense layer: two plain products
        rows, columns = (v.reshape(v.shape[0], -1) for v in (delta, epsilon))
        return G[:, :, 0, 0, 0] * jnp.matmul(rows, columns.T, precision=_EXACT)
    return jnp.sum(G * jnp.einsum("nahso,mahto->nmhst", delta, epsilon, precision=_EXACT), axis=(2, 3, 4))


def _factors_diagonal(G: Array, delta: Array, epsilon: Array) -> Float[Array, "n m a"]:
    both = jnp.einsum("nahso,mahto->anmhst", delta, epsilon, precision=_EXACT)
    return jnp.moveaxis(jnp.sum(G * both, axis=(3, 4, 5)), 0, 2)


def _factors_full(G: Array, delta: Array, epsilon: Array) -> Float[Array, "n a m b"]:
    if G.shape[2:] == (1, 1, 1):
        rows, columns = (v.reshape(-1, v.shape[-1]) for v in (delta, epsilon))
        both = jnp.matmul(rows, columns.T, precision=_EXACT)
        return both.reshape(delta.shape[0], -1, epsilon.shape[0], epsilon.shape[1]) * G[:, :, 0, 0, 0][:, None, :, None]
    both = jnp.einsum("nahso,mbhto->abnmhst", delta, epsilon, precision=_EXACT)
    return jnp.sum(G * both, axis=(4, 5, 6)).transpose(2, 0, 3, 1)


_SUMS = {
    "sum": (_factors_sum, "nap,map->nm"),
    "diagonal": (_factors_diagonal, "nap,map->nma"),
    "full": (_factors_full, "nap,mbp->namb"),
}
