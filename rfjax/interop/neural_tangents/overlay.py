"""Give the modules of one package a namespace of their own: what they import has names that others do not see.

An import statement asks the builtins of the module it stands in for `__import__`.  A package loaded here has builtins
whose `__import__` answers with an overlay, a module that has the restored names and passes every other on to the real
one.  The real modules stay as they are, and so does whoever else imports them.
"""

import builtins
import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from typing import Any


@dataclass(frozen=True)
class Restoration:
    """One name that a module once had: `module.name`, made by `make()`.  `why` says what became of it.

    It is made only where the name is missing or deprecated, or, with `replaces`, where it has changed its meaning.
    """

    module: str
    name: str
    make: Callable[[], Any]
    why: str
    replaces: bool = False

    def __str__(self) -> str:
        return f"{self.module}.{self.name}: {self.why}"

    @property
    def needed(self) -> bool:
        """Whether this JAX lacks it."""
        return self.replaces or not _has(_real(self.module), self.name)


class Overlay(types.ModuleType):
    """A module with names added, over the real one."""

    def __init__(self, name: str, names: Mapping[str, Any]):
        super().__init__(name)
        real = _real(name)
        vars(self).update(names, __doc__=getattr(real, "__doc__", None), _real=real)

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._real, name)
        except AttributeError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name) from None

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *dir(self._real)})


def overlays(restorations: Iterable[Restoration]) -> dict[str, Overlay]:
    """The overlay of every module that one of the `restorations` names, and of the packages around it."""
    names: dict[str, dict[str, Any]] = {}
    for restoration in restorations:
        parts = restoration.module.split(".")
        for i in range(len(parts)):
            names.setdefault(".".join(parts[: i + 1]), {})
        names[restoration.module][restoration.name] = restoration.make()
    found: dict[str, Overlay] = {}
    for module in sorted(names, reverse=True):  # what is inside comes before what is around it
        inner = {name.rpartition(".")[2]: found[name] for name in found if name.rpartition(".")[0] == module}
        found[module] = Overlay(module, names[module] | inner)
    return found


@contextmanager
def imported_over(
    packages: Sequence[str], overlays: Mapping[str, Overlay], stand_ins: Mapping[str, types.ModuleType]
) -> Iterator[None]:
    """While inside, `packages` import over the `overlays`, and find `stand_ins` in place of modules of their own.

    What they import later, when their functions run, comes over the overlays too.  If the import fails, nothing of the
    packages stays in `sys.modules`.
    """
    _forget(packages)
    finder = _Finder(packages, overlays, stand_ins)
    sys.meta_path.insert(0, finder)
    try:
        yield
    except BaseException:
        _forget(packages)
        raise
    finally:
        sys.meta_path.remove(finder)


def _forget(packages: Sequence[str]) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of some packages where Python does, and has them loaded over the overlays."""

    def __init__(
        self, packages: Sequence[str], overlays: Mapping[str, Overlay], stand_ins: Mapping[str, types.ModuleType]
    ):
        self.packages, self.stand_ins = packages, stand_ins
        self.builtins = vars(builtins) | {"__import__": _import_over(overlays)}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name in self.stand_ins:
            return importlib.machinery.ModuleSpec(name, _StandIn(self.stand_ins[name]))
        if name.partition(".")[0] not in self.packages:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self.builtins)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, builtins: dict[str, Any]):
        super().__init__(name, path)
        self.builtins = builtins

    def exec_module(self, module: types.ModuleType) -> None:
        vars(module)["__builtins__"] = self.builtins
        super().exec_module(module)


class _StandIn(importlib.abc.Loader):
    def __init__(self, module: types.ModuleType):
        self.module = module

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return self.module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def _import_over(overlays: Mapping[str, Overlay]) -> Callable[..., Any]:
    def importing(name: str, space: Any = None, local: Any = None, wanted: Any = (), level: int = 0) -> Any:
        overlay = overlays.get(name) if level == 0 else None
        if overlay is None or not wanted:
            module = builtins.__import__(name, space, local, wanted, level)
            return overlays.get(module.__name__, module)
        elsewhere = [entry for entry in wanted if entry not in vars(overlay)]
        if elsewhere:  # they may be modules that nobody has imported yet
            builtins.__import__(name, space, local, elsewhere)
        return overlay

    return importing


def _real(name: str) -> types.ModuleType | None:
    """The module of this name, None where there is none (any more)."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def _has(module: types.ModuleType | None, name: str) -> bool:
    """Whether `module` has it, and does not say that it soon will not."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            getattr(module, name)
        except (AttributeError, DeprecationWarning):
            return False
    return module is not None
