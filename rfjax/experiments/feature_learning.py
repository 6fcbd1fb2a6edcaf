"""The claim: on functions of a few directions kernels need d^degree samples, and networks that learn features do not.

A product of two directions, a staircase of products, and a parity: the NTK's regression and random features beside a
trained network, on the same samples.  The staircase has degree 3 but climbs by one direction at a time, which gradient
descent follows; the parity has no steps, and is hard for both.  Abbe, Boix-Adserà & Misiakiewicz 2022, 2023.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import optax
from jaxtyping import Array
from matplotlib.figure import Figure

import rfjax as rf
from rfjax.experiments.cells import Cell, Row
from rfjax.experiments.experiment import Experiment, Settings, Table, count, number
from rfjax.plots import feature_learning as plots
from rfjax.plots.feature_learning import TASKS, VIEWS, averaged

B_STD = 1.0


@dataclass(frozen=True)
class Spec(Settings):
    """What is measured."""

    d: int = count(20, "Input dimension.", least=3)
    samples: tuple[int, ...] = count((200, 600, 2000, 6000), "Numbers of training samples.", least=10)
    features: int = count(2000, "Random features.")
    width: int = count(256, "Width of the network.")
    steps: int = count(8000, "Steps of its training.")
    batch: int = count(128, "Samples a step.")
    learning_rate: float = number(0.02, "Of Adam, at the start of a cosine schedule.", above=0.0)
    ridge: float = number(0.03, "Ridge of the regressions, absolute.", above=0.0)
    points: int = count(8192, "Fresh points for risks.", least=2)
    seeds: int = count(2, "Repetitions, each with its own samples and draws.")
    seed: int = count(0, "The first seed.", least=0)


PRESETS = {
    "smoke": Spec(d=5, samples=(200,), features=50, width=32, steps=300, batch=64, points=500, seeds=1),
    "default": Spec(),
    "full": Spec(
        d=40, samples=(200, 600, 2000, 6000, 20_000), features=8000, width=1024, steps=30_000, points=2**16, seeds=5
    ),
}


def cells(spec: Spec) -> Iterator[Cell]:
    """A cell a task, view, size and seed; small ones first."""
    for n in spec.samples:
        for task in TASKS:
            for view in VIEWS:
                for repeat in range(spec.seeds):
                    settings = spec.only("d", "points", *_USES[view])
                    settings |= {"task": task, "view": view, "n": n, "seed": spec.seed + repeat}
                    name = f"{TASKS[task].split(',')[0]}, {VIEWS[view]}, {n} samples"
                    yield Cell.of("feature-learning", name, settings, _measure)


def _measure(settings: Row) -> list[Row]:
    keys = jax.random.split(jax.random.fold_in(jax.random.key(settings["seed"]), settings["n"]), 3)
    task = _task(settings["task"], settings["d"])
    fit = _FITS[settings["view"]](task, task.sample(keys[0], settings["n"]), keys[1], settings)
    risk = rf.population_risk(fit, task, key=keys[2], samples=settings["points"])
    return [settings | {"relative_risk": float(risk.relative), "stderr": float(risk.relative_stderr)}]


def _task(name: str, d: int) -> Any:
    if name == "product":
        return rf.tasks.multi_index(d, [(1.0, {0: rf.activations.identity, 1: rf.activations.identity})])
    return rf.tasks.staircase(d, (1, 1, 1)) if name == "staircase" else rf.tasks.parity(d, 3)


def _kernel(task: Any, data: tuple[Array, Array], key: Array, settings: Row) -> Any:
    return rf.ridge_regression(rf.ntk(rf.mlp(depth=1, width=1, b_std=B_STD)), *data, ridge=settings["ridge"])


def _features(task: Any, data: tuple[Array, Array], key: Array, settings: Row) -> Any:
    phi = rf.random_features(rf.mlp(depth=1, width=settings["features"], b_std=B_STD), task.d, key=key)
    return rf.ridge_regression(phi, *data, ridge=settings["ridge"])


def _network(task: Any, data: tuple[Array, Array], key: Array, settings: Row) -> Any:
    """From a zero output layer; a fifth of the samples says when to stop."""
    X, y = data
    held_out = max(2, len(X) // 5)
    net = rf.mlp(depth=1, width=settings["width"], b_std=B_STD)
    return rf.train(
        net,
        (X[held_out:], y[held_out:]),
        optimizer=_adam(settings["learning_rate"], settings["steps"]),
        steps=settings["steps"],
        params=net.zero_output(net.init(key, task.d)),
        key=key,
        batch_size=min(settings["batch"], len(X) - held_out),
        validation=(X[:held_out], y[:held_out]),
        patience=settings["steps"],
    )


@cache
def _adam(learning_rate: float, steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(learning_rate, steps))


_FITS: dict[str, Callable[..., Any]] = {"ntk": _kernel, "random_features": _features, "network": _network}
_USES = {
    "ntk": ("ridge",),
    "random_features": ("ridge", "features"),
    "network": ("width", "steps", "batch", "learning_rate"),
}


def figures(rows: Sequence[Row], spec: Spec) -> dict[str, Figure]:
    """Errors against samples, a panel a task."""
    return {"feature-learning": plots.draw(rows)}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Errors by task, view and size."""
    lines: list[list[str] | None] = []
    for task, label in TASKS.items():
        lines += [None] if lines else []
        for view, kind in VIEWS.items():
            for row in averaged(rows, task, view):
                lines.append([label, kind, str(row["n"]), f"{row['error']:.3g} ± {row['stderr']:.1g}"])
    title = f"Relative error on functions of two or three of {rows[0]['d']} directions"
    return [Table(title, ("task", "view", "samples", "relative error"), lines)]


READING = (
    "How to read this. Kernels and random features see all directions alike, so that their samples grow as d to the power "
    "of the degree. The network finds the directions first. It does so where a lower degree points to them: the staircase "
    "gives one direction after the other away; the parity gives none, and a network needs samples or steps of the order of "
    "d^(k-1) there too."
)

EXPERIMENT = Experiment(
    "feature-learning",
    Spec,
    PRESETS,
    cells,
    figures,
    tables,
    READING,
    ("task", "view", "d", "n", "seed", "relative_risk", "stderr", "seconds"),
)
