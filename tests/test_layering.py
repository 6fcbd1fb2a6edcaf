"""The house: imports run downward only, files stay short, and every public name says what it is."""

import ast
import importlib
import inspect
import pathlib
import subprocess
import sys

import pytest

import rfjax

ROOT = pathlib.Path(rfjax.__file__).parent
FLOORS = (
    "cli", "commands", "experiments", "interop", "plots", "theory", "training", "risk", "dynamics", "regression", "views",
    "tangent", "features", "kernels", "networks", "tasks", "activations", "numerics", "storage", "checks",
)  # fmt: skip
# What comes with JAX and the library itself; anything else is an extra, and lives above or in an adapter.
CORE = {"rfjax", "jax", "jaxlib", "jaxtyping", "equinox", "optax", "numpy", "scipy", "matfree", "lineax"}
APPLICATION = ("cli", "commands", "experiments", "interop", "plots")
OPTIONAL = ("matplotlib", "pandas", "rich", "tyro", "neural_tangents", "sklearn", "flax", "mpmath", "hypothesis", "pytest")
FILES = sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def room(module: str) -> str | None:
    """The floor a module is on; None for rfjax itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imported(module: str) -> set[str]:
    """The modules, in full, that a module imports anywhere in its text: `from a import b` is a.b where that is one."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.add(full if full in MODULES else base)
    return found


def inside(module: str) -> set[str]:
    return {name for name in imported(module) if name.split(".")[0] == "rfjax"}


def test_every_room_has_its_floor():
    rooms = {room(module) for module in MODULES} - {None, "__main__", "_version"}
    assert rooms <= set(FLOORS), "say where the new room stands"
    assert {"checks", "numerics", "activations", "networks", "kernels", "tasks"} <= rooms


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module):
    own = room(module)
    if own not in FLOORS:
        return
    known = FLOORS.index(own)
    exported = {room(name) for name in inside("rfjax")} - {None}
    for name in inside(module):
        other = room(name)
        if other is None:  # all of rfjax: only from above everything that it re-exports
            assert all(FLOORS.index(below) > known for below in exported), f"{module} imports rfjax, which imports {own}"
        else:
            assert FLOORS.index(other) >= known, f"{module} imports {name}, which is above it"


def test_no_cycles_within_a_room():
    edges = {module: {n for n in inside(module) if n in MODULES and room(n) == room(module)} for module in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a cycle: {' -> '.join((*path, module))}"
        if module not in done:
            for other in sorted(edges[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("module", sorted(m for m in MODULES if room(m) not in APPLICATION))
def test_the_library_imports_only_its_core(module):
    foreign = {name.split(".")[0] for name in imported(module)} - CORE - set(sys.stdlib_module_names)
    assert not foreign


def test_the_library_works_without_the_extras():
    # In a fresh process in which no optional package can be imported.
    library = sorted(m for m in MODULES if room(m) not in APPLICATION)
    program = f"""
import importlib, sys
for name in {OPTIONAL!r}:
    sys.modules[name] = None
for module in {library!r}:
    importlib.import_module(module)
print("all imported")
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.strip() == "all imported"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_one_thing(path):
    assert len(path.read_text().splitlines()) < 400


def packages() -> list[str]:
    return sorted(m for m, path in MODULES.items() if path.name == "__init__.py" and room(m) not in APPLICATION)


@pytest.mark.parametrize("package", packages())
def test_every_public_name_has_a_docstring(package):
    module = importlib.import_module(package)
    missing = []
    for name in getattr(module, "__all__", []):
        value = getattr(module, name)  # a name in __all__ that is not there raises
        if inspect.isclass(value):
            # A dataclass without one is given its signature.
            documented = bool(value.__doc__) and not value.__doc__.startswith(f"{value.__name__}(")
            methods = [m for n, m in vars(value).items() if not n.startswith("_") and (callable(m) or isinstance(m, property))]
            missing += [f"{name}.{n}" for n in _undocumented_methods(value)] if methods else []
        elif inspect.isroutine(value) or inspect.ismodule(value):
            documented = bool(inspect.getdoc(value))
        else:
            documented = True  # an instance has its class's, and a type alias can have none
        missing += [] if documented else [name]
    assert not missing


def _undocumented_methods(cls: type) -> list[str]:
    """Public methods and properties written in `cls` that neither it nor a parent documents."""
    own = [n for n, v in vars(cls).items() if not n.startswith("_") and (inspect.isroutine(v) or isinstance(v, property))]
    return [n for n in own if not any(inspect.getdoc(vars(parent).get(n)) for parent in cls.__mro__ if n in vars(parent))]


@pytest.mark.parametrize("package", packages())
def test_public_names_are_sorted_and_unique(package):
    names = list(getattr(importlib.import_module(package), "__all__", []))
    assert len(names) == len(set(names))
    if package != "rfjax":
        assert names == sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
