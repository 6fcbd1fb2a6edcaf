"""Any fit, kernel, network or flow in one file: arrays and a description of what they belong to, and no code.

The file is a zip archive that NumPy opens too: `structure.json` names rfjax's classes and holds their settings, and
0.npy, 1.npy, … are the arrays.  Reading it makes rfjax's own classes and nothing else; it never unpickles.
"""

import contextlib
import dataclasses
import importlib
import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rfjax import activations
from rfjax.activations import Quadrature
from rfjax.storage import StorageError, replaced

FORMAT = "rfjax"
VERSION = 1
_STRUCTURE = "structure.json"
_FUNCTIONS = {  # activations that are functions of JAX, by their names in rf.activations
    name: member.function for name, member in vars(activations).items() if isinstance(member, Quadrature)
}


def save(path: str | os.PathLike[str], value: Any) -> None:
    """Write a fit, kernel, feature map, network, flow or run, or a tuple, list or dict of such, into one file.

        rf.save("fit.rfjax", fit);  fit = rf.load("fit.rfjax")

    What is loaded predicts bit for bit what was saved.  A file that exists is replaced, whole or not at all.

    **Raises** TypeError, before anything is written, for what holds a function of yours (an activation, a network, a
    `start`): a file without code cannot bring it back; StorageError where the folder cannot be written.
    """
    arrays: list[np.ndarray] = []
    structure = {"format": FORMAT, "version": VERSION, "value": _Writer(arrays).write(value, type(value).__name__)}
    text = json.dumps(structure, allow_nan=False)
    with replaced(Path(path)) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(_STRUCTURE, text)
        for i, array in enumerate(arrays):
            with archive.open(f"{i}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def load(path: str | os.PathLike[str]) -> Any:
    """What `rf.save` wrote.

    **Raises** StorageError for a file that is missing, damaged, none of rfjax's or of a newer version, or that holds
    float64 where JAX is not set to it (jax_enable_x64).
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            structure = json.loads(archive.read(_STRUCTURE))
            if not isinstance(structure, dict) or structure.get("format") != FORMAT:
                raise StorageError("it was not written by rf.save")
            if structure["version"] != VERSION:
                raise StorageError(f"its format is version {structure['version']}, and this rfjax reads {VERSION}")
            return _Reader(archive).read(structure["value"])
    except StorageError as error:
        raise StorageError(f"cannot load {path}: {error}") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    except (
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        RecursionError,
        NotImplementedError,
    ) as error:
        raise StorageError(f"{path} is damaged, or was not written by rf.save ({error})") from error


class _Writer:
    """Turns a tree into JSON, with its arrays set aside."""

    def __init__(self, arrays: list[np.ndarray]):
        self._arrays = arrays

    def write(self, value: Any, place: str) -> Any:
        if value is None or isinstance(value, (bool, str)) or type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, (jax.Array, np.ndarray, np.generic)):
            return self._array(value, place)
        if type(value) in (tuple, list):
            return {type(value).__name__: [self.write(entry, f"{place}[{i}]") for i, entry in enumerate(value)]}
        if type(value) is dict and all(type(key) is str for key in value):
            return {"dict": [[key, self.write(entry, f"{place}[{key!r}]")] for key, entry in value.items()]}
        if _is_ours(type(value)):
            fields = {name: self.write(getattr(value, name), f"{place}.{name}") for name in _fields(type(value))}
            return {"class": _public_name(type(value)), "fields": fields}
        for name, function in _FUNCTIONS.items():
            if value is function:
                return {"activation": name}
        kind = f"a function ({_function_name(value)})" if callable(value) else f"a {type(value).__name__}"
        raise TypeError(
            f"{place} is {kind}, which a file without code cannot hold: rf.save takes what is made of rfjax's own parts "
            "(save the arrays, and make it anew)"
        )

    def _array(self, value: Any, place: str) -> dict[str, Any]:
        if isinstance(value, jax.core.Tracer):
            raise TypeError(f"{place} is a tracer: rf.save works outside of compiled functions")
        record: dict[str, Any] = {"array": len(self._arrays)}
        if isinstance(value, jax.Array):
            if not value.is_fully_addressable:
                raise TypeError(f"{place} is spread over several processes: gather it first")
            if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
                record["key"], value = str(jax.random.key_impl(value)), jax.random.key_data(value)
            record["kind"] = "weak" if value.aval.weak_type and value.ndim == 0 else "jax"
        else:
            record["kind"] = "numpy" if isinstance(value, np.ndarray) else "scalar"
        host = np.asarray(value)
        if host.dtype.hasobject:
            raise TypeError(f"{place} is an array of Python objects, which a file without code cannot hold")
        if host.dtype.kind == "V":  # bfloat16 and its like, which NumPy's format does not know
            record["dtype"] = str(host.dtype)
            host = host.view(f"u{host.dtype.itemsize}")
        self._arrays.append(host)
        return record


class _Reader:
    """Makes the tree again."""

    def __init__(self, archive: zipfile.ZipFile):
        self._archive = archive

    def read(self, node: Any) -> Any:
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        match node:
            case {"float": text}:
                return float(text)
            case {"tuple": list(entries)}:
                return tuple(self.read(entry) for entry in entries)
            case {"list": list(entries)}:
                return [self.read(entry) for entry in entries]
            case {"dict": list(entries)}:
                return {str(key): self.read(entry) for key, entry in entries}
            case {"activation": str(name)} if name in _FUNCTIONS:
                return _FUNCTIONS[name]
            case {"class": str(name), "fields": dict(fields)}:
                return self._module(name, fields)
            case {"array": int(number), "kind": str(kind)}:
                return self._array(f"{number}.npy", kind, node.get("key"), node.get("dtype"))
        raise StorageError(f"it holds something that this version of rfjax does not know: {str(node)[:80]}")

    def _module(self, name: str, fields: dict[str, Any]) -> Any:
        kind = _class(name)
        known = _fields(kind)
        if set(known) != fields.keys():
            other = ", ".join(sorted(set(known) ^ fields.keys()))
            raise StorageError(f"it was written by another version of rfjax, whose {name} differs in {other}")
        values = {field: self.read(fields[field]) for field in known}
        if issubclass(kind, tuple):
            return tuple.__new__(kind, values.values())
        module = object.__new__(kind)
        for field, entry in values.items():
            object.__setattr__(module, field, entry)  # as it was: no conversion, no checks
        return module

    def _array(self, name: str, kind: str, key: str | None, dtype: str | None) -> Any:
        with self._archive.open(name) as entry:
            host = np.lib.format.read_array(entry, allow_pickle=False)
            entry.read()  # to the end, where its checksum is compared
        if dtype is not None:
            host = host.view(jnp.dtype(dtype))
        if kind == "numpy":
            return host
        if kind == "scalar":
            return host[()]
        if jax.dtypes.canonicalize_dtype(host.dtype) != host.dtype:
            raise StorageError(f"it holds {host.dtype}: jax.config.update('jax_enable_x64', True) first")
        if key is not None:
            return jax.random.wrap_key_data(jnp.asarray(host), impl=key)
        weak = jnp.asarray(host.item()) if kind == "weak" else None
        return weak if weak is not None and weak.dtype == host.dtype else jnp.asarray(host)


def _function_name(value: Any) -> str:
    inner = getattr(value, "func", value)  # of a partial
    return getattr(inner, "__name__", type(inner).__name__)


def _is_ours(kind: Any) -> bool:
    """Whether it is a class of rfjax's that is nothing but its fields: a module or a named tuple."""
    return (
        isinstance(kind, type)
        and kind.__module__.split(".")[0] == "rfjax"
        and (issubclass(kind, eqx.Module) or (issubclass(kind, tuple) and hasattr(kind, "_fields")))
    )


def _fields(kind: type) -> list[str]:
    if issubclass(kind, eqx.Module):
        return [field.name for field in dataclasses.fields(kind)]
    return list(getattr(kind, "_fields"))  # noqa: B009 (of a named tuple, which type checkers do not know)


def _public_name(kind: type) -> str:
    """Where a class is found: in the room that exports it, so that files outlive a move within, or where it is written."""
    parts = kind.__module__.split(".")
    for length in range(1, len(parts) + 1):
        place = ".".join(parts[:length])
        if getattr(importlib.import_module(place), kind.__name__, None) is kind:
            return f"{place}.{kind.__name__}"
    raise TypeError(f"{kind.__qualname__} is made within a function: rf.save takes what is made of rfjax's own parts")


def _class(name: str) -> Any:
    """The class of this name.  Raises StorageError unless it is a module or a named tuple of rfjax's."""
    place, _, own = name.rpartition(".")
    kind = None
    if place.split(".")[0] == "rfjax" and "__main__" not in place:
        with contextlib.suppress(ImportError):
            kind = getattr(importlib.import_module(place), own, None)
    if not _is_ours(kind):
        raise StorageError(f"it holds a {name}, which this version of rfjax does not know")
    return kind
