"""Sums of branches, and residual connections."""

import dataclasses
from collections.abc import Sequence
from functools import reduce
from operator import add

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax.networks.base import Layer, Params, State
from rfjax.networks.serial import Serial


class Parallel(Layer):
    """The sum of branches that read the same input; parameters are a tuple with one entry a branch.

        h' = Σ_i f_i(h),   q' = Σ_i q_i,   Θ' = Σ_i Θ_i

    The kernels add up when the branches are uncorrelated: of the branches all but one must end in a Dense layer, whose
    new weights make it so (LayerNorm and Dropout may follow it).  The sum of covariances is `Covariance.__add__`.

    **Raises** ValueError without branches, TypeError for anything that is not a layer.  `init`, `apply` and the
    infinite-width reading raise ValueError when the branches' widths differ, the last also when the branches are not
    independent.  The width of the network's input is not known to it.
    """

    branches: tuple[Layer, ...]

    def __init__(self, *branches: Layer):
        if not branches:
            raise ValueError("Parallel needs at least one branch")
        for branch in branches:
            if not isinstance(branch, Layer):
                raise TypeError(f"Parallel takes layers as branches, got {type(branch).__name__}")
        self.branches = branches

    def _init(self, key: PRNGKeyArray, in_dim: int) -> Params:
        self.width_out(in_dim)
        keys = jax.random.split(key, len(self.branches))
        return tuple(branch._init(own, in_dim) for branch, own in zip(self.branches, keys, strict=True))

    def _apply(self, params: Params, X: Float[Array, "n in"], key: PRNGKeyArray | None = None) -> Float[Array, "n out"]:
        count = len(self.branches)
        if not isinstance(params, (tuple, list)) or len(params) != count:
            raise ValueError(f"params must be the tuple of {count} branches' parameters from init")
        keys = [None] * count if key is None else jax.random.split(key, count)
        return _sum([f._apply(own, X, k) for f, own, k in zip(self.branches, params, keys, strict=True)])

    def _propagate(self, state: State) -> State:
        dependent = [i for i, branch in enumerate(self.branches) if not branch.fresh()]
        if len(dependent) > 1:
            raise ValueError(
                "Parallel adds kernels only of independent branches: all but one must end in a Dense layer (new "
                f"weights), and branches {dependent} do not"
            )
        return _sum_states([branch._propagate(state) for branch in self.branches], state)

    def width_out(self, in_dim: int) -> int:
        return _width([branch.width_out(in_dim) for branch in self.branches])

    def fresh(self, before: bool = False) -> bool:
        return all(branch.fresh(before) for branch in self.branches)

    def homogeneity(self, degree: float | None) -> float | None:
        degrees = {branch.homogeneity(degree) for branch in self.branches}
        return degrees.pop() if len(degrees) == 1 else None


class Residual(Layer):
    """A skip connection around layers in a row: h' = h + f(h); parameters are those of Serial(*layers).

        q' = q + q_f,   Θ' = Θ + Θ_f

    The layers must end in a Dense layer (see `Parallel`): Residual(Activation(relu), Dense(512)).

    **Raises** as `Parallel`; for layers that end otherwise, the infinite-width reading raises ValueError.
    """

    branch: Serial

    def __init__(self, *layers: Layer):
        self.branch = Serial(*layers)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers whose output is added to their input."""
        return self.branch.layers

    def _init(self, key: PRNGKeyArray, in_dim: int) -> Params:
        self.width_out(in_dim)
        return self.branch._init(key, in_dim)

    def _apply(self, params: Params, X: Float[Array, "n in"], key: PRNGKeyArray | None = None) -> Float[Array, "n in"]:
        return _sum([X, self.branch._apply(params, X, key)])

    def _propagate(self, state: State) -> State:
        if not self.branch.fresh():
            raise ValueError(
                "Residual adds kernels only when its layers end in a Dense layer, whose new weights make them independent "
                "of what they are added to: put the Activation first, Residual(Activation(relu), Dense(width))"
            )
        return _sum_states([state, self.branch._propagate(state)], state)

    def width_out(self, in_dim: int) -> int:
        return _width([in_dim, self.branch.width_out(in_dim)])

    def fresh(self, before: bool = False) -> bool:
        return before and self.branch.fresh(before)

    def homogeneity(self, degree: float | None) -> float | None:
        return degree if self.branch.homogeneity(degree) == degree else None


def _width(widths: Sequence[int]) -> int:
    if len(set(widths)) > 1:
        raise ValueError(f"branches that are added must have one width, got {', '.join(map(str, widths))}")
    return widths[0]


def _sum(values: Sequence[Float[Array, "n out"]]) -> Float[Array, "n out"]:
    _width([value.shape[1] for value in values])
    return reduce(add, values)


def _sum_states(states: Sequence[State], before: State) -> State:
    declared = [state.units for state in states if state.hidden]
    return dataclasses.replace(
        before,
        covariance=reduce(add, [state.covariance for state in states]),
        ntk=reduce(add, [state.ntk for state in states]),
        units=_width(declared) if declared else before.units,
        hidden=all(state.hidden for state in states),
        gaussian=all(state.gaussian for state in states),
    )
