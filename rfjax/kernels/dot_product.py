"""Kernels of norms and angles: polynomial, exponential, arc-cosine and angular."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import activations, checks
from rfjax.kernels.base import Kernel
from rfjax.kernels.hyperparameters import Scalar, like, real
from rfjax.kernels.pairs import Pairs


class Polynomial(Kernel):
    """k(x, y) = (scale·⟨x, y⟩ + offset)^degree.

    **Raises** ValueError for a degree below 1, a scale that is not positive or a negative offset.
    """

    degree: int = eqx.field(static=True, converter=lambda degree: checks.count("degree", degree))
    scale: Scalar = eqx.field(default=1.0, converter=real("scale", above=0.0))
    offset: Scalar = eqx.field(default=1.0, converter=real("offset", least=0.0))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        inner = pairs.columns * pairs.covariance.cross
        return (like(self.scale, inner) * inner + like(self.offset, inner)) ** self.degree


class Exponential(Kernel):
    """k(x, y) = exp(scale·⟨x, y⟩), the kernel of softmax attention.

    **Raises** ValueError for a scale that is not positive.
    """

    scale: Scalar = eqx.field(default=1.0, converter=real("scale", above=0.0))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        inner = pairs.columns * pairs.covariance.cross
        return jnp.exp(like(self.scale, inner) * inner)


class ArcCosine(Kernel):
    """The arc-cosine kernel of Cho & Saul 2009, *Kernel methods for deep learning*: with θ the angle of x and y,

        k(x, y) = 2·E_w ⟨w,x⟩₊ⁿ⟨w,y⟩₊ⁿ = (1/π)‖x‖ⁿ‖y‖ⁿ J_n(θ),   w ~ N(0, I)
        J₀ = π − θ      J₁ = sin θ + (π − θ)cos θ      J_n(0) = π(2n − 1)!!

    It has no hyperparameters.  A zero row is at right angles to everything, itself included, where n = 0.

    **Raises** ValueError for an order n below 0.
    """

    order: int = eqx.field(static=True, converter=lambda order: checks.count("order", order, least=0))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        projections = jax.tree.map(lambda moment: pairs.columns * moment, pairs.covariance)  # of ⟨w, x⟩ and ⟨w, y⟩
        return 2 * activations.rectified_monomial(self.order).propagate(projections).cross


def polynomial(degree: int, scale: Scalar = 1.0, offset: Scalar = 1.0) -> Polynomial:
    """The polynomial kernel (scale·⟨x, y⟩ + offset)^degree; degree >= 1, scale > 0, offset >= 0."""
    return Polynomial(degree, scale, offset)


def exponential(scale: Scalar = 1.0) -> Exponential:
    """The exponential kernel exp(scale·⟨x, y⟩); scale > 0."""
    return Exponential(scale)


def arc_cosine(order: int) -> ArcCosine:
    """The arc-cosine kernel 2·E_w ⟨w,x⟩₊ⁿ⟨w,y⟩₊ⁿ, w ~ N(0, I), of order n >= 0: features [⟨w, x⟩]₊ⁿ."""
    return ArcCosine(order)


def angular() -> ArcCosine:
    """The angular kernel 1 − θ/π, θ the angle of x and y: the arc-cosine kernel of order 0.

    Half at a zero row, which has no direction.
    """
    return ArcCosine(0)
