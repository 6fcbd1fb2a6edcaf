"""A layer of frozen neurons as a feature map: drawn from chosen laws, or taken from a network."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.activations import Nonlinearity, from_function, rectified_monomial, relu
from rfjax.features.base import FeatureMap
from rfjax.features.laws import DRAWS, WEIGHTS, Law, Normal, draw_weights
from rfjax.networks import Activation, Dense, Neuron, Params, Serial
from rfjax.numerics import gram


class Neurons(FeatureMap):
    """φ(x) = [scale·σ(W x + b), constant]; without `constant` only the neurons, without `bias` b = 0."""

    weight: Float[Array, "r d"]
    bias: Float[Array, " r"] | None
    activation: Nonlinearity
    scale: Float[Array, ""] | float = 1.0
    constant: Float[Array, ""] | float | None = None

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        z = gram(X, self.weight.astype(X.dtype))
        h = self.scale * self.activation(z if self.bias is None else z + self.bias.astype(X.dtype))
        if self.constant is None:
            return h
        return jnp.concatenate([h, jnp.broadcast_to(jnp.asarray(self.constant, h.dtype), (h.shape[0], 1))], axis=1)

    @property
    def in_dim(self) -> int:
        return self.weight.shape[1]

    @property
    def neurons(self) -> "Neurons":
        return self


class NetworkFeatures(FeatureMap):
    """The frozen hidden layers of a network, scaled by its output layer: φ(x) = [scale·h(x), b_std].

    The network's outputs are φ times its last (weight, bias), and for one hidden layer E φ(x)·φ(y) is its NNGP
    (deeper, up to O(1/width)).  p = width + [b_std ≠ 0].
    """

    network: Serial
    params: Params
    columns: int = eqx.field(static=True)

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        params = jax.tree.map(lambda leaf: leaf.astype(X.dtype), self.params)
        last = self.network.layers[-1]
        assert isinstance(last, Dense)
        return last.features(self.network.hidden(params, X))

    @property
    def in_dim(self) -> int:
        return self.columns

    @property
    def neurons(self) -> Neurons | None:
        return _hidden_neurons(self.network, self.params)


def _hidden_neurons(net: object, params: Params) -> Neurons | None:
    """The hidden layer of a network Dense, Activation, Dense, scaled by its output layer; None for other networks."""
    match net:
        case Serial(layers=(Dense() as first, Activation(function=activation), Dense() as last)):
            hidden = params[0]
        case _:
            return None
    width, fan_in = hidden["weight"].shape
    weight, bias = first.multipliers(fan_in)
    scale, constant = last.scales(width)
    return Neurons(
        hidden["weight"] * weight,
        hidden["bias"] * bias if first.has_bias else None,
        activation,
        scale,
        constant if last.has_bias else None,
    )


def network_neurons(net: object, params: Params) -> tuple[Neurons, Float[Array, " p"]] | None:
    """A one-hidden-layer network of one output, or a single neuron, as features and the readout u: f(x) = φ(x)·u.

    None for any other model.
    """
    if isinstance(net, Neuron):
        bias = params["bias"][None]
        return Neurons(params["weight"][None, :], bias, net.activation), jnp.ones_like(bias)
    features = _hidden_neurons(net, params)
    if features is None or net.layers[-1].width != 1:  # type: ignore[attr-defined]
        return None
    last, out = net.layers[-1], params[-1]  # type: ignore[attr-defined]
    weight, bias = last.spreads(out["weight"].shape[1])
    readout = [out["weight"][0] / weight, *([out["bias"] / bias] if last.has_bias else [])]
    return features, jnp.concatenate(readout)


def random_neurons(
    in_dim: int,
    count: int,
    *,
    key: PRNGKeyArray,
    activation: Nonlinearity | Callable[[Array], Array] = relu,
    weights: str = "sphere",
    bias: Law = Normal(1.0),  # noqa: B008 (immutable)
    draw: str = "iid",
) -> Neurons:
    """`count` random neurons φ_i(x) = σ(⟨w_i, x⟩ + b_i)/√count, so that E φ(x)·φ(y) = E_w σ(⟨w, x⟩+b)σ(⟨w, y⟩+b).

    `weights`: "sphere" (uniform, unit length) or "gaussian" (N(0, I/d)).  `bias`: a law of `rf.features`: Zero(),
    Constant(c), Normal(std), Uniform(low, high).  `draw`: weights "iid", "orthogonal" (at right angles in blocks of d) or
    "sobol" (quasi-random, drawn on the host); each is still of its law, so that the mean is the same and the error smaller.

    **Raises** ValueError or TypeError for sizes below 1, unknown laws or draws, or a bad key.
    """
    checks.choice("draw", draw, DRAWS)
    in_dim, count = checks.count("in_dim", in_dim), checks.count("count", count)
    checks.choice("weights", weights, WEIGHTS)
    if not isinstance(bias, Law):
        raise TypeError(f"bias must be a law (Zero(), Constant(c), Normal(std), Uniform(low, high)), got {bias!r}")
    sigma = from_function(activation)
    weight_key, bias_key = jax.random.split(checks.prng_key("key", key))
    w = draw_weights(weights, weight_key, count, in_dim, draw)
    return Neurons(w, bias.draw(bias_key, count), sigma, count**-0.5)


def arc_cosine_neurons(
    order: int, in_dim: int, features: int, *, key: PRNGKeyArray, draw: str = "orthogonal"
) -> Neurons:
    """φ_i(x) = √(2/p)·⟨w_i, x⟩₊ⁿ, w ~ N(0, I): E φ(x)·φ(y) is `rf.arc_cosine(order)`.  Cho & Saul 2009.

    The neurons as they are, by a `draw` of `rf.random_neurons`; `rf.features.gegenbauer` expands the kernel's low degrees
    in full and errs less.

    **Raises** ValueError or TypeError for sizes below 1, an order below 0, an unknown draw or a bad key.
    """
    checks.choice("draw", draw, DRAWS)
    order, in_dim = checks.count("order", order, least=0), checks.count("in_dim", in_dim)
    count = checks.count("features", features)
    w = draw_weights("gaussian", checks.prng_key("key", key), count, in_dim, draw)
    return Neurons(w * in_dim**0.5, None, rectified_monomial(order), (2 / count) ** 0.5)
