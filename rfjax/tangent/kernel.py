"""The empirical neural tangent kernel of any model at given parameters."""

from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.kernels import DiagonalPairs, Kernel, Pairs, held_bytes
from rfjax.networks import Function, Layer, Params, as_function
from rfjax.tangent import blocks
from rfjax.tangent.plan import METHODS, Plan, Problem, plan
from rfjax.tangent.selection import Chosen, PointFunction, choose, paths, point_function
from rfjax.tangent.uses import Layout, layout
from rfjax.tangent.vectors import Stride, product

OUTPUTS = ("mean", "trace", "pseudo", "diagonal", "full")
_MODES = {"mean": "sum", "trace": "sum", "pseudo": "sum", "diagonal": "diagonal", "full": "full"}
_DEFAULT = {"cpu": 2**30}  # bytes: rows are computed again for every tile, so that tiles are large
_ACCELERATOR = 2**33
_ALL = 2**62


class EmpiricalNTK(Kernel):
    """⟨∂f_a(x)/∂θ, ∂f_b(y)/∂θ⟩ at fixed parameters θ, of one pair of outputs or another; made by `rf.empirical_ntk`.

    `chosen` says which leaves of `params` are differentiated.  `plan(X, Y)` tells by which algorithm, and in which
    blocks, k(X, Y) is computed.
    """

    net: Layer | Function
    params: Params
    outputs: str = eqx.field(static=True)
    method: str = eqx.field(static=True)
    chosen: Chosen = eqx.field(static=True)

    def __init__(self, net: Any, params: Params, outputs: str = "mean", method: str = "auto", parameters: Any = None):
        self.net = net if isinstance(net, Layer) else as_function(net)
        self.params = params
        self.outputs = checks.choice("outputs", outputs, OUTPUTS)
        self.method = checks.choice("method", method, ("auto", *METHODS))
        self.chosen = choose(params, parameters)

    def layers(self) -> dict[str, "EmpiricalNTK"]:
        """One kernel for each module of the parameters (all leaves below one path), by path; their sum is this kernel.

        A leaf of the first level, below no path, is a module of its own.
        """
        modules: dict[str, list[bool]] = {}
        names = paths(self.params)
        for i, name in enumerate(names):
            if self.chosen[i]:
                modules.setdefault(name.rpartition("/")[0] or name, [False] * len(names))[i] = True
        structure = jax.tree.structure(self.params)
        return {
            module: EmpiricalNTK(self.net, self.params, self.outputs, self.method, jax.tree.unflatten(structure, mask))
            for module, mask in modules.items()
        }

    def at_points(self, X: Float[Array, "n d"]) -> Float[Array, "n ..."]:
        """The kernel of each point with itself, nothing else: [n], [n, c] with outputs="diagonal", [n, c, c] with "full"."""
        return _at_points(self, checks.points("X", X))

    def plan(self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None = None) -> Plan:
        """The algorithm and the blocks of k(X, Y), or of k(X), within the memory bound."""
        X = checks.points("X", X)
        Y = None if Y is None else checks.points("Y", Y, columns=X.shape[1])
        return self._tiling(X, X if Y is None else Y, square=Y is None)

    @property
    def tiled(self) -> bool:
        return False

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        if isinstance(pairs, DiagonalPairs):
            values = self._points(pairs.X)
            values = jnp.diagonal(values, axis1=1, axis2=2) if self.outputs == "full" else values
            return values.ravel() if self.outputs == "full" else values
        return pairs.matrix(lambda X, Y: self._matrix(X, Y, self._tiling(X, Y)))

    def _tiling(self, X: Array, Y: Array, *, square: bool = False) -> Any:
        return self._plan(X, Y, X.shape[0], Y.shape[0], square, self.method)

    def _plan(self, X: Array, Y: Array, n: int, m: int, square: bool, method: str) -> Plan:
        dtype = jnp.result_type(X, Y)
        found = self._layout(X.shape[1], dtype)
        seeds, mode = 1 if self.outputs == "pseudo" else found.outputs, _MODES[self.outputs]
        problem = Problem(found, n, m, square, seeds, mode, dtype.itemsize, _bound(X, Y), jax.default_backend())
        return _planned(problem, method)

    def _layout(self, columns: int, dtype: Any) -> Layout:
        leaves, structure = jax.tree.flatten(self)
        avals = tuple((np.shape(leaf), leaf.dtype) if hasattr(leaf, "dtype") else (type(leaf),) for leaf in leaves)
        return _layout(structure, avals, columns, dtype)

    def _matrix(self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None, tiling: Any) -> Float[Array, "..."]:
        other = X if Y is None else Y
        one, leaves, seeds = self._model(X, other)
        mode = _MODES[self.outputs]
        X, other = (V.astype(seeds.dtype) for V in (X, other))
        parts = [
            blocks.matrix(one, leaves, part, X, None if Y is None else other, seeds, mode) for part in tiling.parts
        ]
        K = sum(parts[1:], parts[0])
        if mode == "full":
            K = K.reshape(K.shape[0] * K.shape[1], -1)
        return blocks.mirrored(K) if Y is None else K

    def _points(self, X: Float[Array, "n d"]) -> Float[Array, "n ..."]:
        one, leaves, seeds = self._model(X, X)
        method = "contraction" if self.method == "contraction" else "structured"
        few = min(X.shape[0], 32)  # points at a time
        parts = self._plan(X, X, few, few, True, method).parts
        values = [blocks.diagonal(one, leaves, part, X, seeds, _MODES[self.outputs]) for part in parts]
        return sum(values[1:], values[0])

    def _model(self, X: Array, Y: Array) -> tuple[PointFunction, list[Array], Float[Array, "a c"]]:
        """The function at one point, the leaves that are differentiated, and the combinations of outputs that are."""
        dtype = jnp.result_type(X, Y)
        one, leaves = point_function(as_function(self.net), self.params, self.chosen, dtype)
        c = jax.eval_shape(one, leaves, X[0]).shape[0]
        if self.outputs == "pseudo":
            return one, leaves, jnp.full((1, c), c**-0.5, dtype)
        return one, leaves, jnp.eye(c, dtype=dtype) * (c**-0.5 if self.outputs == "mean" else 1)

    def _rows(self, X: Array) -> int:
        if self.outputs != "full":
            return X.shape[0]
        one, leaves, _ = self._model(X, X)
        return X.shape[0] * jax.eval_shape(one, leaves, X[0]).shape[0]

    def layout(self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None) -> Any:
        other = X if Y is None else Y
        dtype = jnp.result_type(X, other)
        return Stride.of(self._layout(X.shape[1], dtype), dtype.itemsize, _bound(X, other))

    def _product(
        self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None, V: Float[Array, "m r"], layout: Any
    ) -> Float[Array, "n r"]:
        if self.outputs == "diagonal":
            raise ValueError("matvec needs one matrix: empirical_ntk with outputs 'mean', 'trace', 'pseudo' or 'full'")
        other = X if Y is None else Y
        one, leaves, seeds = self._model(X, other)
        if self.outputs == "full":
            weights = jnp.moveaxis(V.reshape(other.shape[0], -1, V.shape[1]), 2, 0)
            return jnp.moveaxis(product(one, leaves, X, other, weights, layout), 0, 2).reshape(-1, V.shape[1])
        weights = jnp.einsum("mr,ac->ramc", V, seeds).reshape(-1, other.shape[0], seeds.shape[1])
        change = product(one, leaves, X, other, weights, layout).reshape(V.shape[1], seeds.shape[0], X.shape[0], -1)
        return jnp.einsum("ranc,ac->nr", change, seeds, precision=jax.lax.Precision.HIGHEST)


@jax.jit
def _at_points(kernel: EmpiricalNTK, X: Float[Array, "n d"]) -> Float[Array, "n ..."]:
    return kernel._points(X)


@lru_cache(maxsize=256)
def _layout(structure: Any, avals: tuple[tuple[Any, ...], ...], columns: int, dtype: Any) -> Layout:
    """What the model is made of, once for all kernels of its structure."""
    found = []

    def probe(arrays: list[Array]) -> None:
        given = iter(arrays)
        leaves = [next(given) if len(aval) == 2 else aval[0](1) for aval in avals]
        kernel = jax.tree.unflatten(structure, leaves)
        one, own = point_function(as_function(kernel.net), kernel.params, kernel.chosen, dtype)
        found.append(layout(one, own, jnp.zeros(columns, dtype)))

    jax.eval_shape(probe, [jax.ShapeDtypeStruct(*aval) for aval in avals if len(aval) == 2])
    return found[0]


def _bound(X: Array, Y: Array) -> int:
    """The bytes that may be held; points that are spread over devices are left to the compiler, as they are."""
    spread = any(
        not checks.is_traced(V) and len(getattr(getattr(V, "sharding", None), "device_set", ())) > 1 for V in (X, Y)
    )
    return _ALL if spread else held_bytes(_DEFAULT, _ACCELERATOR)


_planned = lru_cache(maxsize=256)(plan)
