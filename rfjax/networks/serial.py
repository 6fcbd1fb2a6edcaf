"""Layers in a row, and the multilayer perceptron."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.activations import Nonlinearity, relu
from rfjax.networks.base import Layer, Params, State
from rfjax.networks.dense import Activation, Dense
from rfjax.networks.repeat import iterate

_UNROLLED = 2  # repetitions that are written out: three and more compile and run faster as a loop
_FUSED = 4  # of layers that are one loop over all pairs together


class Serial(Layer):
    """Layers applied one after the other; parameters are a tuple with one entry a layer.

    The infinite-width reading finds layers that repeat, [Dense, Activation]·50 say, and compiles them as one loop, so that
    its program does not grow with depth.

    **Raises** ValueError without layers, TypeError for anything that is not a layer.
    """

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer):
        if not layers:
            raise ValueError("Serial needs at least one layer")
        for layer in layers:
            if not isinstance(layer, Layer):
                raise TypeError(f"Serial takes layers (Dense, Activation, …), got {type(layer).__name__}")
        self.layers = layers

    def _init(self, key: PRNGKeyArray, in_dim: int) -> Params:
        params = []
        for layer, layer_key in zip(self.layers, jax.random.split(key, len(self.layers)), strict=True):
            params.append(layer._init(layer_key, in_dim))
            in_dim = layer.width_out(in_dim)
        return tuple(params)

    def _apply(self, params: Params, X: Float[Array, "n in"], key: PRNGKeyArray | None = None) -> Float[Array, "n out"]:
        self._check(params)
        keys = [None] * len(self.layers) if key is None else jax.random.split(key, len(self.layers))
        for layer, own, layer_key in zip(self.layers, params, keys, strict=True):
            X = layer._apply(own, X, layer_key)
        return X

    def _propagate(self, state: State) -> State:
        unrolled = _FUSED if all(layer.fuses for layer in self.layers) else _UNROLLED
        for start, period, times in _runs([_kind(layer) for layer in self.layers], unrolled):
            layers = [self.layers[start + i * period : start + (i + 1) * period] for i in range(times)]
            if times == 1:
                state = _through(layers[0], state)
                continue
            leaves, rest = zip(*(eqx.partition(part, eqx.is_array_like) for part in layers), strict=True)
            state = iterate(partial(_with_leaves, rest[0]), state, list(leaves))
        return state

    def width_out(self, in_dim: int) -> int:
        for layer in self.layers:
            in_dim = layer.width_out(in_dim)
        return in_dim

    def fresh(self, before: bool = False) -> bool:
        for layer in self.layers:
            before = layer.fresh(before)
        return before

    def homogeneity(self, degree: float | None) -> float | None:
        for layer in self.layers:
            degree = layer.homogeneity(degree)
        return degree

    def hidden(self, params: Params, X: Float[Array, "n in"]) -> Float[Array, "n width"]:
        """The activations that enter the last layer."""
        self._check(params)
        for layer, own in zip(self.layers[:-1], params[:-1], strict=True):
            X = layer._apply(own, X)
        return X

    def zero_output(self, params: Params) -> Params:
        """The same parameters with the last layer at zero: the function that starts at 0 and has to learn features."""
        self._check(params)
        return (*params[:-1], jax.tree.map(jnp.zeros_like, params[-1]))

    def _check(self, params: Params) -> None:
        if not isinstance(params, (tuple, list)) or len(params) != len(self.layers):
            got = f"{type(params).__name__} of {len(params)}" if hasattr(params, "__len__") else type(params).__name__
            raise ValueError(f"params must be the tuple of {len(self.layers)} layers' parameters from init, got {got}")


def _through(layers: Sequence[Layer], state: State) -> State:
    for layer in layers:
        state = layer._propagate(state)
    return state


def _with_leaves(rest: Any, state: State, leaves: Any) -> State:
    return _through(eqx.combine(leaves, rest), state)


def _kind(layer: Layer) -> Any:
    """What two layers that differ in the values of their hyperparameters alone have in common."""
    leaves, structure = jax.tree.flatten(layer)
    return structure, tuple(jax.typeof(leaf) for leaf in leaves)


def _runs(kinds: Sequence[Any], unrolled: int) -> Iterator[tuple[int, int, int]]:
    """(start, period, times) that cover a sequence in order; times > 1 is a repetition long enough to be a loop:
    more than `unrolled` times.

    At every place the repetition that covers most is taken, and of those the one of the shortest period.
    """
    index = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    names, start = [index[kind] for kind in kinds], 0
    while start < len(names):
        best, rest = (start, 1, 1), len(names) - start
        for period in range(1, rest // (unrolled + 1) + 1):
            same = 0
            while same < rest - period and names[start + same] == names[start + same + period]:
                same += 1
            times = same // period + 1
            if times > unrolled and times * period > best[1] * best[2]:
                best = start, period, times
        yield best
        start += best[1] * best[2]


def mlp(
    *,
    depth: int,
    width: int,
    activation: Nonlinearity | Callable[[Array], Array] = relu,
    w_std: Float[Array, ""] | float = 2**0.5,
    b_std: Float[Array, ""] | float = 0.0,
    out: int = 1,
    parameterization: str = "ntk",
) -> Serial:
    """A multilayer perceptron: `depth` times (Dense(width), activation), then Dense(out), all with the same stds.

    `parameterization`, with one learning rate of SGD for all widths n (`Dense` has the formulas):

        "ntk"         lazy as n grows: units move O(1/√n), and the network becomes its linearisation
        "standard"    the same start as "ntk"; learning rates have to shrink as 1/n
        "mean_field"  the last layer averages its units, the others are "ntk"; features move, with learning rates ∝ n
        "mup"         maximal update: features move O(1) at every width (the last layer is "mup_readout")

    **Raises** ValueError or TypeError for depth, width or out below 1, bad stds or unknown names.
    """
    checks.count("depth", depth)
    checks.count("out", out)
    hidden, last = {"mean_field": ("ntk", "mean_field"), "mup": ("mup", "mup_readout")}.get(
        parameterization, (parameterization, parameterization)
    )
    layers: list[Layer] = []
    for _ in range(depth):
        layers += [Dense(width, w_std, b_std, parameterization=hidden), Activation(activation)]
    return Serial(*layers, Dense(out, w_std, b_std, parameterization=last))
