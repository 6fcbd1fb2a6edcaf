"""Which names of other modules a package uses and these do not have: found before a call fails on one."""

import ast
import inspect
import sys
import types
from collections.abc import Iterator

_GUARDED = {"jax.core.get_aval", "jax.core.lattice_join"}  # in checks that stay off
_LIBRARIES = ("jax", "numpy", "scipy", "frozendict")


def missing(package: str) -> list[str]:
    """Names such as `jax.lax.something`, read anywhere in the loaded modules of `package`, that do not exist."""
    loaded = [module for name, module in sys.modules.items() if name.startswith(f"{package}._src")]
    return sorted({name for module in loaded for name in _unresolved(module)} - _GUARDED)


def _unresolved(module: types.ModuleType) -> Iterator[str]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        path = _path(node)
        if len(path) < 2:
            continue
        value = vars(module).get(path[0])
        for name in path[1:]:
            if not isinstance(value, types.ModuleType) or value.__name__.partition(".")[0] not in _LIBRARIES:
                break
            if not hasattr(value, name):
                yield f"{value.__name__}.{name}"
                break
            value = getattr(value, name)


def _path(node: ast.AST) -> list[str]:
    """[a, b, c] of the expression a.b.c, else nothing."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (inner := _path(node.value)):
        return [*inner, node.attr]
    return []
