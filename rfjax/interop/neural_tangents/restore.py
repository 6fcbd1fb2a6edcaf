"""Import neural-tangents over the names that it needs; or say what is missing and leave everything as it was."""

import importlib
import importlib.metadata
import importlib.util
import sys
import types
from typing import Any

import jax

from rfjax.interop.neural_tangents.overlay import imported_over, overlays
from rfjax.interop.neural_tangents.uses import missing

VERSION = "0.6.5"
INSTALL = f"pip install --no-deps neural-tangents=={VERSION} && pip install 'frozendict>=2.3.8'"
_PACKAGE = "neural_tangents"
_TESTED = "0.10"


def restore() -> tuple[str, ...]:
    """Import neural-tangents, unless that has been done, and say what it was given.  Raises ImportError as the package."""
    if sys.modules.get(_PACKAGE) is not None:
        return ()
    _require_installed()
    try:
        from rfjax.interop.neural_tangents.restorations import RESTORATIONS

        needed = [restoration for restoration in RESTORATIONS if restoration.needed]
        with imported_over([_PACKAGE], overlays(needed), {f"{_PACKAGE}.experimental": _Experimental()}):
            importlib.import_module(_PACKAGE)
            empirical = importlib.import_module(f"{_PACKAGE}._src.empirical")
            if lost := missing(_PACKAGE):
                raise ImportError(f"it uses {', '.join(lost)}")
        added = _mend(empirical)
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"neural-tangents {VERSION} does not work on JAX {jax.__version__}: {error}.  rfjax knows what it misses on JAX "
            f"{_TESTED}, and has changed nothing"
        ) from error
    return (*map(str, needed), *added)


def _require_installed() -> None:
    for module in (_PACKAGE, "frozendict"):
        if importlib.util.find_spec(module) is None:
            raise ImportError(f"{module} is not installed; without TensorFlow: {INSTALL}", name=module)
    found = importlib.metadata.version("neural-tangents")
    if found != VERSION:
        raise ImportError(f"neural-tangents must be {VERSION}, got {found}: {INSTALL}", name=_PACKAGE)


def _mend(empirical: types.ModuleType) -> list[str]:
    """The two that are no names of modules, and so cannot be seen by neural-tangents alone."""
    from jax.extend.core import Primitive

    done = ["jax.stages.Compiled.cost_analysis: gives one dictionary, no list of them; read so in neural-tangents"]
    vars(empirical)["_get_flops"] = _flops
    if not hasattr(Primitive, "map_primitive"):
        Primitive.map_primitive = False  # type: ignore[attr-defined]
        done.append("jax.extend.core.Primitive.map_primitive: removed; False, the one addition to JAX itself")
    return done


def _flops(function: Any, optimize: bool, *arguments: Any, **settings: Any) -> float:
    """Floating-point operations of a call, by the account of XLA."""
    lowered = jax.jit(function).lower(*arguments, **settings)
    costs: Any = (lowered.compile() if optimize else lowered).cost_analysis()
    return costs["flops"]


class _Experimental(types.ModuleType):
    """Stands for neural_tangents.experimental, which imports TensorFlow."""

    def __init__(self) -> None:
        super().__init__(f"{_PACKAGE}.experimental", self.__doc__)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"{self.__name__}.{name} needs TensorFlow, and is left out here")
