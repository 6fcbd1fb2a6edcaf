"""The claim: a single ReLU neuron is out of reach for random features and kernels, and in reach of gradient descent.

For each dimension the relative population error of every view of a network on the task x ↦ [⟨w, x⟩ + b]₊, beside the
lower bound that holds for any fixed features; and the least width that any features need, beside gradient descent's
steps.  Yehudai & Shamir 2019.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from matplotlib.figure import Figure

import rfjax as rf
from rfjax.experiments.cells import Cell, Row
from rfjax.experiments.experiment import Experiment, Settings, Table, count, number
from rfjax.plots import separation as plots

B_STD = 1.0  # of every network here: without biases in its features no view could even fit the kink's place
SCALING_POWER = 0.75  # ‖w‖ = d^¾, at which a fixed absolute error needs exponential width
RELATIVE_ERRORS = (0.1, 0.01)
ABSOLUTE_ERROR = 1 / 50
DESCENT_STEPS = 5000


@dataclass(frozen=True)
class Spec(Settings):
    """What is measured."""

    dims: tuple[int, ...] = count((10, 30, 100), "Input dimensions d.")
    norm: float = number(1.0, "Length of w.", above=0.0)
    bias: float = number(-1.0, "Bias b.")
    n: int = count(3000, "Training samples.")
    widths: tuple[int, ...] = count((30, 100, 300, 1000, 3000), "Numbers of random features.")
    narrow: int = count(16, "Width of the narrow trained network.")
    wide: int = count(256, "Width of the wide trained network.")
    fresh: int = count(64, "Width of the network trained on fresh samples.")
    linearized: int = count(512, "Width of the linearised network.")
    steps: int = count(3000, "Steps of the networks' training.")
    neuron_steps: int = count(2000, "Steps of one neuron's training.")
    batch: int = count(256, "Samples a step of the networks' training.")
    ridge: float = number(0.03, "Ridge of every regression, absolute.", above=0.0)
    samples: int = count(8192, "Fresh points for risks that are sampled.")
    seeds: int = count(2, "Repetitions, each with its own w and its own draws.")
    seed: int = count(0, "The first seed.", least=0)
    scaling: tuple[int, ...] = count((5, 10, 20, 40, 80, 160), "Dimensions of the comparison of widths and steps.")


PRESETS = {
    "smoke": Spec(
        dims=(10,), n=200, widths=(16,), narrow=16, wide=16, fresh=16, linearized=16, steps=300, neuron_steps=300,
        batch=64, samples=2000, seeds=1, scaling=(5, 10),
    ),
    "default": Spec(),
    "full": Spec(dims=(10, 30, 100, 300), n=10_000, widths=(30, 100, 300, 1000, 3000, 10_000), wide=1024, steps=8000,
                 samples=2**16, seeds=5),
}  # fmt: skip


def cells(spec: Spec) -> Iterator[Cell]:
    """Every cell of the experiment, cheap and telling ones first."""
    for d in spec.dims:
        for repeat in range(spec.seeds):
            base = {"d": d, "norm": spec.norm, "bias": spec.bias, "seed": spec.seed + repeat}
            for view, compute, settings in _views(spec):
                whole = {"experiment": "separation", "view": view, **base, **settings}
                cell = partial(_measure, compute, view, base, settings, spec.n)
                yield Cell(f"d={d} {view.replace('_', ' ')}", whole, cell)
    for d in spec.scaling:
        settings = {"d": d, "bias": spec.bias, "seed": spec.seed, "room": max(spec.scaling)}
        yield Cell(f"d={d} width and steps", {"experiment": "scaling", **settings}, partial(_scaling, **settings))


def _views(spec: Spec) -> Iterator[tuple[str, Callable[..., tuple[Any, int | None, dict[str, Any]]], dict[str, Any]]]:
    """View, the function that fits it, and its settings."""
    n, fit = spec.n, {"ridge": spec.ridge, "samples": spec.samples}
    train = {"steps": spec.steps, "batch": spec.batch}
    yield "neuron", _neuron, {"n": n, "steps": spec.neuron_steps}
    for width in spec.widths:
        yield "random_features_population", _population_features, {"width": width}
    for width in spec.widths:
        yield "random_features", _random_features, {"n": n, "width": width, "ridge": spec.ridge}
    yield "nngp", partial(_kernel, rf.nngp), {"n": n, **fit}
    yield "ntk", partial(_kernel, rf.ntk), {"n": n, **fit}
    yield "linearized", _linearized, {"n": n, "width": spec.linearized, **fit}
    for width in dict.fromkeys((spec.narrow, spec.wide)):
        for start in ("random", "zero"):
            yield "network", _network, {"n": n, "width": width, "start": start, **train}
    yield "network", _network, {"n": None, "width": spec.fresh, "start": "zero", **train, "batch": 2 * spec.batch}


def _measure(compute: Callable[..., Any], view: str, base: Row, settings: Row, n: int) -> list[Row]:
    """One cell's row: fit, then the population risk of the fit, and the bound for as many features as it has."""
    task_key, data_key, fit_key, test_key = jax.random.split(
        jax.random.fold_in(jax.random.key(base["seed"]), base["d"]), 4
    )
    task = rf.tasks.single_neuron(base["d"], norm=base["norm"], bias=base["bias"], key=task_key)
    data = None if settings.get("n") is None else task.sample(data_key, settings["n"])
    predictor, rank, extra = compute(task, data, fit_key, **settings)
    risk = rf.population_risk(predictor, task, key=test_key, samples=settings.get("samples", 2))
    kind = "population" if view.endswith("population") else "fresh" if data is None else "fixed"
    row = {
        **base,
        "view": view,
        "n": settings.get("n"),
        "width": settings.get("width"),
        "data": kind,
        "relative_risk": float(risk.relative),
        "stderr": float(risk.relative_stderr),
        "bound": float(rf.theory.risk_lower_bound(task, n if rank is None else rank)),
        **extra,
    }
    return [row]


def _neuron(task: Any, data: Any, key: Array, *, n: int, steps: int) -> tuple[Any, None, Row]:
    """Gradient descent on one neuron, all samples a step."""
    return rf.train(rf.neuron(), data, optimizer=_sgd(), steps=steps, key=key, record=steps), None, {"width": 1}


def _population_features(task: Any, data: None, key: Array, *, width: int) -> tuple[Any, int, Row]:
    """The best readout of random ReLU features in the population."""
    phi = rf.random_features(rf.mlp(depth=1, width=width, b_std=B_STD), task.d, key=key)
    return rf.population_regression(phi, task, ridge=1e-10), width + 1, {}


def _random_features(task: Any, data: Any, key: Array, *, n: int, width: int, ridge: float) -> tuple[Any, int, Row]:
    phi = rf.random_features(rf.mlp(depth=1, width=width, b_std=B_STD), task.d, key=key)
    return rf.ridge_regression(phi, *data, ridge=ridge), min(n, width + 1), {}


def _kernel(view: Any, task: Any, data: Any, key: Array, *, n: int, ridge: float, samples: int) -> tuple[Any, int, Row]:
    return rf.ridge_regression(view(rf.mlp(depth=1, width=1, b_std=B_STD)), *data, ridge=ridge), n, {}


def _linearized(
    task: Any, data: Any, key: Array, *, n: int, width: int, ridge: float, samples: int
) -> tuple[Any, int, Row]:
    """The linearised network from its own start: regression with its empirical NTK."""
    net = rf.mlp(depth=1, width=width, b_std=B_STD)
    params = net.init(key, task.d)
    start = jax.tree_util.Partial(net.apply, params)
    return rf.ridge_regression(rf.empirical_ntk(net, params), *data, ridge=ridge, start=start), n, {}


def _network(
    task: Any, data: Any, key: Array, *, n: int | None, width: int, start: str, steps: int, batch: int
) -> tuple[Any, None, Row]:
    """Adam with a cosine schedule, on n samples or on fresh ones."""
    net = rf.mlp(depth=1, width=width, b_std=B_STD)
    params = net.init(key, task.d)
    if start == "zero":
        params = net.zero_output(params)
    run = rf.train(
        net,
        task if data is None else data,
        optimizer=_adam(steps),
        steps=steps,
        params=params,
        key=key,
        batch_size=batch if n is None else min(n, batch),
        record=steps,
    )
    return run, None, {"start": start}


def _scaling(*, d: int, bias: float, seed: int, room: int) -> list[Row]:
    """The least width that any features need, and the steps of descent on the exact risk, at ‖w‖ = 1 and ‖w‖ = d^¾.

    The bias scales with the norm, so that β = b/‖w‖ stays.  Descent runs in `room` dimensions with all but d of the
    weights zero: they stay zero, and every d shares one compiled program.
    """
    draw = jax.random.normal(jax.random.key(seed), (room,)) * (jnp.arange(room) < d)
    params = {"weight": draw / jnp.linalg.norm(draw), "bias": jnp.zeros(())}
    rows = []
    for norm, goals in ((1.0, [(e, True) for e in RELATIVE_ERRORS]), (d**SCALING_POWER, [(ABSOLUTE_ERROR, False)])):
        task, roomy = (rf.tasks.single_neuron(size, norm=norm, bias=bias * norm) for size in (d, room))
        for error, relative in goals:
            target = error * task.variance if relative else error
            run = rf.train(
                rf.neuron(), roomy, exact=True, optimizer=_sgd(), steps=DESCENT_STEPS, params=params, record=1,
                target_risk=target,
            )  # fmt: skip
            risk = rf.population_risk(run, roomy)
            rows.append({
                "d": d, "norm": norm, "bias": bias * norm, "view": "neuron", "n": None, "width": 1, "seed": seed,
                "data": "population", "relative_risk": float(risk.relative), "stderr": 0.0,
                "bound": float(rf.theory.risk_lower_bound(task, 1)), "steps": int(run.steps),
                "reached": bool(risk.value <= target), "error": error, "error_is": "relative" if relative else "absolute",
                "log10_minimal_width": rf.theory.minimal_width(task, error, relative=relative).log10,
            })  # fmt: skip
    return rows


@cache
def _sgd() -> optax.GradientTransformation:
    return optax.sgd(1.0)


@cache
def _adam(steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(0.03, steps))


def curves(spec: Spec) -> dict[int, tuple[list[float], list[float]]]:
    """For each dimension the lower bound against the number of features or samples."""
    counts = np.unique(np.round(np.geomspace(3, 3 * max(*spec.widths, spec.n), 120)))
    result = {}
    for d in spec.dims:
        task = rf.tasks.single_neuron(d, norm=spec.norm, bias=spec.bias)
        result[d] = (counts.tolist(), np.asarray(rf.theory.risk_lower_bound(task, counts)).tolist())
    return result


def figures(rows: Sequence[Row], spec: Spec) -> dict[str, Figure]:
    """What is reached beside the bound, and widths beside steps."""
    return {"separation": plots.draw_separation(rows, curves(spec)), "widths": plots.draw_widths(rows)}


def tables(rows: Sequence[Row]) -> list[Table]:
    """The errors of all views, and what one neuron costs."""
    return [_errors(rows), _costs(rows)]


def _errors(rows: Sequence[Row]) -> Table:
    lines: list[list[str] | None] = []
    previous = None
    for row in plots.summarise(rows):
        if previous not in (None, row["d"]):
            lines.append(None)
        previous = row["d"]
        samples = {"population": "all (exact)", "fresh": "fresh"}.get(row["data"], str(row["n"]))
        width = "" if row["width"] is None else str(row["width"])
        bound = "" if row["kind"].startswith(("network", "neuron")) else f"{row['bound']:.3g}"
        lines.append([str(row["d"]), plots.STYLES[row["kind"]][0], samples, width, _error(row), bound])
    first = rows[0]
    title = f"Relative error E(f − g)²/Var g on one ReLU neuron, b = {first['bias']:g}, ‖w‖ = {first['norm']:g}"
    return Table(title, ("d", "view", "samples", "width", "relative error", "bound for fixed features"), lines)


def _error(row: Row) -> str:
    """The mean over seeds with its standard error; "exact" where no sampling entered."""
    note = "exact" if row["exact"] else "sampled"
    if row["exact"] and row["seeds"] == 1:
        return f"{row['error']:.3g} exact"
    return f"{row['error']:.3g} ± {row['stderr']:.1g} {note}"


def _costs(rows: Sequence[Row]) -> Table:
    lines = []
    for row in rows:
        if row["view"] == "neuron" and row["data"] == "population":
            error, width = f"{row['error']:g} {row['error_is']}", f"10^{row['log10_minimal_width']:.1f}"
            steps = str(row["steps"]) if row["reached"] else "not reached"
            lines.append([str(row["d"]), f"{row['norm']:.3g}", error, width, steps])
    columns = ("d", "‖w‖", "error", "features needed", "gradient descent, steps")
    return Table("What one neuron costs", columns, lines)


COLUMNS = ("d", "norm", "bias", "view", "n", "width", "seed", "data", "relative_risk", "stderr", "bound", "seconds")

READING = (
    "How to read this. The bound holds for the best combination of any r fixed features, and for any kernel's n samples, "
    "on average over directions w: no choice of features, kernel or ridge gets below it. Networks and the neuron move "
    "their features and are not subject to it; wide networks on few samples overfit above it, and a small output at the "
    "start helps.\n"
    "What is exponential and what is not: at fixed bias and fixed relative error the width that any features need is "
    "polynomial in d, with a power that grows as the error shrinks (about error^(-2/3)). It is exponential in d at fixed "
    "absolute error once the target's norm grows (here |w| = d^(3/4)). Gradient descent's steps grow slowly at most."
)

EXPERIMENT = Experiment(
    "separation",
    Spec,
    PRESETS,
    cells,
    figures,
    tables,
    READING,
    COLUMNS,
)
