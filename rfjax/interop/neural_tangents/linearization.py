"""Linearised functions as JAX once gave them to neural-tangents' structured derivatives: a flat list of equations.

It walks the equations of a tangent map backwards itself, one output each, and asks for the transpose of every one.
Today's JAX keeps calls inside, splits into several outputs at once, and transposes some primitives in another way.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Primitive
from jax.interpreters.ad import Zero, is_undefined_primal, primitive_transposes
from jax.lax import slice_in_dim, split_p
from jaxtyping import Array


class Unknown(NamedTuple):
    """A value that depends on the tangents: none of them is known when a function is linearised."""

    aval: Any

    def is_known(self) -> bool:
        """Never."""
        return False


def flatten(function: Any, in_tree: Any) -> tuple[Any, Any]:
    """(the function from leaves to leaves, a call that gives the tree of its result once it has run)."""
    trees: list[Any] = []

    def flat(*leaves: Array) -> list[Array]:
        out, tree = jax.tree.flatten(function(*jax.tree.unflatten(in_tree, leaves)))
        trees.append(tree)
        return out

    return flat, lambda: trees[-1]


def linearize(function: Any, *primals: Array, has_aux: bool = False) -> tuple[Any, list[Unknown], Jaxpr, list[Array]]:
    """(f(x), tangents out, jaxpr of ẋ ↦ f'(x)ẋ, its constants) of a flat `function`."""
    assert not has_aux
    outputs, tangent_map = jax.linearize(function, *primals)
    closed = jax.make_jaxpr(tangent_map)(*map(_tangent, primals))
    jaxpr, constants = _linear(jax.make_jaxpr(lambda *tangents: _run(closed, tangents))(*map(_tangent, primals)))
    return outputs, [Unknown(variable.aval) for variable in jaxpr.outvars], jaxpr, constants


def transpose_rule(primitive: Primitive) -> Any:
    """The rule by which `primitive`, where it is linear, takes cotangents back: that of JAX, else `jax.linear_transpose`."""
    return primitive_transposes.get(primitive) or (
        lambda cotangent, *operands, **settings: _transposed(primitive, cotangent, operands, settings)
    )


def _transposed(primitive: Primitive, cotangent: Any, operands: Sequence[Any], settings: dict[str, Any]) -> list[Any]:
    linear = [i for i, operand in enumerate(operands) if is_undefined_primal(operand)]
    avals = [operands[i].aval for i in linear]
    if isinstance(cotangent, Zero):
        found: Sequence[Any] = [Zero(aval) for aval in avals]
    else:

        def apply(*tangents: Array) -> Any:
            filled = dict(zip(linear, tangents, strict=True))
            return primitive.bind(*(filled.get(i, operand) for i, operand in enumerate(operands)), **settings)

        found = jax.linear_transpose(apply, *avals)(cotangent)
    back = dict(zip(linear, found, strict=True))
    return [back.get(i) for i in range(len(operands))]


def _tangent(primal: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(jnp.shape(primal), jnp.result_type(primal))


def _linear(closed: ClosedJaxpr) -> tuple[Jaxpr, list[Array]]:
    """The equations that depend on the tangents, and the values of all others that they need."""
    known: dict[Any, Array] = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    linear = []
    for equation in closed.jaxpr.eqns:
        if all(isinstance(atom, Literal) or atom in known for atom in equation.invars):
            operands = [atom.val if isinstance(atom, Literal) else known[atom] for atom in equation.invars]
            known |= zip(equation.outvars, _bind(equation, operands), strict=True)
        else:
            linear.append(equation)
    atoms = [*closed.jaxpr.outvars, *(atom for equation in linear for atom in equation.invars)]
    used = {atom for atom in atoms if not isinstance(atom, Literal)}
    constants = {variable: value for variable, value in known.items() if variable in used}
    jaxpr = closed.jaxpr.replace(constvars=list(constants), eqns=linear)
    if hasattr(jaxpr, "with_consts"):  # from JAX 0.12 on: constants are what has a value
        jaxpr = jaxpr.with_consts(list(constants.values()))
    return jaxpr, list(constants.values())


def _run(closed: ClosedJaxpr, operands: Sequence[Array]) -> list[Array]:
    """Evaluate equation by equation: calls are entered, splits become slices, everything else is as it was."""
    values: dict[Any, Array] = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    values |= zip(closed.jaxpr.invars, operands, strict=True)

    def read(atom: Any) -> Array:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in closed.jaxpr.eqns:
        results = _apply(equation, [read(atom) for atom in equation.invars])
        values |= zip(equation.outvars, results, strict=True)
    return [read(atom) for atom in closed.jaxpr.outvars]


def _apply(equation: JaxprEqn, operands: list[Array]) -> Sequence[Array]:
    inner = next((equation.params[name] for name in ("jaxpr", "call_jaxpr") if name in equation.params), None)
    if isinstance(inner, (Jaxpr, ClosedJaxpr)) and equation.primitive.name in _CALLS:
        return _run(inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(inner, ()), operands)
    if equation.primitive is split_p:
        return _slices(operands[0], **equation.params)
    return _bind(equation, operands)


def _bind(equation: JaxprEqn, operands: Sequence[Array]) -> Sequence[Array]:
    results = equation.primitive.bind(*operands, **equation.params)
    return results if equation.primitive.multiple_results else [results]


_CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "checkpoint", "remat2")


def _slices(operand: Array, *, sizes: Sequence[int], axis: int) -> list[Array]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [slice_in_dim(operand, end - size, end, axis=axis) for size, end in zip(sizes, ends, strict=True)]
