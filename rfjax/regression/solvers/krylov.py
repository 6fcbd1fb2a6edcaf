"""Preconditioned conjugate gradients for many right-hand sides at once, the operator known by its products alone."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from rfjax.numerics import safe_divide

Operator = Callable[[Float[Array, "n c"]], Float[Array, "n c"]]


class State(NamedTuple):
    """Where conjugate gradients stand: A·solution + residual = b, a column for each right-hand side.

        z = P⁻¹r;  ρ = ⟨r, z⟩;  p = z + (ρ/ρ₋)p;      (`turned`)
        α = ρ/⟨p, Ap⟩;  x += αp;  r −= αAp             (`moved`)

    `least` and `most` are the extremes of ⟨p, Ap⟩/⟨p, p⟩ so far, between which and beyond A has eigenvalues: what tells
    that it is not positive definite.  Hestenes & Stiefel 1952.  Columns that have arrived at their target stand still.
    """

    solution: Float[Array, "n c"]
    residual: Float[Array, "n c"]
    direction: Float[Array, "n c"]
    weight: Float[Array, " c"]
    step: Int[Array, ""]
    least: Float[Array, ""]
    most: Float[Array, ""]

    @classmethod
    def start(cls, b: Float[Array, "n c"]) -> "State":
        """At the solution 0."""
        zero = jnp.zeros_like(b)
        none = jnp.asarray(jnp.inf, b.dtype)
        return cls(zero, b, zero, jnp.zeros(b.shape[1], b.dtype), jnp.zeros((), jnp.int32), none, -none)

    def turned(self, inverse: Operator) -> "State":
        """With the next direction, conjugate to those before."""
        z = inverse(self.residual)
        weight = jnp.sum(self.residual * z, axis=0)
        return self._replace(direction=z + safe_divide(weight, self.weight) * self.direction, weight=weight)

    def moved(self, image: Float[Array, "n c"], target: Float[Array, " c"]) -> "State":
        """Along its direction, of which `image` is the product with A."""
        curvature, square = jnp.sum(self.direction * image, axis=0), jnp.sum(self.direction**2, axis=0)
        moving = (self.size > target) & (square > 0)
        length = jnp.where(moving, safe_divide(self.weight, curvature), 0)
        quotient = safe_divide(curvature, square)
        return self._replace(
            solution=self.solution + length * self.direction,
            residual=self.residual - length * image,
            step=self.step + 1,
            least=jnp.minimum(self.least, jnp.min(jnp.where(moving, quotient, jnp.inf))),
            most=jnp.maximum(self.most, jnp.max(jnp.where(moving, quotient, -jnp.inf))),
        )

    @property
    def size(self) -> Float[Array, " c"]:
        """‖residual‖ of each column."""
        return jnp.linalg.norm(self.residual, axis=0)


def advance(
    product: Operator, inverse: Operator, state: State, target: Float[Array, " c"], until: Int[Array, ""] | int
) -> State:
    """Steps until every column's ‖residual‖ is at its target, or `until` steps are made in all."""

    def unfinished(state: State) -> Bool[Array, ""]:
        return (state.step < until) & (state.size > target).any()

    def step(state: State) -> State:
        state = state.turned(inverse)
        return state.moved(product(state.direction), target)

    return lax.while_loop(unfinished, step, state)
