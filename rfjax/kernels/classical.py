"""Kernels that no network stands behind: the Gaussian (rbf) and the polynomial."""

from functools import partial

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.kernels.base import Kernel
from rfjax.kernels.pairs import Pairs


class RBF(Kernel):
    """k(x, y) = exp(−‖x − y‖²/(2·length_scale²)).

    `length_scale` is in the units of x.  **Raises** ValueError unless it is positive.
    """

    length_scale: Float[Array, ""] | float = eqx.field(
        default=1.0, converter=partial(checks.number, "length_scale", above=0.0)
    )

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return jnp.exp(-pairs.squared_distance / (2 * self.length_scale**2))


class Polynomial(Kernel):
    """k(x, y) = (scale·⟨x, y⟩ + offset)^degree.

    **Raises** ValueError for a degree below 1, a scale that is not positive or a negative offset.
    """

    degree: int = eqx.field(static=True, converter=partial(checks.count, "degree"))
    scale: Float[Array, ""] | float = eqx.field(default=1.0, converter=partial(checks.number, "scale", above=0.0))
    offset: Float[Array, ""] | float = eqx.field(default=1.0, converter=partial(checks.number, "offset", least=0.0))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return (self.scale * pairs.columns * pairs.covariance.cross + self.offset) ** self.degree


def rbf(length_scale: Float[Array, ""] | float = 1.0) -> RBF:
    """The Gaussian kernel exp(−‖x − y‖²/(2·length_scale²)); `length_scale` > 0 in the units of x."""
    return RBF(length_scale)


def polynomial(
    degree: int, scale: Float[Array, ""] | float = 1.0, offset: Float[Array, ""] | float = 1.0
) -> Polynomial:
    """The polynomial kernel (scale·⟨x, y⟩ + offset)^degree; degree >= 1, scale > 0, offset >= 0."""
    return Polynomial(degree, scale, offset)
