"""One neuron as a model: the student that gradient descent trains to machine precision on a single-neuron task."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.activations import Nonlinearity, from_function, relu
from rfjax.networks.base import Layer, Params, State
from rfjax.numerics import matmul


class Neuron(Layer):
    """f(x) = σ(⟨w, x⟩ + b), with no scaling: parameters {"weight": [d], "bias": []}.

    Drawn with a uniform direction of length `norm` and zero bias.  It has no infinite-width reading.
    """

    activation: Nonlinearity
    norm: Float[Array, ""] | float

    def _init(self, key: PRNGKeyArray, in_dim: int) -> Params:
        draw = jax.random.normal(key, (in_dim,))
        return {"weight": self.norm * draw / jnp.linalg.norm(draw), "bias": jnp.zeros(())}

    def _apply(self, params: Params, X: Float[Array, "n in"], key: PRNGKeyArray | None = None) -> Float[Array, "n 1"]:
        if X.shape[1] != params["weight"].shape[0]:
            raise ValueError(f"X must have {params['weight'].shape[0]} columns, got shape {list(X.shape)}")
        return self.activation(matmul(X, params["weight"]) + params["bias"])[:, None]

    def _propagate(self, state: State) -> State:
        raise ValueError("a single neuron has no infinite-width limit: use its finite views (train, empirical_ntk)")

    def width_out(self, in_dim: int) -> int:
        return 1

    def fresh(self, before: bool = False) -> bool:
        return False

    def homogeneity(self, degree: float | None) -> float | None:
        return None


def neuron(
    activation: Nonlinearity | Callable[[Array], Array] = relu, *, norm: Float[Array, ""] | float = 1.0
) -> Neuron:
    """The model σ(⟨w, x⟩ + b), drawn with ‖w‖ = `norm` in a uniform direction and b = 0 (`Neuron`).

    **Raises** ValueError or TypeError for a norm that is not positive or an activation that is no function.
    """
    return Neuron(from_function(activation), checks.number("norm", norm, above=0.0))
