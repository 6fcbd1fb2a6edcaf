"""Where the weights of a function enter it, found in its jaxpr: the dense and convolutional layers of any model.

A weight W that is used once, in a matrix product or a convolution z = u W, has the derivative

    ∂f_a/∂W = Σ_s u_s ⊗ δ_{a,s},   δ_{a,s} = ∂f_a/∂z_s

with u_s what W multiplies at place s (the layer's input, or a patch of it).  δ comes from a zero that is added to z, so
that no derivative for W is ever formed.  Novak, Sohl-Dickstein & Schoenholz 2022, *Fast finite width neural tangent
kernel* (structured derivatives).
"""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from rfjax.tangent import jaxprs
from rfjax.tangent.selection import PointFunction

_PRODUCTS = ("dot_general", "conv_general_dilated")
_MOVES = ("transpose", "reshape", "squeeze", "expand_dims", "rev", "copy", "broadcast_in_dim", "convert_element_type")


class Use(NamedTuple):
    """One weight in one product, z[group, place, output] = Σ_input u[group, place, input]·W[group, input, output].

    `product` is its number among the function's products, `side` the operand that the weight is, `order` brings z to
    (groups, places, outputs), or, in a convolution, to (places, groups, outputs).
    """

    product: int
    leaf: int
    side: int
    groups: int
    places: int
    inputs: int
    outputs: int
    convolution: bool
    shape: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def entries(self) -> int:
        """Of the weight."""
        return self.groups * self.inputs * self.outputs

    def arranged(self, z: Float[Array, "a ..."]) -> Float[Array, "a groups places outputs"]:
        """What has the shape of z, a of them."""
        z = z.transpose(0, *(i + 1 for i in self.order))
        if self.convolution:
            return jnp.swapaxes(z.reshape(-1, self.places, self.groups, self.outputs), 1, 2)
        return z.reshape(-1, self.groups, self.places, self.outputs)


class Layout(NamedTuple):
    """What a function is made of at one point: its outputs, its weights, and what it computes and holds (in entries)."""

    outputs: int
    sizes: tuple[int, ...]
    uses: tuple[Use, ...]
    flops: int
    held: int
    largest: int

    @property
    def rest(self) -> tuple[int, ...]:
        """The leaves that are no weight of a use."""
        used = {use.leaf for use in self.uses}
        return tuple(i for i in range(len(self.sizes)) if i not in used)


class _Weight(NamedTuple):
    leaf: int


def layout(one: PointFunction, leaves: list[Any], x: Any) -> Layout:
    """Read from the jaxpr of `one` at points like x.  A leaf used twice, or in any other way, is no weight of a use."""
    closed = jax.make_jaxpr(one)(leaves, x)
    ends: list[list[Use | None]] = [[] for _ in leaves]
    products, sizes, work = itertools.count(), [0], [0]

    def apply(eqn: Any, marks: list[Any]) -> list[Any]:
        # A mark is a weight, or whether the value depends on the point.
        product = next(products) if eqn.primitive.name in _PRODUCTS else None
        weights = [i for i, mark in enumerate(marks) if isinstance(mark, _Weight)]
        if weights and _only_moves(eqn):
            return [marks[0]]
        for i in weights:
            alone = product is not None and len(weights) == 1
            ends[marks[i].leaf].append(_use(eqn, product or 0, marks[i].leaf, i) if alone else None)
        varies = any(mark is True for mark in marks)
        if varies:
            sizes.append(jaxprs.entries(eqn))
            work.append(jaxprs.flops(eqn))
        return [varies] * len(eqn.outvars)

    marks = [*(_Weight(i) for i in range(len(leaves))), True]
    for mark in jaxprs.walk(closed.jaxpr, [False] * len(closed.consts), marks, apply, lambda _: False):
        if isinstance(mark, _Weight):
            ends[mark.leaf].append(None)
    uses = tuple(end[0] for end in ends if len(end) == 1 and end[0] is not None)
    leaf_sizes = tuple(math.prod(np.shape(leaf)) for leaf in leaves)
    return Layout(math.prod(closed.out_avals[0].shape), leaf_sizes, uses, sum(work), sum(sizes), max(sizes))


def tapped(
    one: PointFunction, leaves: list[Array], x: Float[Array, " d"], uses: tuple[Use, ...], taps: list[Array]
) -> tuple[Float[Array, " c"], list[Float[Array, "groups places inputs"]]]:
    """one(leaves, x) with a tap added to z of every use, and the u of every use."""
    closed = jax.make_jaxpr(one)(leaves, x)
    numbers = {use.product: i for i, use in enumerate(uses)}
    inputs: list[Any] = [None] * len(uses)
    products = itertools.count()

    def apply(eqn: Any, values: list[Any]) -> list[Any]:
        results = jaxprs.evaluate(eqn, values, closed.jaxpr.debug_info)
        i = numbers.get(next(products)) if eqn.primitive.name in _PRODUCTS else None
        if i is None:
            return results
        inputs[i] = _inputs(eqn, uses[i], values[1 - uses[i].side])
        return [results[0] + taps[i]]

    (output,) = jaxprs.walk(closed.jaxpr, closed.consts, [*leaves, x], apply, jaxprs.value)
    return output, inputs


def _only_moves(eqn: Any) -> bool:
    """Whether the equation carries each entry of its input to one place and changes none."""
    if eqn.primitive.name not in _MOVES or len(eqn.invars) != 1:
        return False
    old, new = eqn.invars[0].aval, eqn.outvars[0].aval
    return math.prod(old.shape) == math.prod(new.shape) and jnp.issubdtype(new.dtype, jnp.floating)


def _use(eqn: Any, product: int, leaf: int, side: int) -> Use | None:
    return (_dense if eqn.primitive.name == "dot_general" else _convolution)(eqn, product, leaf, side)


def _dense(eqn: Any, product: int, leaf: int, side: int) -> Use:
    contracted, batch = eqn.params["dimension_numbers"]
    z, shapes = eqn.outvars[0].aval.shape, [v.aval.shape for v in eqn.invars]
    groups, inputs = (math.prod(shapes[0][i] for i in axes[0]) for axes in (batch, contracted))
    first = len(batch[0])
    left = len(shapes[0]) - len(contracted[0]) - first  # axes of z that are the left operand's own
    axes = tuple(range(len(z)))
    own = axes[first + left :] if side == 1 else axes[first : first + left]
    other = axes[first : first + left] if side == 1 else axes[first + left :]
    outputs, places = (math.prod(z[i] for i in some) for some in (own, other))
    return Use(product, leaf, side, groups, places, inputs, outputs, False, z, (*axes[:first], *other, *own))


def _convolution(eqn: Any, product: int, leaf: int, side: int) -> Use | None:
    if side == 0 or eqn.params["batch_group_count"] > 1:
        return None
    numbers, groups = eqn.params["dimension_numbers"], eqn.params["feature_group_count"]
    z, kernel = eqn.outvars[0].aval.shape, eqn.invars[1].aval.shape
    rows, columns, *spatial = numbers.out_spec
    features = z[columns]
    inputs = math.prod(kernel) // kernel[numbers.rhs_spec[0]]
    order = (rows, *spatial, columns)
    return Use(product, leaf, side, groups, math.prod(z) // features, inputs, features // groups, True, z, order)


def _inputs(eqn: Any, use: Use, u: Array) -> Float[Array, "groups places inputs"]:
    if use.convolution:
        return jnp.moveaxis(
            _patches(eqn, u).reshape(use.places, -1, use.groups, use.inputs // _taps(eqn)), 2, 0
        ).reshape(use.groups, use.places, use.inputs)
    contracted, batch = (axes[1 - use.side] for axes in eqn.params["dimension_numbers"])
    free = [i for i in range(u.ndim) if i not in (*contracted, *batch)]
    return u.transpose(*batch, *free, *contracted).reshape(use.groups, use.places, use.inputs)


def _taps(eqn: Any) -> int:
    shape, spec = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"].rhs_spec
    return math.prod(shape[i] for i in spec[2:])


def _patches(eqn: Any, u: Array) -> Float[Array, "places taps features"]:
    """What a convolution reads at each place: one strided slice of its padded input for each entry of its window."""
    numbers, kernel = eqn.params["dimension_numbers"], eqn.invars[1].aval.shape
    rows, columns, *spatial = numbers.lhs_spec
    u = u.transpose(rows, *spatial, columns)
    window = [kernel[i] for i in numbers.rhs_spec[2:]]
    strides, spread = eqn.params["window_strides"], eqn.params["rhs_dilation"]
    edges = zip(eqn.params["padding"], eqn.params["lhs_dilation"], strict=True)
    padding = [(low, high, gap - 1) for (low, high), gap in edges]
    u = lax.pad(u, jnp.zeros((), u.dtype), [(0, 0, 0), *padding, (0, 0, 0)])
    counts = [eqn.outvars[0].aval.shape[i] for i in numbers.out_spec[2:]]

    def slice_at(offsets: tuple[int, ...]) -> Array:
        starts = [offset * gap for offset, gap in zip(offsets, spread, strict=True)]
        ends = [start + (count - 1) * step + 1 for start, count, step in zip(starts, counts, strides, strict=True)]
        return lax.slice(u, (0, *starts, 0), (u.shape[0], *ends, u.shape[-1]), (1, *strides, 1))

    cut = [slice_at(offsets) for offsets in itertools.product(*map(range, window))]
    return jnp.stack(cut, axis=-2).reshape(-1, len(cut), u.shape[-1])
