"""Matrix products at the highest precision: accelerators default to TF32 or bf16, which ruin a kernel's diagonal."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def matmul(a: Float[Array, "... n k"], b: Float[Array, "... k m"]) -> Float[Array, "... n m"]:
    """a @ b in the full precision of its dtype on every device."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def gram(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """x @ y.T in the full precision of its dtype: entry (i, j) is ⟨x_i, y_j⟩."""
    return matmul(x, y.T)


def settled(values: Array, probe: Array | None = None) -> Array:
    """`values` computed once: compilers would otherwise work out what belongs to a row again for every entry.

    A branch that depends on data is what they do not fuse across, as they do across barriers; here it is whether
    `probe`, by default `values` itself, has a NaN, and then all is NaN.
    """
    lost = jnp.isnan(values if probe is None else probe).any()
    return lax.cond(lost, lambda: values * jnp.nan, lambda: values)
