"""Frequencies drawn by their ridge leverage: those that a fit to given points uses."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax.features import draws
from rfjax.features.spectra import Mixing
from rfjax.numerics import gram, solve_lower

_POOL = 4  # candidates for each frequency that is kept


@partial(jax.jit, static_argnames="count")
def leverage(
    key: PRNGKeyArray, count: int, X: Float[Array, "n d"], ridge: Float[Array, ""] | float, mixing: Mixing
) -> tuple[Float[Array, "count d"], Float[Array, " count"]]:
    """Frequencies W [count, d] and their shares, for points X in length scales and k(0) = 1.

        candidates w_i, i = 1 … s = 4·count, iid;   z_i = [cos⟨w_i, X⟩, sin⟨w_i, X⟩]/√s  [n, 2]
        leverage_i = tr z_iᵀ (Σ_j z_j z_jᵀ + ridge·I)⁻¹ z_i;   q_i = ½·leverage_i/Σ_j leverage_j + ½/s
        w drawn from q with replacement, its share 1/(count·s·q)

    Given the candidates the mean of the sum is that over all of them, whose own mean is k: no bias.  The half of q that is
    uniform keeps shares below 2/count.  Li et al. 2019, *Towards a unified analysis of random Fourier features*.
    """
    pool_key, choice_key = jax.random.split(key)
    size = _POOL * count
    pool = draws.iid(pool_key, size, X.shape[1], mixing)
    angles = gram(X, pool.astype(X.dtype))
    waves = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=2).reshape(X.shape[0], -1) / size**0.5
    K = gram(waves, waves) + ridge * jnp.eye(X.shape[0], dtype=X.dtype)
    solved = solve_lower(jnp.linalg.cholesky(K), waves)
    scores = (solved**2).sum(0).reshape(size, 2).sum(1)
    q = 0.5 * scores / scores.sum() + 0.5 / size
    chosen = jax.random.choice(choice_key, size, (count,), p=q)
    return pool[chosen], 1 / (count * size * q[chosen])
