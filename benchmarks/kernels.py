"""Kernels against the physical limit: the bare product X Xᵀ in full float32 precision, timed in the same rounds.

| group | question | target |
|---|---|---|
| depth | what do layers cost? | 1.3 bare products at any depth |
| peer | how fast is neural-tangents here? | half of its time; at depth 3 and 10 a quarter and a twelfth |
| fitted | what do activations without a closed form cost? | 1.5 times as much as erf |
| call | what does a small plain call cost, its kernel made anew? | 1 ms, nothing compiled |
| ragged | what do tiles cost at sizes that they do not divide? | 1.5 calls without a bound |
| crowd | what do points cost of which each has many near others? | 5 times as much as points that are far apart |
| matvec | what do products without the matrix cost? | 1 GiB; half the rate of tiles of plain inner products |
| error | how far is float32 from float64? | 1e-5 |
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

import rfjax as rf
from benchmarks.errors import KERNELS, float32_error
from benchmarks.report import Row, beside
from benchmarks.timing import compilations, compiled, interleaved, peak_rss_bytes

BARE = "X Yᵀ"
PEER = {("relu", 3): 0.25, ("relu", 10): 1 / 12}  # of its time; half elsewhere
TILES = "tiles of X Yᵀ"
Case = Callable[[], list[Row]]


@dataclass(frozen=True)
class Sizes:
    """What is measured: n points in d dimensions, depths of networks, repetitions.

    large: points of the largest Gram matrix.  points: of products with a vector.  few: repetitions of these two.  many:
    of the small calls.  depth, activations: of networks outside the group depth.  fitted:
    activations by quadrature.  kernels: whose errors are measured;
    None for all.
    """

    n: int = 3000
    large: int = 10_000
    points: int = 50_000
    d: int = 784
    depths: tuple[int, ...] = (1, 3, 10, 50)
    depth: int = 3
    activations: tuple[str, ...] = ("erf", "gelu")
    fitted: tuple[str, ...] = ("tanh", "silu", "softplus")
    ragged: tuple[tuple[int, int], ...] = ((101, 100), (1009, 997))
    repetitions: int = 9
    few: int = 3
    many: int = 200
    kernels: tuple[str, ...] | None = None


PRESETS = {
    "smoke": Sizes(
        n=48, large=48, points=300, d=7, depths=(1,), depth=1, activations=("erf",), fitted=("tanh",), ragged=((11, 10),),
        repetitions=2, few=1, many=3, kernels=("rbf",),
    ),
    "default": Sizes(),
}  # fmt: skip


class Products(rf.Kernel):
    """⟨x, y⟩ as a plain product: what tiles cost when nothing is done with their entries."""

    def _evaluate(self, pairs: rf.kernels.Pairs) -> Float[Array, "..."]:
        return pairs.inner(lambda X: X)


@jax.jit
def bare(X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """The physical limit of any kernel of inner products."""
    return jnp.matmul(X, Y.T, precision=jax.lax.Precision.HIGHEST)


def cases(sizes: Sizes, only: str | None = None) -> list[Case]:
    """All measurements, or those of one group, in order."""
    return [case for name, group in GROUPS.items() if only in (None, name) for case in group(sizes)]


def _depth(sizes: Sizes) -> Iterator[Case]:
    target = {"ratio": 1.3}
    for depth in sizes.depths:
        kernel = rf.ntk(rf.mlp(depth=depth, width=1))
        for cross in (False, True):
            yield partial(_gram, "depth", kernel, sizes.n, sizes.d, cross, sizes.repetitions, target, depth=depth)
    for depth in sizes.depths:
        kernel = rf.ntk(rf.mlp(depth=depth, width=1))
        yield partial(_gram, "depth", kernel, sizes.large, sizes.d, False, sizes.few, target, depth=depth)


def _gram(
    group: str, kernel: rf.Kernel, n: int, d: int, cross: bool, repetitions: int, target: dict[str, float], **about: Any
) -> list[Row]:
    """k(X) or k(X, Y) beside the bare product of the same points."""
    X = _points(n, d)
    Y = _points(n, d, seed=1) if cross else None
    other = X if Y is None else Y
    times = interleaved({"kernel": lambda: kernel(X, Y), BARE: lambda: bare(X, other)}, repetitions)
    return [
        Row(
            group,
            "k(X, Y)" if cross else "k(X)",
            _settings(n, n, d, **about),
            seconds=times.seconds("kernel"),
            repetitions=repetitions,
            against=BARE,
            ratio=times.ratio("kernel", BARE),
            temp_bytes=compiled(lambda k, X, Y: k(X, Y), kernel, X, Y)[1],
            peak_rss_bytes=peak_rss_bytes(),
            target=target,
        )
    ]


def _peer(sizes: Sizes) -> Iterator[Case]:
    yield _peer_imports
    depths = [depth for depth in sizes.depths if depth <= 10]
    for depth in depths:
        yield partial(_beside_peer, "relu", depth, 0.0, sizes)
    for activation in sizes.activations:
        yield partial(_beside_peer, activation, sizes.depth, 0.1, sizes)


def _peer_imports() -> list[Row]:
    error = _import_peer()[1]
    if error is None:
        return []
    absent = isinstance(error, ImportError) and error.name in ("neural_tangents", "frozendict")
    what = "is not installed" if absent else f"does not import on jax {jax.__version__}: {type(error).__name__}"
    return [Row("peer", "neural-tangents", {}, note=f"neural-tangents {what}")]


def _beside_peer(activation: str, depth: int, b_std: float, sizes: Sizes) -> list[Row]:
    """k(X) under jit beside the peer's under jit, where there is one, and beside the bare product."""
    net = rf.mlp(depth=depth, width=1, activation=getattr(rf.activations, activation), b_std=b_std)
    kernel, X = rf.ntk(net), _points(sizes.n, sizes.d, unequal=True)
    ours, held = compiled(lambda k, X: k(X), kernel, X)
    contestants: dict[str, Callable[[], Any]] = {"kernel": ours, BARE: lambda: bare(X, X)}
    stax = _import_peer()[0]
    if stax is not None:
        theirs = _peer_kernel(stax, activation, depth, b_std)
        contestants["neural-tangents"] = lambda: theirs(X)
    times = interleaved(contestants, sizes.repetitions)
    settings = _settings(sizes.n, sizes.n, sizes.d, depth=depth, activation=activation, b_std=b_std)
    targets = {BARE: {}, "neural-tangents": {"ratio": PEER.get((activation, depth), 0.5)}}
    rows = [
        beside("peer", f"k(X) {activation}", settings, times, "kernel", other, targets[other])
        for other in reversed(contestants)
        if other != "kernel"
    ]
    return [replace(row, temp_bytes=held) for row in rows]


def _import_peer() -> tuple[Any, Exception | None]:
    """neural-tangents' layers, or why there are none."""
    try:
        from rfjax.interop.neural_tangents import nt
    except Exception as error:  # on a newer JAX anything may go wrong in there
        return None, error
    return nt.stax, None


def _peer_kernel(stax: Any, activation: str, depth: int, b_std: float) -> Callable[[Array], Array]:
    dense = partial(stax.Dense, 1, 2**0.5, b_std)
    nonlinearity = {"relu": stax.Relu, "erf": stax.Erf, "gelu": stax.Gelu}[activation]
    layers = [layer for _ in range(depth) for layer in (dense(), nonlinearity())]
    kernel_fn = stax.serial(*layers, dense())[2]
    return jax.jit(lambda X: kernel_fn(X, None, "ntk"))


def _fitted(sizes: Sizes) -> Iterator[Case]:
    for activation in sizes.fitted:
        yield partial(_beside_erf, activation, sizes)


def _beside_erf(activation: str, sizes: Sizes) -> list[Row]:
    """k(X) of an activation without a closed form beside that of erf, and beside the bare product."""
    X = _points(sizes.n, sizes.d, unequal=True)

    def kernel(name: str) -> rf.Kernel:
        return rf.ntk(rf.mlp(depth=sizes.depth, width=1, activation=getattr(rf.activations, name), b_std=0.1))

    ours, erf = kernel(activation), kernel("erf")
    times = interleaved({"kernel": lambda: ours(X), "erf": lambda: erf(X), BARE: lambda: bare(X, X)}, sizes.repetitions)
    settings = _settings(sizes.n, sizes.n, sizes.d, depth=sizes.depth, activation=activation, b_std=0.1)
    targets = {"erf": {"ratio": 1.5}, BARE: {}}
    return [
        beside("fitted", f"k(X) {activation}", settings, times, "kernel", other, target)
        for other, target in targets.items()
    ]


def _call(sizes: Sizes) -> Iterator[Case]:
    yield partial(_small_call, 50, sizes.d, sizes.depth, sizes.many)


def _small_call(n: int, d: int, depth: int, repetitions: int) -> list[Row]:
    X, net = _points(n, d), rf.mlp(depth=depth, width=512)

    def call() -> Array:
        return rf.ntk(net)(X)

    call()
    bare(X, X).block_until_ready()
    with compilations() as new:
        times = interleaved({"kernel": call, BARE: lambda: bare(X, X)}, repetitions)
    return [
        Row(
            "call",
            "rf.ntk(net)(X)",
            _settings(n, n, d, depth=depth),
            seconds=times.seconds("kernel"),
            repetitions=repetitions,
            against=BARE,
            ratio=times.ratio("kernel", BARE),
            temp_bytes=compiled(lambda X: rf.ntk(net)(X), X)[1],
            peak_rss_bytes=peak_rss_bytes(),
            compilations=len(new),
            target={"seconds": 1e-3, "compilations": 0},
        )
    ]


def _ragged(sizes: Sizes) -> Iterator[Case]:
    for n, m in sizes.ragged:
        repetitions = max(sizes.few, sizes.many // (1 + n * m // 100_000))
        yield partial(_within_a_bound, n, m, sizes.d, sizes.depth, repetitions)


def _within_a_bound(n: int, m: int, d: int, depth: int, repetitions: int, bound: int = 2**20) -> list[Row]:
    X, Y, kernel = _points(n, d), _points(m, d, seed=1), rf.ntk(rf.mlp(depth=depth, width=1))

    def call(nbytes: int | None) -> Array:
        with nullcontext() if nbytes is None else rf.kernels.memory_bound(nbytes):
            return kernel(X, Y)

    contestants: dict[str, Callable[[], Any]] = {
        "kernel": partial(call, bound),
        "no bound": partial(call, 2**34),
        BARE: lambda: bare(X, Y),
    }
    times = interleaved(contestants, repetitions)
    with rf.kernels.memory_bound(bound):
        held = compiled(lambda k, X, Y: k(X, Y), kernel, X, Y)[1]
    settings = _settings(n, m, d, depth=depth, memory_bound=bound)
    rows = [
        beside("ragged", "k(X, Y) within 1 MiB", settings, times, "kernel", other, target)
        for other, target in (("no bound", {"ratio": 1.5}), (BARE, {}))
    ]
    return [replace(row, temp_bytes=held) for row in rows]


def _crowd(sizes: Sizes) -> Iterator[Case]:
    for kind in ("plane", "clusters"):
        yield partial(_crowded, kind, sizes)


def _crowded(kind: str, sizes: Sizes) -> list[Row]:
    """k(X) of points in the plane, or in clusters of ten, beside as many that are far from each other."""
    n, wide = sizes.n, 16 if kind == "plane" else sizes.d
    far = _points(n, wide)
    X = (
        _points(n, 2)
        if kind == "plane"
        else jnp.repeat(far[: -(-n // 10)], 10, axis=0)[:n] + 1e-3 * _points(n, wide, seed=1)
    )
    kernels: dict[str, rf.Kernel] = {
        "NTK": rf.ntk(rf.mlp(depth=sizes.depth, width=1)),
        "rbf": rf.rbf(X.shape[1] ** 0.5),
    }
    rows = []
    for name, kernel in kernels.items():
        contestants: dict[str, Callable[[], Any]] = {
            "crowd": partial(kernel, X),
            "far points": partial(kernel, far),
            BARE: partial(bare, X, X),
        }
        times = interleaved(contestants, sizes.repetitions)
        settings = _settings(n, n, X.shape[1], data=kind)
        for other, target in (("far points", {"ratio": 5.0}), (BARE, {})):
            rows.append(beside("crowd", f"k(X) {name}", settings, times, "crowd", other, target))
    return rows


def _matvec(sizes: Sizes) -> Iterator[Case]:
    for cross in (False, True):
        yield partial(_products, sizes.points, 50, sizes.depth, cross, sizes.few)


def _products(n: int, d: int, depth: int, cross: bool, repetitions: int) -> list[Row]:
    """k(X) v or k(X, Y) v under jit, of two kernels beside that of the plain inner product."""
    X, v = _points(n, d), _points(n, 1, seed=2)[:, 0]
    Y = _points(n, d, seed=1) if cross else None
    kernels: dict[str, tuple[rf.Kernel, dict[str, int]]] = {
        "rbf": (rf.rbf(d**0.5), {}),
        "ntk": (rf.ntk(rf.mlp(depth=depth, width=1)), {"depth": depth}),
        TILES: (Products(), {}),
    }
    programs = {
        name: compiled(lambda k, X, Y, v: k.matvec(X, Y, v), kernel, X, Y, v) for name, (kernel, _) in kernels.items()
    }
    times = interleaved({name: call for name, (call, _) in programs.items()}, repetitions)
    form = "(X, Y, v)" if cross else "(X, None, v)"
    return [
        Row(
            "matvec",
            f"{name}.matvec{form}",
            _settings(n, n, d, **about),
            seconds=times.seconds(name),
            repetitions=repetitions,
            against=TILES,
            ratio=times.ratio(name, TILES),
            temp_bytes=programs[name][1],
            peak_rss_bytes=peak_rss_bytes(),
            target={} if name == TILES else {"ratio": 2.0, "temp_bytes": 2**30},
        )
        for name, (_, about) in kernels.items()
    ]


def _error(sizes: Sizes) -> Iterator[Case]:
    for name in KERNELS if sizes.kernels is None else sizes.kernels:
        yield partial(_float32_error, name)


def _float32_error(name: str) -> list[Row]:
    target = {"error": 1e-5}
    try:
        error, n, d = float32_error(name)
    except ValueError as problem:  # out of float32's range: a failure of this kernel, not of the suite
        return [Row("error", name, {}, target=target, note=str(problem))]
    return [Row("error", name, _settings(n, n, d), error=error, peak_rss_bytes=peak_rss_bytes(), target=target)]


def _settings(n: int, m: int, d: int, **about: Any) -> dict[str, Any]:
    return {"n": n, "m": m, "d": d, "dtype": "float32", **about}


def _points(n: int, d: int, *, seed: int = 0, unequal: bool = False) -> Float[Array, "n d"]:
    rng = np.random.default_rng(seed)
    X: NDArray[np.float64] = rng.normal(size=(n, d))
    if unequal:
        X *= rng.uniform(0.5, 2.0, size=(n, 1))
    return jnp.asarray(X.astype(np.float32))


GROUPS: dict[str, Callable[[Sizes], Iterator[Case]]] = {
    "depth": _depth,
    "peer": _peer,
    "fitted": _fitted,
    "call": _call,
    "ragged": _ragged,
    "crowd": _crowd,
    "matvec": _matvec,
    "error": _error,
}
