"""Reading a function's jaxpr: one walk over its equations, with values or with marks in their place."""

import math
from collections.abc import Callable
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun, jaxprs_in_params

_INLINED = ("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat2")

Apply = Callable[[Any, list[Any]], list[Any]]
Read = Callable[[Literal], Any]


def walk(jaxpr: Jaxpr, constants: list[Any], arguments: list[Any], apply: Apply, literal: Read) -> list[Any]:
    """The results of the jaxpr where `apply(equation, inputs)` gives those of an equation; inner functions are inlined.

    Functions with a derivative of their own, loops and branches are equations like any other.
    """
    env: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))

    def read(atom: Any) -> Any:
        return literal(atom) if isinstance(atom, Literal) else env[atom]

    for eqn in jaxpr.eqns:
        values = [read(atom) for atom in eqn.invars]
        if eqn.primitive.name in _INLINED:
            inner = eqn.params["jaxpr"] if "jaxpr" in eqn.params else eqn.params["call_jaxpr"]
            body, held = (inner.jaxpr, inner.consts) if isinstance(inner, ClosedJaxpr) else (inner, [])
            results = walk(body, [literal(constant) for constant in held], values, apply, literal)
        else:
            results = apply(eqn, values)
        env.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def value(constant: Any) -> Any:
    """Of a literal or a constant."""
    return getattr(constant, "val", constant)


def evaluate(eqn: Any, values: list[Any], debug_info: Any) -> list[Any]:
    """The equation evaluated, as a jaxpr of its own: how a primitive is called is private to JAX."""
    given = {atom: value for atom, value in zip(eqn.invars, values, strict=True) if not isinstance(atom, Literal)}
    jaxpr = Jaxpr((), list(given), eqn.outvars, [eqn], eqn.effects, debug_info=debug_info)
    return jaxpr_as_fun(ClosedJaxpr(jaxpr, ()))(*given.values())


def entries(eqn: Any) -> int:
    """How many numbers the equation makes."""
    return sum(math.prod(v.aval.shape) for v in eqn.outvars)


def flops(eqn: Any) -> int:
    """Floating operations of an equation: products count two a term, anything else one an entry."""
    name, out = eqn.primitive.name, entries(eqn)
    if name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        return 2 * out * math.prod(eqn.invars[0].aval.shape[i] for i in contracted)
    if name == "conv_general_dilated":
        kernel, spec = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"].rhs_spec
        return 2 * out * math.prod(kernel) // kernel[spec[0]]
    inner = [body.eqns for body in map(_open, jaxprs_in_params(eqn.params))]
    times = eqn.params.get("length", 1)
    return times * sum(flops(e) for eqns in inner for e in eqns) if inner else out


def _open(jaxpr: Any) -> Jaxpr:
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr
