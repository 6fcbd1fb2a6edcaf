"""Randomly pivoted Cholesky: a low-rank factor of a Gram matrix from the columns of a few points."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rfjax import checks
from rfjax.kernels.base import Kernel, as_operand
from rfjax.kernels.pairs import DiagonalPairs
from rfjax.numerics import matmul, solve_lower

_BLOCK = 120  # proposals a round
_ROUNDS = 20  # times as many as there would be if every proposal were accepted


class PivotedCholesky(eqx.Module):
    """k(X) ≈ factorᵀ·factor from `count` pivots, the rows X[pivots] of the data.

    `factor` [rank, n], whose rows from `count` on are 0 (and whose pivots are −1); `residual` is the trace of what is
    left, relative to that of k(X).
    """

    factor: Float[Array, "rank n"]
    pivots: Int[Array, " rank"]
    count: Int[Array, ""]
    residual: Float[Array, ""]


def pivoted_cholesky(
    kernel: Kernel, X: Float[Array, "n d"], rank: int, *, key: PRNGKeyArray, block: int | None = None
) -> PivotedCholesky:
    """Factor k(X) ≈ FᵀF by `rank` columns, each drawn with a probability of its residual diagonal.

        d_i = k(x_i, x_i) − ‖f_i‖²;   propose points with probability ∝ d, `block` at a time
        accept one with probability (d given those accepted before it)/(d when it was proposed)
        F gains the rows L⁻¹(k(X_S, X) − F_SᵀF),   LLᵀ = k(X_S, X_S) − F_SᵀF_S for the accepted S

    The points are distributed as in the method that draws one column at a time, and E tr(k(X) − FᵀF) is near the best
    that any rank allows.  Kernel entries: about n·rank, the matrix is never formed.  It ends early, with `count` below
    `rank`, when what is left is rounding.  Chen, Epperly, Tropp & Webber 2022; accelerated: Epperly, Tropp & Webber 2024.

    **Raises** TypeError or ValueError for bad data, or a rank that is not between 1 and n.
    """
    X = checks.points("X", X)
    rank = checks.count("rank", rank)
    if rank > X.shape[0]:
        raise ValueError(f"rank must be at most the number of points, {X.shape[0]}, got {rank}")
    size = checks.count("block", min(rank, _BLOCK) if block is None else block)
    return _factor(as_operand(kernel), X, rank, size, checks.prng_key("key", key))


class _State(NamedTuple):
    factor: Float[Array, "rank n"]
    pivots: Int[Array, " rank"]
    diagonal: Float[Array, " n"]
    taken: Int[Array, ""]
    rounds: Int[Array, ""]
    key: PRNGKeyArray


@eqx.filter_jit
def _factor(kernel: Kernel, X: Float[Array, "n d"], rank: int, block: int, key: PRNGKeyArray) -> PivotedCholesky:
    diagonal = kernel._evaluate(DiagonalPairs(X))
    trace, floor = diagonal.sum(), 4 * jnp.finfo(diagonal.dtype).eps * diagonal.max()
    most = _ROUNDS * (1 + rank // block)

    def unfinished(state: _State) -> Bool[Array, ""]:
        return (state.taken < rank) & (state.diagonal.max() > floor) & (state.rounds < most)

    def advance(state: _State) -> _State:
        key, draw, coins = jax.random.split(state.key, 3)
        mass = jnp.cumsum(state.diagonal)
        where = jax.random.uniform(draw, (block,), mass.dtype) * mass[-1]
        chosen = jnp.minimum(jnp.searchsorted(mass, where).astype(jnp.int32), X.shape[0] - 1)
        at = state.factor[:, chosen]
        columns = kernel(X[chosen], X) - matmul(at.T, state.factor)
        kept, lower = _accept(columns[:, chosen], jax.random.uniform(coins, (block,), mass.dtype), floor)
        place = jnp.where(kept, state.taken + jnp.cumsum(kept, dtype=jnp.int32) - 1, rank)
        kept &= place < rank
        lower = jnp.where(kept[:, None] & kept, lower, jnp.eye(block, dtype=lower.dtype))
        rows = solve_lower(lower, jnp.where(kept[:, None], columns, 0))
        diagonal = jnp.maximum(state.diagonal - (rows**2).sum(axis=0), 0)
        diagonal = diagonal.at[jnp.where(kept, chosen, X.shape[0])].set(0, mode="drop")
        return _State(
            state.factor.at[place].set(rows, mode="drop"),
            state.pivots.at[place].set(chosen.astype(jnp.int32), mode="drop"),
            jnp.where(diagonal > floor, diagonal, 0),
            state.taken + kept.sum(dtype=jnp.int32),
            state.rounds + 1,
            key,
        )

    zero = jnp.zeros((), jnp.int32)
    start = _State(
        jnp.zeros((rank, X.shape[0]), diagonal.dtype), jnp.full(rank, -1, jnp.int32), diagonal, zero, zero, key
    )
    end = lax.while_loop(unfinished, advance, start)
    return PivotedCholesky(end.factor, end.pivots, end.taken, end.diagonal.sum() / trace)


def _accept(
    residual: Float[Array, "b b"], coins: Float[Array, " b"], floor: Float[Array, ""]
) -> tuple[Bool[Array, " b"], Float[Array, "b b"]]:
    """Which proposals are kept, one after the other, and the Cholesky factor of those (its other rows are no use)."""
    size = residual.shape[0]
    first = jnp.diagonal(residual)

    def step(i: Int[Array, ""], carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        left, lower, kept = carry
        keep = (left[i, i] > floor) & (coins[i] * first[i] < left[i, i])
        column = jnp.where(keep & (jnp.arange(size) >= i), left[:, i], 0) / jnp.sqrt(jnp.where(keep, left[i, i], 1))
        return left - column[:, None] * column, lower.at[:, i].set(column), kept.at[i].set(keep)

    start = (residual, jnp.zeros_like(residual), jnp.zeros(size, bool))
    _, lower, kept = lax.fori_loop(0, size, step, start)
    return kept, lower
