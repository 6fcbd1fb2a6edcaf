"""A kernel normalised to a cosine."""

import equinox as eqx
from jaxtyping import Array, Float

from rfjax.kernels.base import Kernel, as_operand
from rfjax.kernels.pairs import DiagonalPairs, Pairs
from rfjax.numerics import safe_divide, safe_sqrt


class Normalised(Kernel):
    """k(x, y) = kernel(x, y)/√(kernel(x, x)·kernel(y, y)), the cosine in feature space: 1 on the diagonal.

    0 where kernel(x, x) = 0, as it is at x = 0 for networks without biases.
    """

    kernel: Kernel = eqx.field(converter=as_operand)

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        left, right = pairs.own(self.kernel._evaluate)
        if isinstance(pairs, DiagonalPairs):
            return (left > 0).astype(left.dtype)
        return safe_divide(safe_divide(self.kernel._evaluate(pairs), safe_sqrt(left)), safe_sqrt(right))
