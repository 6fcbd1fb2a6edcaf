"""Training many networks at once beside loops, and what wide networks do beside their linearisation.

| group | question | target |
|---|---|---|
| seeds | 64 seeds in one program beside a loop of jitted steps, a compiled program a seed, and PyTorch? | 1/5, 1/1.2, 1/10 |
| flow | does training the linearised network follow the closed form in its tangent kernel? | 1e-5 |
| widths | how does the distance to the linearisation fall? | slope -1 ± 0.15 (erf), -0.9 to -0.6 (ReLU) |
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

import rfjax as rf
from benchmarks.report import Row, at_roofline
from benchmarks.timing import interleaved

Case = Callable[[], list[Row]]
RATE, DIM, BATCH, HIDDEN = 0.1, 30, 64, 64
SGD = optax.sgd(RATE)


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    seeds, steps: of the one program.  loop: steps of the loops in Python, which are timed a step.  flow: steps of the
    linearised network.  widths: of the sweep, with
    `draws` networks each.
    """

    seeds: int = 64
    steps: int = 5000
    loop: int = 300
    repetitions: int = 3
    flow: int = 200_000
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
    draws: int = 8


PRESETS = {
    "smoke": Sizes(seeds=2, steps=5, loop=3, repetitions=1, flow=10, widths=(16, 32), draws=2),
    "default": Sizes(),
}


def cases(sizes: Sizes, only: str | None = None) -> list[Case]:
    """All measurements, or those of one group, in order."""
    return [case for name, group in GROUPS.items() if only in (None, name) for case in group(sizes)]


def _seeds(sizes: Sizes) -> Iterator[Case]:
    yield partial(_beside_loops, sizes)


def _beside_loops(sizes: Sizes) -> list[Row]:
    """Seconds of a step of one seed, each way; loops over seeds are timed on one seed and some of the steps."""
    X, y = _data(4096)
    net, keys = rf.mlp(depth=1, width=HIDDEN, b_std=1.0), jax.random.split(jax.random.key(1), sizes.seeds)

    def train(key: Array, steps: int) -> Any:
        return rf.train(net, (X, y), optimizer=SGD, steps=steps, key=key, batch_size=BATCH, record=steps).params

    calls: dict[str, tuple[int, Callable[[], Any]]] = {
        "one program": (sizes.seeds * sizes.steps, lambda: train(keys, sizes.steps)),
        "a program a seed": (sizes.steps, lambda: train(keys[0], sizes.steps)),
        "a loop of jitted steps": (sizes.loop, partial(_jitted_steps, net, X, y, sizes.loop)),
    }
    note = None
    try:
        calls["PyTorch"] = (sizes.loop, _torch_steps(np.asarray(X), np.asarray(y), sizes.loop))
    except ImportError:
        note = "PyTorch is missing: pip install torch"
    times = interleaved({name: call for name, (_, call) in calls.items()}, sizes.repetitions)
    most = {"a program a seed": 1 / 1.2, "a loop of jitted steps": 1 / 5, "PyTorch": 1 / 10}
    settings = {
        "seeds": sizes.seeds,
        "steps": sizes.steps,
        "batch": BATCH,
        "d": DIM,
        "width": HIDDEN,
        "dtype": "float32",
    }
    ours = calls["one program"][0]
    rows = []
    for name, (count, _) in list(calls.items())[1:]:
        ratio = times.ratio("one program", name) * count / ours
        each = times.seconds(name) / count * 1e6
        rows.append(
            Row(
                "seeds", "one program", settings, seconds=times.seconds("one program"), repetitions=sizes.repetitions,
                against=name, ratio=ratio, target={"ratio": most[name]},
                note=f"{times.seconds('one program') / ours * 1e6:.3g} µs a step and seed; {name}: {each:.3g} µs",
            )
        )  # fmt: skip
    rows.append(at_roofline(rows[0], 3 * BATCH * HIDDEN * (DIM + 1) * ours))  # forward, and backward to both factors
    if note:
        rows.append(Row("seeds", "PyTorch", settings, note=note))
    return rows


def _jitted_steps(net: rf.Serial, X: Array, y: Array, steps: int) -> Any:
    params = net.init(jax.random.key(0), DIM)
    state, key = SGD.init(params), jax.random.key(1)
    for t in range(steps):
        params, state = _step(net, params, state, X, y, key, t)
    return params


@partial(jax.jit, static_argnums=0)
def _step(net: rf.Serial, params: Any, state: Any, X: Array, y: Array, key: Array, t: int) -> tuple[Any, Any]:
    rows = jax.random.randint(jax.random.fold_in(key, t), (BATCH,), 0, X.shape[0])
    slope = jax.grad(lambda p: ((net.apply(p, X[rows])[:, 0] - y[rows]) ** 2).mean() / 2)(params)
    updates, state = SGD.update(slope, state, params)
    return optax.apply_updates(params, updates), state


def _torch_steps(X: np.ndarray, y: np.ndarray, steps: int) -> Callable[[], Any]:
    import torch

    data, targets = torch.tensor(X), torch.tensor(y)
    model = torch.nn.Sequential(torch.nn.Linear(DIM, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def run() -> None:
        for _ in range(steps):
            rows = torch.randint(len(data), (BATCH,))
            loss = ((model(data[rows])[:, 0] - targets[rows]) ** 2).mean() / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def _flow(sizes: Sizes) -> Iterator[Case]:
    yield partial(_linear_training, sizes.flow)


def _linear_training(steps: int) -> list[Row]:
    """A linearised network trained by many small steps beside gradient flow in its tangent kernel."""
    with jax.enable_x64(True):
        X, y, Z = _sphere(20, "float64")
        net = rf.mlp(depth=1, width=64, activation=rf.activations.erf)
        params = net.init(jax.random.key(0), X.shape[1])
        k = rf.empirical_ntk(net, params)
        rate = 1e-5 * float(rf.critical_learning_rate(k, X))  # a step is then 1e-5 of the flow's shortest time

        def start(points: Float[Array, "m d"]) -> Float[Array, " m"]:
            return net.apply(params, points)[:, 0]

        begun = time.perf_counter()
        run = rf.train(
            rf.linearize(net, params), (X, y), optimizer=optax.sgd(rate), steps=steps, params=params, record=steps
        )
        trained = np.asarray(run(Z))
        seconds = time.perf_counter() - begun
        flow = np.asarray(rf.gradient_flow(k, X, y, start=start)(rate * steps, Z))
        scale = np.abs(flow - np.asarray(start(Z))).max()
    return [
        Row(
            "flow", "linearised network", {"width": 64, "n": 20, "steps": steps, "dtype": "float64"},
            seconds=seconds, repetitions=1, against="gradient_flow", error=float(np.abs(trained - flow).max() / scale),
            target={"error": 1e-5}, note="error: the largest at 50 new points, in units of the largest change",
        )
    ]  # fmt: skip


def _widths(sizes: Sizes) -> Iterator[Case]:
    yield partial(_slope, sizes, "erf", rf.activations.erf, (-1.15, -0.85))
    yield partial(_slope, sizes, "ReLU", rf.activations.relu, (-0.9, -0.6))


def _slope(sizes: Sizes, name: str, activation: Any, within: tuple[float, float]) -> list[Row]:
    begun = time.perf_counter()
    gaps = distance_from_linearisation(activation, sizes.widths, sizes.draws)
    slope, stderr = slope_with_error(sizes.widths, gaps)
    middle, half = sum(within) / 2, (within[1] - within[0]) / 2
    return [
        Row(
            "widths", name, {"widths": f"{sizes.widths[0]}...{sizes.widths[-1]}", "draws": sizes.draws, "dtype": "float64"},
            seconds=time.perf_counter() - begun, repetitions=1, error=abs(slope - middle), target={"error": half},
            note=f"slope {slope:.3f} ± {stderr:.3f}; error: from the middle of {within[0]} to {within[1]}",
        )
    ]  # fmt: skip


def distance_from_linearisation(
    activation: Any, widths: tuple[int, ...], draws: int
) -> Float[np.ndarray, "widths draws"]:
    """Root mean square over new points of (network − linearisation) after the same training, one hidden layer, NTK.

    Both descend from the same start on the same 20 points by the same steps; the linearisation in closed form.
    """
    gaps = []
    with jax.enable_x64(True):
        X, y, Z = _sphere(20, "float64")
        keys = jax.random.split(jax.random.key(0), draws)
        for width in widths:
            net = rf.mlp(depth=1, width=width, activation=activation)
            run = rf.train(net, (X, y), optimizer=optax.sgd(0.5), steps=100, key=keys, record=100)
            gaps.append(np.asarray(_gap(net, run.start, run(Z), X, y, Z)))
    return np.stack(gaps)


@partial(jax.jit, static_argnums=0)
def _gap(net: rf.Serial, starts: Any, trained: Array, X: Array, y: Array, Z: Array) -> Float[Array, " draws"]:
    def one(pair: tuple[Any, Array]) -> Float[Array, ""]:
        params, values = pair
        k = rf.empirical_ntk(net, params)
        descent = rf.gradient_descent(
            k, X, y, learning_rate=0.5, start=lambda P: net.apply(params, P)[:, 0], throw=False
        )
        return jnp.sqrt(jnp.mean((values - descent(100, Z)) ** 2))

    return jax.lax.map(one, (starts, trained))


def slope_with_error(widths: tuple[int, ...], gaps: Float[np.ndarray, "widths draws"]) -> tuple[float, float]:
    """The slope of log gap against log width by least squares, and its standard error from the draws at each width."""
    x, y = np.log(widths), np.log(gaps)
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    stderr = y.std(axis=1, ddof=1) / y.shape[1] ** 0.5
    return float(weights @ y.mean(axis=1)), float(np.sqrt(weights**2 @ stderr**2))


def _data(n: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, DIM)).astype(np.float32)
    return jnp.asarray(X), jnp.asarray(np.maximum(X[:, 0] - 1, 0))


def _sphere(n: int, dtype: str) -> tuple[Float[Array, "n d"], Float[Array, " n"], Float[Array, "m d"]]:
    """Points of length √10 in ten dimensions, their targets, and 50 new points."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(n + 50, 10))
    points *= 10**0.5 / np.linalg.norm(points, axis=1, keepdims=True)
    X, Z = (jnp.asarray(part, dtype) for part in (points[:n], points[n:]))
    return X, jnp.asarray(np.sin(np.asarray(X[:, 0])) + np.asarray(X[:, 1]) / 2, dtype), Z


GROUPS: dict[str, Callable[[Sizes], Iterator[Case]]] = {"seeds": _seeds, "flow": _flow, "widths": _widths}
