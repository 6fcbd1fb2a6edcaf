"""The Gram matrix as a linear operator: its products, and never its entries."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.kernels.base import Kernel, as_operand
from rfjax.kernels.ring import Ring
from rfjax.kernels.tiles import Tiling


class GramOperator(eqx.Module):
    """V ↦ k(X) V, for use inside compiled loops; of X that is spread over devices, each multiplies its own rows.

    It is made outside of them: how X lies on its devices is not seen from inside.  **Raises** TypeError or ValueError
    for bad data.
    """

    kernel: Kernel
    X: Float[Array, "n d"]
    layout: Tiling | Ring = eqx.field(static=True)

    def __init__(self, kernel: Kernel, X: Float[Array, "n d"]):
        self.kernel, self.X = as_operand(kernel), checks.points("X", X)
        self.layout = self.kernel.layout(self.X, None)

    def __call__(self, V: Float[Array, "n c"]) -> Float[Array, "n c"]:
        """k(X) V."""
        return self.kernel._product(self.X, None, V.astype(jnp.result_type(self.X, V)), self.layout)

    def astype(self, dtype: str | jnp.dtype) -> "GramOperator":
        """The same in another precision, hyperparameters and all."""
        kernel = jax.tree.map(lambda v: v.astype(dtype) if eqx.is_inexact_array(v) else v, self.kernel)
        return GramOperator(kernel, self.X.astype(dtype))
