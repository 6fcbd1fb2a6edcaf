"""Flax models, Linen and NNX, as networks: parameters to differentiate, and everything else held fixed.

    from rfjax.interop.flax import from_linen, from_nnx

    model = from_nnx(lambda rngs: MyNetwork(rngs), shape=(32, 32, 3))
    k = rf.empirical_ntk(model, model.params)

It needs flax: pip install 'rfjax[flax]'.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from rfjax import checks
from rfjax.interop.model import Model

try:
    from flax import errors, linen, nnx
except ImportError as error:
    raise ImportError("rfjax.interop.flax needs flax: pip install 'rfjax[flax]'") from error

__all__ = ["from_linen", "from_nnx"]

_NO_KEY = (
    "this model draws Dropout masks and has no key for them: a kernel is of one function, so take it at evaluation "
    "(Linen: deterministic=True; NNX: model.eval())"
)
_MOVING = (
    "this model updates its batch statistics, and a batch of one has none: freeze them "
    "(Linen: use_running_average=True; NNX: model.eval())"
)


def from_linen(
    module: linen.Module,
    in_dim: int | None = None,
    *,
    variables: Any = None,
    key: PRNGKeyArray | None = None,
    shape: tuple[int, ...] | None = None,
    **settings: Any,
) -> Model:
    """A Linen module.  `params` are those of `variables`, or drawn with `key` for inputs of `in_dim` columns or `shape`.

    Other collections of `variables` (batch statistics) stay as they are; `settings` go to the module's call
    (`train=False`).  **Raises** ValueError for state that `variables` do not bring, batch statistics that are not frozen,
    Dropout without a key, or missing arguments.
    """
    if not isinstance(module, linen.Module):
        raise TypeError(f"module must be a flax.linen.Module, got {type(module).__name__}")
    size = shape if shape is not None else None if in_dim is None else (in_dim,)

    def draw(key: PRNGKeyArray) -> Any:
        if size is None:
            raise ValueError("in_dim, or the shape of one input, is needed to draw the parameters of a Linen module")
        drawn = _checked(lambda: module.init(key, jnp.zeros((1, *size)), **settings))
        state = sorted(set(drawn) - {"params"} - set(fixed))
        if state:
            raise ValueError(
                f"this model has state beside its parameters ({', '.join(state)}): pass the trained variables=, whose "
                "state is then held fixed"
            )
        return drawn["params"]

    fixed = {} if variables is None else {name: value for name, value in variables.items() if name != "params"}
    if variables is None and key is None:
        raise ValueError("give variables=, or key= to draw parameters")
    if variables is not None and "params" not in variables:
        raise ValueError(f"variables must have a collection 'params', got {sorted(variables)}")
    params = draw(checks.prng_key("key", key)) if variables is None else variables["params"]

    def apply(params: Any, X: Array) -> Array:
        return _checked(lambda: module.apply({"params": params, **fixed}, X, **settings))

    model = Model(params, apply, draw, size)
    if size is not None:  # what is wrong with it is said here
        jax.eval_shape(apply, params, jax.ShapeDtypeStruct((1, *size), jax.tree.leaves(params)[0].dtype))
    return model


def from_nnx(
    model: nnx.Module | Callable[[nnx.Rngs], nnx.Module],
    *,
    key: PRNGKeyArray | None = None,
    shape: tuple[int, ...] | None = None,
) -> Model:
    """An NNX model, or a function that makes one from `nnx.Rngs`, which a `key` then draws, here and in `init`.

    Its `nnx.Param`s are the parameters, as nested dicts; all else stays as it is.  **Raises** ValueError for batch
    statistics that are not frozen, for Dropout that is not switched off, or without a key where one is needed.
    """
    if isinstance(model, nnx.Module):
        graph, state, rest = _split(model)
        draw = None
    elif callable(model):
        if key is None:
            raise ValueError("key is required to make the model from a function: key=jax.random.key(seed)")
        make = model
        graph, state, rest = _split(_evaluating(make(nnx.Rngs(key))))

        def draw(key: PRNGKeyArray) -> Any:
            return nnx.to_pure_dict(_split(_evaluating(make(nnx.Rngs(key))))[1])
    else:
        raise TypeError(f"model must be an nnx.Module or a function of nnx.Rngs, got {type(model).__name__}")

    def apply(params: Any, X: Array) -> Array:
        own = jax.tree.map(lambda leaf: leaf, state)  # a copy to write in
        nnx.replace_by_pure_dict(own, params)
        return nnx.merge(graph, own, rest)(X)

    return Model(nnx.to_pure_dict(state), apply, draw, shape)


def _split(model: nnx.Module) -> tuple[Any, Any, Any]:
    for _, module in nnx.iter_modules(model):
        if getattr(module, "use_running_average", None) is False:
            raise ValueError(_MOVING)
        if isinstance(module, nnx.Dropout) and not module.deterministic and module.rate > 0:
            raise ValueError(_NO_KEY)
    parts: Any = nnx.split(model, nnx.Param, ...)  # three, by the number of filters
    return parts


def _evaluating(model: nnx.Module) -> nnx.Module:
    model.eval()
    return model


def _checked(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except errors.InvalidRngError as error:
        raise ValueError(_NO_KEY) from error
    except errors.ModifyScopeVariableError as error:
        raise ValueError(_MOVING) from error
