"""What a kernel is, in words that are the same in every process: so that a resumed computation knows its own."""

import dataclasses
import functools
import hashlib
import types
import uuid
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def describe(value: Any) -> Any:
    """`value`, a pytree with static parts, as JSON: classes by name, arrays by their digest, functions by their code.

    Equal kernels made in two processes have equal descriptions.  Of functions it sees the code, the closure and the
    defaults, not what they call.  An object that cannot be told from another is described anew each time.
    """
    return _describe(value, ())


def _describe(value: Any, above: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, (complex, bytes)):
        return repr(value)
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return _array(value)
    if id(value) in above:
        return {"above": len(above) - above.index(id(value))}
    inner = functools.partial(_describe, above=(*above, id(value)))
    if isinstance(value, Mapping):
        return {"map": sorted(([inner(key), inner(entry)] for key, entry in value.items()), key=repr)}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [inner(entry) for entry in value]}
    if isinstance(value, (set, frozenset)):
        return {"set": sorted((inner(entry) for entry in value), key=repr)}
    if isinstance(value, functools.partial):
        return {"partial": [inner(value.func), inner(value.args), inner(value.keywords)]}
    if isinstance(value, types.MethodType):
        return {"method": [inner(value.__func__), inner(value.__self__)]}
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        parts = [value.__code__, cells, value.__defaults__, value.__kwdefaults__]
        return {_name(value): [inner(part) for part in parts]}
    if isinstance(value, types.CodeType):
        return [hashlib.sha256(value.co_code).hexdigest(), inner(value.co_consts), inner(value.co_names)]
    if isinstance(value, (type, np.dtype, types.BuiltinFunctionType, types.ModuleType)):
        return _name(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
        return {_name(type(value)): inner(fields)}
    if callable(getattr(value, "__wrapped__", None)):  # jitted, or with a derivative of its own
        return inner(value.__wrapped__)
    if callable(value) and hasattr(value, "__name__"):
        return _name(value)
    return {_name(type(value)): inner(vars(value)) if hasattr(value, "__dict__") else uuid.uuid4().hex}


def _array(value: Any) -> list[Any]:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    host = np.ascontiguousarray(value)
    return [str(host.dtype), list(np.shape(value)), hashlib.sha256(host.tobytes()).hexdigest()]


def _name(value: Any) -> str:
    name = getattr(value, "__qualname__", getattr(value, "__name__", str(value)))
    return f"{getattr(value, '__module__', '')}.{name}"
