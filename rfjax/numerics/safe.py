"""Roots, norms and angles whose values and derivatives stay finite where the textbook forms do not."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def safe_sqrt(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """√max(x, 0), with derivative 0 where x <= 0 (the limit of ½/√x is infinite there)."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)


def safe_divide(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    """a / b, and 0 with derivative 0 where b = 0."""
    nonzero = b != 0
    return jnp.where(nonzero, a / jnp.where(nonzero, b, 1), 0)


def norm(x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Euclidean norms of rows, without overflow or underflow of squares; derivative 0 at the zero row.

    s = max_j |x_j|;  ‖x‖ = s·√Σ_j (x_j/s)²
    """
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    return scale[..., 0] * safe_sqrt(jnp.sum(safe_divide(x, scale) ** 2, axis=-1))


def angle(below: Float[Array, "..."], above: Float[Array, "..."]) -> Float[Array, "..."]:
    """The angle θ in [0, π] with cos θ = (above − below)/(above + below), right to the last digits near 0 and π.

        θ = 2·atan2(√below, √above)

    For vectors u, v take below = ‖u‖‖v‖ − ⟨u,v⟩ and above = ‖u‖‖v‖ + ⟨u,v⟩, each computed without cancellation
    (½‖û−v̂‖², say).  θ has a kink at 0 and π: there its derivative is taken as 0, the mean over directions.
    θ(0, 0) = 0.
    """
    return 2 * _atan2(safe_sqrt(below), safe_sqrt(above))


def _atan2(y: Float[Array, "..."], x: Float[Array, "..."]) -> Float[Array, "..."]:
    origin = (x == 0) & (y == 0)
    return jnp.where(origin, 0, jnp.arctan2(y, jnp.where(origin, 1, x)))


_SERIES = 12  # terms: below 1e-17 relative at θ = 1


def sin_minus_theta_cos(theta: Float[Array, "..."]) -> Float[Array, "..."]:
    """sin θ − θ cos θ to full relative precision for θ in [0, π]; it is θ³/3 near 0, where the difference cancels.

    Σ_{k≥1} (−1)^{k+1} 2k θ^{2k+1}/(2k+1)!   for θ < 1
    """
    small = theta < 1
    t = jnp.where(small, theta, 0)
    factors = [(-1) ** (k + 1) * 2 * k / float(np.prod(np.arange(1.0, 2 * k + 2))) for k in range(1, _SERIES + 1)]
    series = jnp.zeros_like(t)
    for factor in reversed(factors):
        series = series * t**2 + factor
    return jnp.where(small, series * t**3, jnp.sin(theta) - theta * jnp.cos(theta))
