"""The fields of an Equinox module are the arguments of its constructor: what the API pages show as its signature."""

import ast
from typing import Any

from griffe import Class, Expr, ExprCall, ExprKeyword, Extension, Function, Parameter, ParameterKind, Parameters

UNNAMED = ("ClassVar", "AbstractVar", "AbstractClassVar")


class Fields(Extension):
    """Gives every class of annotated fields the `__init__` that they imply."""

    def on_class_members(self, *, node: Any, cls: Class, agent: Any, **kwargs: Any) -> None:
        """See `Extension`; called once a class, with its members."""
        if "__init__" in cls.members or not isinstance(node, ast.ClassDef):
            return
        fields = [
            Parameter(name, annotation=member.annotation, kind=ParameterKind.positional_or_keyword, default=default(member.value))
            for name, member in cls.members.items()
            if member.is_attribute and "class-attribute" in member.labels | {"class-attribute"} and shown(name, member)
        ]
        if fields:
            cls.set_member("__init__", Function("__init__", parameters=Parameters(Parameter("self"), *fields), parent=cls))


def shown(name: str, member: Any) -> bool:
    """Whether an attribute is a field that a caller gives."""
    annotation = str(member.annotation or "")
    made = isinstance(member.value, ExprCall) and any(str(argument) == "init=False" for argument in member.value.arguments)
    return bool(annotation) and not name.startswith("_") and not annotation.startswith(UNNAMED) and not made


def default(value: str | Expr | None) -> str | Expr | None:
    """The default of a field, through `eqx.field(default=...)`."""
    if isinstance(value, ExprCall) and str(value.function).endswith("field"):
        named = [a.value for a in value.arguments if isinstance(a, ExprKeyword) and a.name == "default"]
        return named[0] if named else None
    return value
