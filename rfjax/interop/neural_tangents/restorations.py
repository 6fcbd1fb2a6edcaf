"""What neural-tangents 0.6.5 needs of JAX and SciPy and does not find there any more, name by name."""

import math
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import scipy.linalg
from jax.extend import source_info_util
from jax.extend.core import Primitive

from rfjax.interop.neural_tangents.linearization import flatten, linearize, transpose_rule
from rfjax.interop.neural_tangents.overlay import Restoration


class DShapedArray:
    """The type of arrays of a shape known only when they run.  There are none: nothing is an instance."""


ZEROS_LIKE = Primitive("zeros_like")


def safe_map(function: Any, *sequences: Any) -> list[Any]:
    """map, to a list, of sequences of one length."""
    return [function(*entries) for entries in safe_zip(*sequences)]


def safe_zip(*sequences: Any) -> list[tuple[Any, ...]]:
    """zip, to a list, of sequences of one length."""
    return list(zip(*sequences, strict=True))


def size(a: Any, axis: Any = None) -> int:
    """How many entries `a` has, or has along an axis."""
    shape = jax.numpy.shape(a)
    return math.prod(shape) if axis is None else shape[axis]


def dtype(a: Any) -> np.dtype:
    """The dtype that `a` is or has."""
    return np.dtype(getattr(a, "dtype", a))


def eigvalsh(a: Any, *arguments: Any, eigvals: tuple[int, int] | None = None, **settings: Any) -> Any:
    """scipy.linalg.eigvalsh with the indices of the eigenvalues wanted given as `eigvals`."""
    if eigvals is not None:
        settings["subset_by_index"] = eigvals
    return scipy.linalg.eigvalsh(a, *arguments, **settings)


def _moved(name: str) -> Restoration:
    def make() -> Any:
        return getattr(__import__("jax.extend.core", fromlist=(name,)), name)

    return Restoration("jax.core", name, make, "moved to jax.extend.core")


RESTORATIONS = (
    *map(_moved, ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var")),
    Restoration("jax.core", "DShapedArray", lambda: DShapedArray, "removed; an empty class"),
    Restoration(
        "jax.core",
        "eval_context",
        lambda: jax.ensure_compile_time_eval,
        "once left the tracing of known values; that is jax.ensure_compile_time_eval",
        replaces=True,
    ),
    Restoration("jax.util", "safe_map", lambda: safe_map, "removed; map over sequences of one length"),
    Restoration("jax.util", "safe_zip", lambda: safe_zip, "removed; zip of sequences of one length"),
    Restoration(
        "jax.interpreters.ad", "source_info_util", lambda: source_info_util, "moved to jax.extend.source_info_util"
    ),
    Restoration(
        "jax.interpreters.ad",
        "config",
        lambda: SimpleNamespace(jax_enable_checks=False),
        "removed; it guards checks with functions that JAX removed too, which stay off",
    ),
    Restoration(
        "jax.interpreters.ad",
        "zeros_like_p",
        lambda: ZEROS_LIKE,
        "removed; a primitive that no function contains",
    ),
    Restoration("jax.interpreters.ad", "reducing_transposes", dict, "removed; empty"),
    Restoration(
        "jax.extend.linear_util",
        "wrap_init",
        lambda: lambda function: function,
        "deprecated without an account of the function; the function as it is",
        replaces=True,
    ),
    Restoration(
        "jax.api_util",
        "flatten_fun_nokwargs",
        lambda: flatten,
        "takes functions wrapped by wrap_init alone; the same for plain ones",
        replaces=True,
    ),
    Restoration(
        "jax.interpreters.ad",
        "linearize",
        lambda: linearize,
        "has another signature; the old one, from jax.linearize and jax.make_jaxpr",
        replaces=True,
    ),
    Restoration(
        "jax.interpreters.ad",
        "get_primitive_transpose",
        lambda: transpose_rule,
        "does not know every primitive any more; the others by jax.linear_transpose",
        replaces=True,
    ),
    Restoration("jax.numpy", "size", lambda: size, "refuses descriptions of arrays; takes them", replaces=True),
    Restoration("jax.numpy", "dtype", lambda: dtype, "refuses arrays; gives their dtype", replaces=True),
    Restoration(
        "scipy.linalg",
        "eigvalsh",
        lambda: eigvalsh,
        "its argument eigvals was renamed to subset_by_index",
        replaces=True,
    ),
)
