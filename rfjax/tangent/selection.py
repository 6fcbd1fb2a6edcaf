"""Some of a model's parameters, chosen by path, by a predicate or by a pytree of truths."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.networks import Function, Params, outputs_2d

Chosen = tuple[bool, ...]
PointFunction = Callable[[list[Array], Float[Array, " d"]], Float[Array, " c"]]


def paths(params: Params) -> list[str]:
    """The path of every leaf in pytree order, its keys joined by slashes: "0/weight", "Dense_1/kernel"."""
    found = jax.tree_util.tree_leaves_with_path(params)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in found]


def choose(params: Params, parameters: Any) -> Chosen:
    """Which leaves `parameters` asks for: None all; a path or several, each with all below it; a function of
    (path, leaf); or a pytree of bools whose structure is that of `params` or of its upper part.

    **Raises** ValueError where it asks for none, for a path that is not there or by a pytree of another structure,
    or where batch statistics are among all of them, TypeError for what is none of these.
    """
    names, leaves = paths(params), jax.tree.leaves(params)
    if parameters is None:
        checks.no_statistics(params)
        chosen: Iterable[bool] = [True] * len(names)
    elif isinstance(parameters, str):
        chosen = _below([parameters], names)
    elif _truths(parameters):
        chosen = _spread(parameters, params)
    elif callable(parameters):
        chosen = [bool(parameters(name, leaf)) for name, leaf in zip(names, leaves, strict=True)]
    elif isinstance(parameters, (list, tuple)) and parameters and all(isinstance(p, str) for p in parameters):
        chosen = _below(list(parameters), names)
    else:
        raise TypeError(
            "parameters must be None, a path ('0/weight') or several, a function of (path, leaf) or a pytree of bools, "
            f"got {parameters!r}"
        )
    picked = tuple(chosen)
    if not any(picked):
        raise ValueError(
            f"parameters must choose at least one of {', '.join(names)}"
            if names
            else "params must hold at least one array, and it has none"
        )
    for name, leaf, own in zip(names, leaves, picked, strict=True):
        if own:
            checks.floating("every parameter" if parameters is None else f"parameter {name}, which was chosen,", leaf)
    return picked


def _below(wanted: list[str], names: list[str]) -> list[bool]:
    for path in wanted:
        if not any(_under(path, name) for name in names):
            raise ValueError(f"parameters asks for {path!r}, which is none of {', '.join(names)}")
    return [any(_under(path, name) for path in wanted) for name in names]


def _under(path: str, name: str) -> bool:
    return name == path or name.startswith(f"{path}/")


def _truths(mask: Any) -> bool:
    leaves = jax.tree.leaves(mask)
    return bool(leaves) and all(isinstance(leaf, bool) for leaf in leaves)


def _spread(mask: Any, params: Params) -> list[bool]:
    try:
        return jax.tree.leaves(jax.tree.map(lambda truth, below: jax.tree.map(lambda _: truth, below), mask, params))
    except ValueError as error:
        raise ValueError(
            f"parameters, a pytree of bools, must have the structure of params or of its upper part: {error}"
        ) from error


def point_function(function: Function, params: Params, chosen: Chosen, dtype: Any) -> tuple[PointFunction, list[Array]]:
    """The outputs [c] at one point as a function of the chosen leaves and the point, and those leaves, in `dtype`.

    Only their floats change dtype: what counts or masks stays what it is.
    """
    leaves, structure = jax.tree.flatten(cast(params, dtype))

    def one(own: list[Array], x: Float[Array, " d"]) -> Float[Array, " c"]:
        new = iter(own)
        together = [next(new) if mine else leaf for mine, leaf in zip(chosen, leaves, strict=True)]
        return outputs_2d(function, jax.tree.unflatten(structure, together), x[None])[0]

    return one, [leaf for mine, leaf in zip(chosen, leaves, strict=True) if mine]


def cast(params: Params, dtype: Any) -> Params:
    """`params` with all floats in `dtype`: the dtype follows the input."""

    def one(leaf: Any) -> Any:
        array = jax.numpy.asarray(leaf)
        return array.astype(dtype) if jax.numpy.issubdtype(array.dtype, jax.numpy.floating) else leaf

    return jax.tree.map(one, params)
