"""Many runs in one program: which axes they have, and how they become one vector of runs."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, Shaped

from rfjax import checks
from rfjax.networks import Params

SEED = "seed"


class Axes(eqx.Module):
    """The leading axes of a run's arrays: their names in order, and the values along each.

    "seed" (0, 1, …) comes first where `key` was a vector; every entry of `settings` follows.  No axes: a single run.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    values: tuple[Shaped[Array, " _"], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(value.shape[0] for value in self.values)

    def along(self, name: str, values: Shaped[Array, "_ ..."]) -> Shaped[Array, "runs ..."]:
        """What varies along one axis, for every run in one vector of them."""
        place, shape, rest = self.names.index(name), self.shape, values.shape[1:]
        after = len(shape) - place - 1
        placed = values.reshape(*(1,) * place, values.shape[0], *(1,) * after, *rest)
        return jnp.broadcast_to(placed, shape + rest).reshape(-1, *rest)

    def everywhere(self, value: Shaped[Array, "..."]) -> Shaped[Array, "runs ..."]:
        """The same for every run."""
        return jnp.broadcast_to(value, (int(np.prod(self.shape)), *value.shape))

    def fold(self, tree: Any) -> Any:
        """From one vector of runs to the axes: every leaf [runs, ...] becomes [*shape, ...]."""
        if len(self.shape) < 2:
            return tree
        return jax.tree.map(lambda leaf: leaf.reshape(*self.shape, *leaf.shape[1:]), tree)


def plan(
    key: PRNGKeyArray, settings: Mapping[str, Any] | None, dtype: Any
) -> tuple[Axes, PRNGKeyArray, dict[str, Array]]:
    """The axes, and for one vector of runs (or for the single run) the keys and the settings.

    **Raises** TypeError or ValueError for settings that are not vectors of numbers.
    """
    varied = {} if settings is None else {name: _vector(name, value, dtype) for name, value in settings.items()}
    axes = Axes(tuple(varied), tuple(varied.values()))
    if key.ndim:
        axes = Axes((SEED, *axes.names), (jnp.arange(key.shape[0]), *axes.values))
    if varied:
        key = axes.along(SEED, key) if key.ndim else axes.everywhere(key)
    return axes, key, {name: axes.along(name, value) for name, value in varied.items()}


def starts(axes: Axes, params: Params) -> Params:
    """Initial parameters, given for each seed or for the one there is, for every run in one vector of them."""
    if not axes.names or axes.names == (SEED,):
        return params
    spread = (lambda leaf: axes.along(SEED, leaf)) if SEED in axes.names else axes.everywhere
    return jax.tree.map(spread, params)


def over(count: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function mapped over `count` leading axes of all its arguments."""
    for _ in range(count):
        function = eqx.filter_vmap(function)
    return function


def _vector(name: str, value: Any, dtype: Any) -> Shaped[Array, " _"]:
    """The values of a setting: floats in the parameters' dtype, integers as they are."""
    try:
        array = jnp.asarray(value)
    except TypeError as error:
        raise TypeError(f"settings must be vectors of numbers, got {value!r} for {name!r}") from error
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"settings must be vectors of at least one value, got shape {list(array.shape)} for {name!r}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return array
    if not checks.is_traced(array) and not bool(jnp.isfinite(array).all()):
        raise ValueError(f"settings must be finite, got NaN or inf for {name!r}")
    return array.astype(dtype)
