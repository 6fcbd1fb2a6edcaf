"""Bad input becomes one clear error, in one wording, before anything is compiled.

Every message names the argument, what it was and what it must be.  Checks on values (NaN, inf) are skipped for
tracers, whose values are not known yet; checks on shapes, dtypes and settings never are.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool


def is_traced(*trees: Any) -> bool:
    """Whether any leaf of `trees` is a tracer: its shape is known and its values are not."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def floating(name: str, value: Any) -> Array:
    """`value` as a floating-point array; raises TypeError for integers, booleans, complex numbers and non-arrays."""
    try:
        dtype = value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be an array of floats, got {type(value).__name__}") from error
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"{name} must have a floating dtype, got {dtype}: convert it, for instance {name}.astype(float)"
        )
    return jnp.asarray(value)


@jax.jit
def _all_finite(value: Array) -> Bool[Array, ""]:
    return jnp.isfinite(value).all()


def _all_finite_here(value: np.ndarray) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        total = value.sum()  # no NaN or inf leaves it finite, and one pass without a second array mostly settles it
    return bool(np.isfinite(total) or np.isfinite(value).all())


def _values(name: str, value: Array) -> None:
    if is_traced(value):
        return
    with jax.ensure_compile_time_eval():  # a known array inside a compiled function has known values
        # On the host it is done in place: nothing to compile or to dispatch.
        if not (_all_finite_here(np.asarray(value)) if _on_host(value) else _all_finite(value)):
            bad = int(value.size) - int(jnp.isfinite(value).sum())
            raise ValueError(f"{name} must be finite, got {bad} NaN or inf among {value.size} entries")


def _on_host(value: Array) -> bool:
    return value.is_fully_addressable and next(iter(value.devices())).platform == "cpu"


def points(name: str, value: Any, *, columns: int | None = None) -> Array:
    """A data matrix [n, d]: two axes, at least one row and one column, floating, finite; `columns` fixes d."""
    array = floating(name, value)
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape [n, d], got {list(array.shape)}")
    if 0 in array.shape:
        raise ValueError(f"{name} must have at least one row and one column, got shape {list(array.shape)}")
    if columns is not None and array.shape[1] != columns:
        raise ValueError(f"{name} must have {columns} columns, got shape {list(array.shape)}")
    _values(name, array)
    return array


def targets(name: str, value: Any, *, rows: int) -> Array:
    """Targets [n] or [n, c], one row for each of the `rows` data points, floating, finite."""
    array = floating(name, value)
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(f"{name} must have shape [n] or [n, c] with c >= 1, got {list(array.shape)}")
    if array.shape[0] != rows:
        raise ValueError(f"{name} must have one row a data point: got {array.shape[0]} rows for {rows} points")
    _values(name, array)
    return array


def outputs(name: str, value: Array, *, like: tuple[int, ...]) -> Array:
    """A function's values brought to the trailing shape of y: one output counts as scalar where y is [n].

    `value` is [m] or [m, c] and `like` is y's shape.  [m, 1] becomes [m] when y is [n], [m] becomes [m, 1] when y is
    [n, 1]; anything else that differs raises ValueError.
    """
    trailing = tuple(like[1:])
    if value.ndim == 2 and trailing == () and value.shape[1] == 1:
        return value[:, 0]
    if value.ndim == 1 and trailing == (1,):
        return value[:, None]
    if tuple(value.shape[1:]) != trailing:
        raise ValueError(f"{name} gives outputs of shape {list(value.shape)}, and y has shape {list(like)}")
    return value


def number(
    name: str,
    value: Any,
    *,
    above: float = -np.inf,
    least: float = -np.inf,
    most: float = np.inf,
    below: float = np.inf,
) -> Any:
    """A real scalar with above < value < below and least <= value <= most; a tracer or scalar array passes unchecked."""
    if is_traced(value):
        return value
    if isinstance(value, np.generic):
        value = value.item()  # a Python number does not widen float32
    array = isinstance(value, jax.Array) and value.ndim == 0 and not jnp.iscomplexobj(value)
    if isinstance(value, bool) or not (array or isinstance(value, (int, float))):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    if not np.isfinite(value) or not (above < value < below and least <= value <= most):
        bounds = [f"> {above}"] * (above > -np.inf) + [f">= {least}"] * (least > -np.inf)
        bounds += [f"<= {most}"] * (most < np.inf) + [f"< {below}"] * (below < np.inf)
        raise ValueError(f"{name} must be a finite number {' and '.join(bounds)}".rstrip() + f", got {value!r}")
    return value


def count(name: str, value: Any, *, least: int = 1) -> int:
    """An integer of at least `least`; raises TypeError for floats and booleans, ValueError below the bound."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def choice(name: str, value: Any, known: Iterable[str]) -> str:
    """One of the `known` names; raises ValueError that lists them."""
    known = list(known)
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")
    return str(value)


def no_statistics(params: Any) -> Any:
    """The parameters, unless they are the variables of a Flax module with batch statistics among them: ValueError."""
    if isinstance(params, Mapping) and "params" in params and "batch_stats" in params:
        raise ValueError(
            "params must hold parameters alone, and hold batch statistics too ('batch_stats'): hold them fixed with "
            "rfjax.interop.flax.from_linen(module, variables=...)"
        )
    return params


def prng_key(name: str, value: Any, *, batched: bool = False) -> Array:
    """A JAX random key; with `batched` also an array [s] of keys.  Raises TypeError otherwise."""
    if value is None:
        raise ValueError(f"{name} is required here: the answer is random (pass {name}=jax.random.key(seed))")
    if not isinstance(value, jax.Array):
        raise TypeError(f"{name} must be a JAX random key (jax.random.key(seed)), got {type(value).__name__}")
    if not jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        if value.dtype != jnp.uint32 or value.ndim == 0:
            raise TypeError(f"{name} must be a JAX random key (jax.random.key(seed)), got an array of {value.dtype}")
        value = jax.random.wrap_key_data(value)
    if value.size == 0:
        raise ValueError(f"{name} must hold at least one key, got shape {list(value.shape)}")
    if value.ndim > (1 if batched else 0):
        wanted = "one key or a vector of keys" if batched else "one key (jax.vmap over several)"
        raise ValueError(f"{name} must be {wanted}, got shape {list(value.shape)}")
    return value
