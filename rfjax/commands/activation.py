"""Activations by name on the command line: `relu`, `leaky_relu(0.1)`, `tanh`.  Names and literals, never code."""

import ast
import inspect
from typing import Any

JAX = ("celu", "elu", "log_sigmoid", "mish", "selu", "sigmoid", "silu", "softplus", "soft_sign", "tanh")


def parse(text: str) -> Any:
    """The member of rf.activations that `text` names, with its arguments if it has any; or a function of jax.nn.

    **Raises** ValueError for anything else, naming what there is.
    """
    import jax

    from rfjax import activations

    members = {name: getattr(activations, name) for name in activations.__all__}
    values = {name: m for name, m in members.items() if isinstance(m, activations.Nonlinearity)}
    makers: dict[str, Any] = {
        name: m for name, m in members.items() if inspect.isfunction(m) and name != "from_function"
    }
    makers |= {name: lambda name=name: activations.from_function(getattr(jax.nn, name)) for name in JAX}
    name, arguments, keywords = _call(text)
    if name in values and arguments is None:
        return values[name]
    if name not in makers or (arguments is None) != (name in JAX):
        known = sorted([*values, *JAX, *(f"{n}{_signature(m)}" for n, m in makers.items() if n not in JAX)])
        raise ValueError(f"activation must be one of {', '.join(known)}; got {text!r}")
    try:
        return makers[name](*(arguments or ()), **keywords)
    except TypeError as error:
        raise ValueError(f"activation {text!r}: {error}") from error


def _call(text: str) -> tuple[str, list[Any] | None, dict[str, Any]]:
    """(name, None, {}) of `name`, or (name, arguments, keywords) of `name(literals)`; the name is "" for the rest."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            arguments = [ast.literal_eval(argument) for argument in node.args]
            return node.func.id, arguments, {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return "", None, {}
    return (node.id, None, {}) if isinstance(node, ast.Name) else ("", None, {})


def _signature(maker: Any) -> str:
    return f"({', '.join(inspect.signature(maker).parameters)})"
