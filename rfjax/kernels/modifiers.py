"""A kernel normalised to a cosine."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax.kernels.base import Kernel, as_operand
from rfjax.kernels.pairs import DiagonalPairs, Pairs
from rfjax.numerics import safe_divide, safe_sqrt, settled


class Normalised(Kernel):
    """k(x, y) = kernel(x, y)/√(kernel(x, x)·kernel(y, y)), the cosine in feature space: 1 on the diagonal.

    0 where kernel(x, x) = 0, as it is at x = 0 for networks without biases.
    """

    kernel: Kernel = eqx.field(converter=as_operand)

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        if isinstance(pairs, DiagonalPairs):
            own = self.kernel._evaluate(pairs)
            return (own > 0).astype(own.dtype)
        left, right = (
            settled(safe_divide(jnp.ones_like(own), safe_sqrt(own))) for own in pairs.own(self.kernel._evaluate)
        )
        return self.kernel._evaluate(pairs) * left * right
