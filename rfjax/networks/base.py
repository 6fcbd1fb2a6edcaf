"""A layer reads three ways: `init` draws it, `apply` runs it, `propagate` is its infinite-width limit."""

import abc
from functools import partial
from typing import TYPE_CHECKING, Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from rfjax import checks
from rfjax.numerics import Covariance

if TYPE_CHECKING:
    Params = Any  # a type checker cannot follow a pytree
else:
    # The parameters of a network, or of any f(params, X): a pytree of arrays.
    Params = PyTree[Float[Array, "..."]]


class State(eqx.Module):
    """What flows through an infinitely wide network: both kernels of its activations at once.

    `covariance` holds the second moments of one unit (the NNGP), `ntk` the tangent kernel so far, and `units` how many
    such units feed the next layer, which the standard parameterisation counts.  What layers ask of their input:

    - `hidden`: a Dense layer came before, so that there are infinitely many units and `units` is a declared width;
    - `gaussian`: the units are centred Gaussians, as they are after a Dense layer;
    - `same`: the pairs are points with themselves (a diagonal), which share what is random at run time.
    """

    covariance: Covariance
    ntk: Float[Array, "..."]
    units: int = eqx.field(static=True)
    hidden: bool = eqx.field(static=True, default=False)
    gaussian: bool = eqx.field(static=True, default=False)
    same: bool = eqx.field(static=True, default=False)

    @property
    def nngp(self) -> Float[Array, "..."]:
        """E of the product of one unit's activations at the two points."""
        return self.covariance.cross


class Layer(eqx.Module):
    """One layer, or a network of them.

    A subclass gives `_init`, `_apply`, `_propagate` and `width_out`, and declares `fresh` and `homogeneity`.
    """

    @abc.abstractmethod
    def _init(self, key: PRNGKeyArray, in_dim: int) -> Params:
        """Parameters for inputs of `in_dim` columns."""

    @abc.abstractmethod
    def _apply(self, params: Params, X: Float[Array, "n in"], key: PRNGKeyArray | None = None) -> Float[Array, "n out"]:
        """The layer's outputs; with a `key`, what is random at run time (Dropout) is drawn from it."""

    @abc.abstractmethod
    def _propagate(self, state: State) -> State:
        """The state after the layer, every width going to infinity."""

    @abc.abstractmethod
    def width_out(self, in_dim: int) -> int:
        """How many columns come out when `in_dim` go in."""

    @abc.abstractmethod
    def fresh(self, before: bool = False) -> bool:
        """Whether the units that come out are centred and independent given the network's input, as new weights make them.

        `before` says so of the units that go in.
        """

    @property
    def fuses(self) -> bool:
        """Whether compilers make one loop over all pairs of several such layers in a row."""
        return False

    @abc.abstractmethod
    def homogeneity(self, degree: float | None) -> float | None:
        """The p of q(x, y) = ‖x‖ᵖ‖y‖ᵖ f(cos θ) after the layer, for x and y nonzero, when it is `degree` before; else None.

        It holds for the NNGP and the NTK alike, on pairs of different points and, with another f, on the diagonal.
        """

    @final
    def init(self, key: PRNGKeyArray, in_dim: int | tuple[int, ...]) -> Params:
        """Draw parameters for inputs of `in_dim` columns (an int, or an input shape ending in it).

        A `key` of shape [s] draws s independent networks: every leaf gains a leading axis s.

        **Raises** TypeError or ValueError for anything that is not a key or not a positive size.
        """
        key = checks.prng_key("key", key, batched=True)
        if isinstance(in_dim, tuple):
            if not in_dim:
                raise ValueError("in_dim must be an int or a shape with at least one axis, got ()")
            in_dim = in_dim[-1]
        size = checks.count("in_dim", in_dim)
        return _draw(self, key, size)

    @final
    def apply(
        self, params: Params, X: Float[Array, "n in"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n out"]:
        """The network's outputs [n, out] at X [n, d], in X's dtype.  A `key` makes it the network in training, with Dropout.

        **Raises** TypeError for data that are not floats or a bad key, ValueError for a wrong shape, NaN or inf.
        """
        return _run(self, params, checks.points("X", X), None if key is None else checks.prng_key("key", key))

    @final
    def propagate(self, state: State) -> State:
        """The infinite-width reading: the NNGP and the NTK after this layer from those before it, in one pass."""
        return self._propagate(state)


@partial(jax.jit, static_argnames="in_dim")
def _draw(layer: Layer, key: PRNGKeyArray, in_dim: int) -> Params:
    one = partial(layer._init, in_dim=in_dim)
    return jax.vmap(one)(key) if key.ndim else one(key)


@jax.jit
def _run(layer: Layer, params: Params, X: Float[Array, "n in"], key: PRNGKeyArray | None) -> Float[Array, "n out"]:
    return layer._apply(jax.tree.map(lambda leaf: jnp.asarray(leaf, X.dtype), params), X, key)


def require_gaussian(layer: str, state: State) -> None:
    """Raise ValueError unless the units that enter `layer` are centred Gaussians."""
    if not state.gaussian:
        raise ValueError(
            f"{layer} has no infinite-width limit where its inputs are not Gaussian units: put it after a Dense layer "
            "(LayerNorm and sums of Dense layers keep units Gaussian; inputs, Activation and Dropout do not)"
        )


def is_network(value: Any) -> bool:
    """Whether `value` has an infinite-width reading."""
    return isinstance(value, Layer)
