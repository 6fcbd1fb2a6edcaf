"""Empirical NTKs of finite networks beside neural-tangents' three implementations, torch.func and the GEMM rate.

| group | question | target |
|---|---|---|
| fcn | 3 hidden layers, k(X), beside the peers? | 1 of the best peer, a third of torch.func |
| | beside its own operations at GEMM rate? | 1.3 |
| cnn | 6 convolutions on 32x32x3 | 1 of the best peer, a third of torch.func |
| bound | n = 256 within 1 GiB, and what would the peer's default hold? | 1 GiB |
"""

import importlib.util
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import rfjax as rf
from benchmarks.report import Row, at_roofline
from benchmarks.timing import compiled, interleaved, peak_rss_bytes
from rfjax.tangent.plan import METHODS

Case = Callable[[], list[Row]]
Network = Callable[[Any, jax.Array], jax.Array]
PEERS = {  # by their names in neural-tangents; the first is its default
    "nt contraction": "JACOBIAN_CONTRACTION",
    "nt vector products": "NTK_VECTOR_PRODUCTS",
    "nt structured": "STRUCTURED_DERIVATIVES",
}


@dataclass(frozen=True)
class Sizes:
    """What is measured: the hidden width, points and outputs of the two networks, and the points within the bound."""

    width: int = 1024
    channels: int = 32
    image: int = 32
    dense: tuple[int, int] = (16, 8)
    convolutional: tuple[int, int] = (8, 10)
    bounded: int = 256
    bound: int = 2**30
    repetitions: int = 9


PRESETS = {
    "smoke": Sizes(16, 2, 8, (3, 2), (2, 2), bounded=6, bound=2**17, repetitions=1),
    "default": Sizes(),
}


def cases(sizes: Sizes, only: str | None = None) -> list[Case]:
    """All measurements, or those of one group, in order."""
    return [case for name, group in GROUPS.items() if only in (None, name) for case in group(sizes)]


def _fcn(sizes: Sizes) -> Iterator[Case]:
    yield partial(_beside, "fcn", sizes)


def _cnn(sizes: Sizes) -> Iterator[Case]:
    yield partial(_beside, "cnn", sizes)


def _bound(sizes: Sizes) -> Iterator[Case]:
    for group in ("fcn", "cnn"):
        yield partial(_within, group, sizes)


def _beside(group: str, sizes: Sizes) -> list[Row]:
    """Every algorithm by name, the automatic choice and all peers, in turn, under jit."""
    n, outputs = sizes.dense if group == "fcn" else sizes.convolutional
    network, params, X = _model(group, sizes, n, outputs)
    names = ("auto", *METHODS)
    calls: dict[str, Callable[[], Any]] = {name: partial(_jitted(network, name), params, X) for name in names}
    peers = _peers(network)
    calls |= {name: partial(peer, X, None, params) for name, peer in peers.items()}
    torch = _torch(group, params, np.asarray(X), sizes)
    if torch is not None:
        calls["torch.func"] = torch
    gemm = jax.jit(partial(jnp.matmul, precision=lax.Precision.HIGHEST))
    left, right = jnp.ones((n * outputs, sizes.width)), jnp.ones((sizes.width, sizes.width))
    calls["gemm"] = partial(gemm, left, right)
    K = np.asarray(calls["auto"]())
    values = {name: np.asarray(call()).reshape(K.shape) for name, call in calls.items() if name != "gemm"}
    times = interleaved(calls, sizes.repetitions)
    scale = np.sqrt(np.outer(np.diag(K), np.diag(K)))
    settings = {
        "n": n,
        "outputs": outputs,
        "choice": rf.empirical_ntk(network, params).plan(X).method,
        "dtype": str(X.dtype),
    }

    def row(name: str, against: str, factor: float = 1.0, **target: float) -> Row:
        error = float((np.abs(values[name] - values.get(against, values[name])) / scale).max())
        return Row(
            group,
            name,
            settings,
            seconds=times.seconds(name),
            repetitions=sizes.repetitions,
            against=against,
            ratio=times.ratio(name, against) * factor,
            error=error,
            peak_rss_bytes=peak_rss_bytes(),
            target=target,
        )

    best = min(METHODS, key=times.seconds)
    rows = [row("auto", best, ratio=1.3, error=1e-4)]
    if peers:
        quickest = min(peers, key=times.seconds)
        rows.append(row("auto", quickest, ratio=1.0, error=1e-4))
    else:
        rows.append(Row(group, "neural-tangents", settings, note="not installed: pip install 'rfjax[neural-tangents]'"))
    if torch is None:
        rows.append(Row(group, "torch.func", settings, note="not installed: pip install torch"))
    else:
        rows.append(row("auto", "torch.func", ratio=1 / 3, error=1e-4))
    share = 2 * left.size * sizes.width / OPERATIONS[group](sizes, n, outputs)
    rows.append(row("auto", "gemm", share, **({"ratio": 1.3} if group == "fcn" else {})))
    return rows + [row(name, "auto") for name in calls if name not in ("auto", "gemm")]


def _jitted(network: Network, method: str) -> Callable[..., Any]:
    """As the peers are called."""
    return jax.jit(lambda params, X: rf.empirical_ntk(network, params, method=method)(X))


def _within(group: str, sizes: Sizes) -> list[Row]:
    """The compiler's own account of what k(X) holds within the bound, beside what the peer's default would."""
    n, outputs = sizes.bounded, (sizes.dense if group == "fcn" else sizes.convolutional)[1]
    network, params, X = _model(group, sizes, n, outputs)
    kernel = rf.empirical_ntk(network, params)
    with rf.kernels.memory_bound(sizes.bound):
        call, held = compiled(lambda params, X: rf.empirical_ntk(network, params)(X), params, X)
        times = interleaved({"rfjax": call}, 1)
        settings = {
            "n": n,
            "outputs": outputs,
            "choice": kernel.plan(X).method,
            "bound": sizes.bound,
            "dtype": "float32",
        }
    rows = [
        Row(
            "bound",
            group,
            settings,
            seconds=times.seconds("rfjax"),
            repetitions=1,
            temp_bytes=held,
            peak_rss_bytes=peak_rss_bytes(),
            target={"temp_bytes": sizes.bound},
        )
    ]
    rows.append(at_roofline(rows[0], OPERATIONS[group](sizes, n, outputs) / 2))
    for name, peer in list(_peers(network).items())[:1]:
        needed = compiled(lambda params, X, peer=peer: peer(X, None, params), params, X)[1]
        note = "compiled, not run" + (": beyond the bound" if needed is not None and needed > sizes.bound else "")
        rows.append(Row("bound", f"{group}, {name}", settings, temp_bytes=needed, note=note))
    return rows


def _model(group: str, sizes: Sizes, n: int, outputs: int) -> tuple[Network, Any, jax.Array]:
    """The network as a plain function, its parameters and data [n, d]."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape) / np.prod(shape[:-1]) ** 0.5, jnp.float32)

    if group == "fcn":
        widths = [sizes.width] * 4 + [outputs]
        return _dense, [normal(i, o) for i, o in itertools.pairwise(widths)], normal(n, sizes.width)
    depths = [3] + [sizes.channels] * 6
    convolutions = [normal(3, 3, i, o) for i, o in itertools.pairwise(depths)]
    return _convolutional, [*convolutions, normal(sizes.channels, outputs)], normal(n, 3 * sizes.image**2)


def _dense(params: Any, X: jax.Array) -> jax.Array:
    for weight in params[:-1]:
        X = jax.nn.relu(X @ weight)
    return X @ params[-1]


def _convolutional(params: Any, X: jax.Array) -> jax.Array:
    """Six 3x3 convolutions, the third and the fifth of stride 2, then the mean over places and a dense layer."""
    side = round((X.shape[1] / 3) ** 0.5)
    h = X.reshape(-1, side, side, 3)
    for i, weight in enumerate(params[:-1]):
        stride = (2, 2) if i in (2, 4) else (1, 1)
        h = jax.nn.relu(lax.conv_general_dilated(h, weight, stride, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")))
    return h.mean(axis=(1, 2)) @ params[-1]


def _dense_operations(sizes: Sizes, n: int, outputs: int) -> float:
    """What the structured kernel of the FCN cannot do without: forward, backward, and its Gram matrices' lower halves."""
    hidden = sizes.width**2
    passes = 2 * n * (3 * hidden + sizes.width * outputs) + 2 * n * outputs * 2 * hidden
    grams = n * n * (4 * sizes.width + 3 * outputs * sizes.width)
    return float(passes + grams)


def _convolutional_operations(sizes: Sizes, n: int, outputs: int) -> float:
    """Of the CNN: forward; cotangents back through all layers but the first; their products with patches of the inputs."""
    places = [sizes.image**2 // 4 ** ((i >= 2) + (i >= 4)) for i in range(6)]
    inputs = [3] + [sizes.channels] * 5
    layers = [2 * place * 9 * entering * sizes.channels for place, entering in zip(places, inputs, strict=True)]
    return float(n * sum(layers) + n * outputs * (sum(layers[1:]) + sum(layers)))


OPERATIONS = {"fcn": _dense_operations, "cnn": _convolutional_operations}


def _peers(network: Network) -> dict[str, Callable[..., Any]]:
    if importlib.util.find_spec("neural_tangents") is None:
        return {}
    from rfjax.interop.neural_tangents import nt

    return {
        name: jax.jit(
            nt.empirical_ntk_fn(
                network, trace_axes=(-1,), vmap_axes=0, implementation=getattr(nt.NtkImplementation, implementation)
            )
        )
        for name, implementation in PEERS.items()
    }


def _torch(group: str, params: Any, X: np.ndarray, sizes: Sizes) -> Callable[[], Any] | None:
    """Contracted Jacobians of vmap and jacrev, as in torch.func's own tutorial; None where torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    order = (3, 2, 0, 1)
    weights = tuple(
        torch.tensor(np.asarray(w).transpose(order).copy() if np.ndim(w) == 4 else np.asarray(w)) for w in params
    )
    data = torch.tensor(
        X if group == "fcn" else X.reshape(-1, sizes.image, sizes.image, 3).transpose(0, 3, 1, 2).copy()
    )

    def one(weights: Any, x: Any) -> Any:
        h = x[None]
        for i, weight in enumerate(weights[:-1]):
            if group == "fcn":
                h = torch.relu(h @ weight)
            else:  # "SAME" of stride 2 pads after, not before
                stride = 2 if i in (2, 4) else 1
                padded = torch.nn.functional.pad(h, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
                h = torch.relu(torch.nn.functional.conv2d(padded, weight, stride=stride))
        return ((h if group == "fcn" else h.mean(dim=(2, 3))) @ weights[-1])[0]

    def kernel() -> Any:
        jacobians = torch.func.vmap(torch.func.jacrev(one), (None, 0))(weights, data)
        flat = [J.flatten(2) for J in jacobians]
        return sum(torch.einsum("naf,maf->nm", J, J) for J in flat) / flat[0].shape[1]

    return kernel


GROUPS: dict[str, Callable[[Sizes], Iterator[Case]]] = {"fcn": _fcn, "cnn": _cnn, "bound": _bound}
