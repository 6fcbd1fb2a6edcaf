"""How the API pages read the source, where griffe alone would miss something.

The fields of an Equinox module are the arguments of its constructor.  A function that has the name of a module beside it
(`rf.tasks.polynomial`, in rfjax/tasks/polynomial.py) is known as `name()`, as there is one place for each name.  Lines of
code below a module's first line are code, though the formatter takes their indentation away.
"""

import ast
import re
from typing import Any

from griffe import (
    Alias,
    Class,
    Expr,
    ExprCall,
    ExprKeyword,
    Extension,
    Function,
    Module,
    Parameter,
    ParameterKind,
    Parameters,
)

from website.names import PACKAGE, rooms, shadowed

UNNAMED = ("ClassVar", "AbstractVar", "AbstractClassVar")


class Fields(Extension):
    """Gives every class of annotated fields the `__init__` that they imply."""

    def on_class_members(self, *, node: Any, cls: Class, agent: Any, **kwargs: Any) -> None:
        """See `Extension`; called once a class, with its members."""
        if "__init__" in cls.members or not isinstance(node, ast.ClassDef):
            return
        fields = [
            Parameter(
                name,
                annotation=member.annotation,
                kind=ParameterKind.positional_or_keyword,
                default=default(member.value),
            )
            for name, member in cls.members.items()
            if member.is_attribute and shown(name, member)
        ]
        if fields:
            cls.set_member(
                "__init__", Function("__init__", parameters=Parameters(Parameter("self"), *fields), parent=cls)
            )


class Shadowed(Extension):
    """Gives a name that a module has too a second place, `name()`."""

    def __init__(self) -> None:
        super().__init__()
        self.functions: dict[str, Function] = {}

    def on_function_instance(self, *, func: Function, **kwargs: Any) -> None:
        """See `Extension`; called once a function, before modules of the same name replace it."""
        self.functions.setdefault(func.path, func)

    def on_package(self, *, pkg: Module, **kwargs: Any) -> None:
        """See `Extension`; called once, when all is read."""
        for name in (name for names in rooms().values() for name in names if pkg.path == PACKAGE and shadowed(name)):
            room = pkg[name.room.removeprefix(f"{PACKAGE}.")]
            target = f"{name.module}.{name.name}"
            own = self.functions.get(target) if name.module == name.room else Alias(name.name, target, parent=room)
            room.members[f"{name.name}()"] = own


class Listings(Extension):
    """Indents the paragraphs of a module's docstring whose lines are all code."""

    def on_module_instance(self, *, mod: Module, **kwargs: Any) -> None:
        """See `Extension`; called once a module."""
        if mod.docstring:
            mod.docstring.value = "\n\n".join(map(listing, mod.docstring.value.split("\n\n")))


def listing(paragraph: str) -> str:
    """The paragraph, as a code block where every line is code."""
    lines = paragraph.split("\n")
    code = all(re.match(r"rf\.|from \w|import |\w+(, \w+)* = ", line) for line in lines)
    return "\n".join(f"    {line}" for line in lines) if code else paragraph


def shown(name: str, member: Any) -> bool:
    """Whether an attribute is a field that a caller gives."""
    annotation = str(member.annotation or "")
    made = isinstance(member.value, ExprCall) and any(
        str(argument) == "init=False" for argument in member.value.arguments
    )
    return bool(annotation) and not name.startswith("_") and not annotation.startswith(UNNAMED) and not made


def default(value: str | Expr | None) -> str | Expr | None:
    """The default of a field, through `eqx.field(default=...)`."""
    if isinstance(value, ExprCall) and str(value.function).endswith("field"):
        named = [a.value for a in value.arguments if isinstance(a, ExprKeyword) and a.name == "default"]
        return named[0] if named else None
    return value
