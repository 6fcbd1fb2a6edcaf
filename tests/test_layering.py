"""The house: imports run downward only, files stay short, and every public name says what it is."""

import ast
import importlib
import inspect
import pathlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

import rfjax

ROOT = pathlib.Path(rfjax.__file__).parent
FLOORS = (
    "cli", "commands", "report", "experiments", "interop", "plots", "datasets", "theory", "citing", "saving", "diagnostics",
    "training", "risk", "dynamics", "regression", "views", "tangent", "features", "kernels", "networks", "tasks",
    "activations", "numerics", "storage", "progress", "checks",
)  # fmt: skip
APPLICATION = ("cli", "commands", "report", "experiments", "interop", "plots", "datasets")  # where extras may be needed
OPTIONAL = (
    "matplotlib",
    "pandas",
    "rich",
    "tyro",
    "neural_tangents",
    "sklearn",
    "flax",
    "orbax",
    "mpmath",
    "hypothesis",
    "pytest",
)
FILES = sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def room(module: str) -> str | None:
    """The floor a module is on; None for rfjax itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def statements(tree: ast.AST, skip: tuple[str, ...]) -> Iterator[ast.AST]:
    """All nodes below `tree`, but for what stands in functions ("lazy") or under TYPE_CHECKING ("types")."""
    for node in ast.iter_child_nodes(tree):
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not ((lazy and "lazy" in skip) or (types and "types" in skip)):
            yield node
            yield from statements(node, skip)


def imported(module: str, *skip: str) -> set[str]:
    """The modules, in full, that a module imports anywhere in its text: `from a import b` is a.b where that is one."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in statements(ast.parse(path.read_text()), skip):
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


def inside(module: str, *skip: str) -> set[str]:
    return {name for name in imported(module, *skip) if name.split(".")[0] == "rfjax"}


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
            assert all(FLOORS.index(below) > known for below in exported), (
                f"{module} imports rfjax, which imports {own}"
            )
        else:
            assert FLOORS.index(other) >= known, f"{module} imports {name}, which is above it"


def test_no_cycles_within_a_room():
    edges = {m: {n for n in inside(m, "types") if n in MODULES and room(n) == room(m)} for m in MODULES}
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
def test_the_library_needs_its_declared_dependencies_alone(module):
    declared = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]["dependencies"]
    core = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in declared} | {"rfjax", "jaxlib"}
    assert {"jax", "numpy"} <= core
    needed = {name.split(".")[0] for name in imported(module, "lazy", "types")} - set(sys.stdlib_module_names)
    assert needed <= core


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


def undocumented(name: str, value: object) -> list[str]:
    """What lacks a docstring: a function, a class, or a public method that neither it nor a parent documents."""
    if getattr(value, "__module__", "").split(".")[0] != "rfjax" or not (
        inspect.isclass(value) or inspect.isroutine(value)
    ):
        return []  # an instance has its class's docstring, and a type alias can have none
    if inspect.isroutine(value):
        return [] if inspect.getdoc(value) else [name]
    # A dataclass without a docstring is given its signature as one.
    missing = [] if value.__doc__ and not value.__doc__.startswith(f"{value.__name__}(") else [name]
    for member, own in vars(value).items():
        if not member.startswith("_") and (inspect.isroutine(own) or isinstance(own, property)):
            written = [vars(parent)[member] for parent in value.__mro__ if member in vars(parent)]
            missing += [] if any(inspect.getdoc(method) for method in written) else [f"{name}.{member}"]
    return missing


@pytest.mark.parametrize("package", packages())
def test_every_public_name_has_a_docstring(package):
    module = importlib.import_module(package)
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    assert [lack for name in names for lack in undocumented(name, getattr(module, name))] == []


def test_the_docstring_test_finds_what_lacks():
    class Bare:
        def method(self):
            pass

    Bare.__module__ = "rfjax.somewhere"
    assert undocumented("Bare", Bare) == ["Bare", "Bare.method"]
