"""The public names of rfjax, read from its source: where each is exported, defined and documented.  Nothing is imported."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = "rfjax"
ORDER = (
    "views", "networks", "activations", "kernels", "features", "tangent", "regression", "regression.solvers", "dynamics",
    "training", "diagnostics", "tasks", "risk", "theory", "saving", "datasets", "experiments", "report", "commands",
    "interop.sklearn", "interop.flax", "interop.equinox", "interop.neural_tangents", "plots", "numerics", "citing",
)  # fmt: skip
Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.Import | ast.Module


class Name(NamedTuple):
    """A public name of a room, the module that defines it, and its definition there (None where there is none)."""

    room: str
    name: str
    module: str
    node: Definition | None

    @property
    def path(self) -> str:
        """What a reader writes, with `rfjax` in full."""
        return f"{self.room}.{self.name}"

    @property
    def key(self) -> tuple[str, str]:
        """Equal for one object under two paths."""
        return self.module, getattr(self.node, "name", self.name)

    @property
    def kind(self) -> str:
        """function, class, value or module."""
        kinds = {ast.FunctionDef: "function", ast.ClassDef: "class", ast.Module: "module"}
        return kinds.get(type(self.node), "value")

    @property
    def documentation(self) -> str | None:
        """Its docstring; of a value the comment above or beside it, else the room's docstring where that names it."""
        if self.node is None:
            return None
        if isinstance(self.node, ast.FunctionDef | ast.ClassDef | ast.Module):
            return ast.get_docstring(self.node)
        if self.node.lineno:
            above, beside = source(self.module).read_text().splitlines()[self.node.lineno - 2 : self.node.lineno]
            for comment in (above.strip()[2:] if above.strip().startswith("# ") else "", beside.partition("  # ")[2]):
                if comment:
                    return comment
        text = ast.get_docstring(tree(self.room)) or ""
        return text if re.search(rf"\b{self.name}\b", text) else None

    @property
    def code(self) -> str:
        """The statement that gives a value."""
        return ast.unparse(self.node) if self.node else self.name


def shadowed(name: Name) -> bool:
    """Whether a module beside it has the name of a function or a class."""
    return name.kind in ("function", "class") and source(name.path).exists()


@cache
def tree(module: str) -> ast.Module:
    """The parsed source of a module."""
    return ast.parse(source(module).read_text())


def source(module: str) -> Path:
    """The file of a module."""
    stem = ROOT.joinpath(*module.split("."))
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


@cache
def rooms() -> dict[str, tuple[Name, ...]]:
    """Every module with public names, in reading order: those with `__all__`, and those that rfjax itself imports from."""
    found = {module: exported(module) for module in modules() if module != PACKAGE}
    for name in exported(PACKAGE):
        if name.kind != "module" and not any(
            name.module.startswith(f"{room}.") or name.module == room for room in found
        ):
            found[name.module] = ()
    for room in found:
        if not has_all(room):
            own = (name for name in exported(PACKAGE) if name.module == room and name.kind != "module")
            found[room] = tuple(name._replace(room=room) for name in own)

    def place(room: str) -> tuple[int, str]:
        short = room.removeprefix(f"{PACKAGE}.")
        return (ORDER.index(short) if short in ORDER else len(ORDER), short)

    return {room: found[room] for room in sorted(found, key=place) if found[room]}


@cache
def modules() -> tuple[str, ...]:
    """Every module with an `__all__`."""
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    dotted = (".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files)
    return tuple(module for module in dotted if has_all(module))


def has_all(module: str) -> bool:
    """Whether a module says what is public."""
    return any("__all__" in targets(node) for node in tree(module).body)


@cache
def exported(module: str) -> tuple[Name, ...]:
    """The names in a module's `__all__`."""
    for node in tree(module).body:
        if "__all__" in targets(node):
            return tuple(Name(module, name, *defined(module, name)) for name in ast.literal_eval(node.value))  # type: ignore[attr-defined]
    return ()


def defined(module: str, name: str) -> tuple[str, Definition | None]:
    """The module and the node that define a name which `module` exports, however often it is passed on."""
    for node in statements(tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                if (alias.asname or alias.name) != name:
                    continue
                found = defined(node.module or "", alias.name) if node.module != module else ("", None)
                inner = f"{node.module}.{alias.name}"
                return (inner, tree(inner)) if found[1] is None and source(inner).exists() else found
    for node in statements(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in targets(node):
            return module, node
        if isinstance(node, ast.Import) and name in {alias.asname for alias in node.names}:
            return module, node
    return module, None


def statements(node: ast.Module | ast.If | ast.Try) -> Iterator[ast.stmt]:
    """The statements of a module, those in its conditions included; where one is chosen, the last is the one at run time."""
    for inner in node.body + getattr(node, "orelse", []):
        if isinstance(inner, ast.If | ast.Try):
            yield from reversed(list(statements(inner)))
        else:
            yield inner


def targets(node: ast.AST) -> set[str]:
    """The names that an assignment gives a value."""
    left = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {part.id for target in left for part in ast.walk(target) if isinstance(part, ast.Name)}


@cache
def homes() -> dict[str, Name]:
    """Where each name is described, by every path under which it is public, as `rfjax.rbf` or `rfjax.kernels.rbf`.

    A name that several rooms export is described in the one nearest to its definition.
    """
    every = [name for names in rooms().values() for name in names]
    best: dict[tuple, Name] = {}
    for name in every:
        near = f"{name.module}.".startswith(f"{name.room}.")
        if name.key not in best or (near and len(name.room) > len(best[name.key].room)):
            best[name.key] = name
    return {name.path: best[name.key] for name in (*every, *exported(PACKAGE)) if name.key in best}
