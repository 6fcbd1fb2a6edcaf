"""The claim: gradient descent learns one ReLU neuron from most starts, and which it fails from can be counted.

Exact descent on the population risk, from random starts of several lengths: how often it reaches the target's error,
how often it ends as the zero function, and in how many steps it arrives.  What fails is reported with what succeeds:
Yehudai & Shamir's positive result asks for a bias that is not too negative, and for a good start.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

import rfjax as rf
from rfjax.experiments.cells import Cell, Row
from rfjax.experiments.experiment import Experiment, Settings, Table, count, number
from rfjax.plots import hard_starts as plots


@dataclass(frozen=True)
class Spec(Settings):
    """What is measured."""

    dims: tuple[int, ...] = count((10, 100), "Input dimensions d.")
    biases: tuple[float, ...] = number((0.5, 0.0, -0.5, -1.0, -1.5, -2.0), "Biases b of the target, ‖w‖ being 1.")
    norms: tuple[float, ...] = number((0.1, 1.0, 3.0), "Lengths of the start.", above=0.0)
    starts: int = count(100, "Random starts of each length.")
    steps: int = count(10_000, "The most steps.")
    learning_rate: float = number(0.5, "Step size.", above=0.0)
    target: float = number(1e-3, "Relative error that counts as learned.", above=0.0)
    seed: int = count(0, "Of the starts.", least=0)


PRESETS = {
    "smoke": Spec(dims=(10,), biases=(0.0, -1.0, -2.0), norms=(1.0,), starts=20, steps=1000),
    "default": Spec(),
    "full": Spec(dims=(10, 100, 1000), norms=(0.1, 0.3, 1.0, 3.0), starts=1000, steps=100_000),
}


def cells(spec: Spec) -> Iterator[Cell]:
    """A cell a dimension, bias and length."""
    for bias in spec.biases:
        for d in spec.dims:
            for norm in spec.norms:
                settings = spec.only("starts", "steps", "learning_rate", "target", "seed")
                settings |= {"d": d, "bias": bias, "norm": norm}
                yield Cell.of("hard-starts", f"d={d} b={bias:g} start {norm:g}", settings, _measure)


def _measure(settings: Row) -> list[Row]:
    task = rf.tasks.single_neuron(settings["d"], bias=settings["bias"])
    start = rf.theory.random_starts(settings["d"], settings["starts"], seed=settings["seed"], norm=settings["norm"])
    run = rf.theory.neuron_descent(
        task, start, steps=settings["steps"], learning_rate=settings["learning_rate"], target=settings["target"]
    )
    arrived = run.reached[~run.failed]
    row = {
        "failed": run.failure_rate,
        "failed_stderr": run.failure_stderr,
        "collapsed": float(run.collapsed.mean()),
        "median_steps": float(np.median(arrived)) if arrived.size else None,
    }
    return [settings | row]


def figures(rows: Sequence[Row], spec: Spec) -> dict[str, Figure]:
    """Failures and steps against the bias."""
    return {"hard-starts": plots.draw(rows)}


def tables(rows: Sequence[Row]) -> list[Table]:
    """A row a cell."""
    lines: list[list[str] | None] = []
    for d in sorted({row["d"] for row in rows}):
        lines += [None] if lines else []
        for row in (row for row in rows if row["d"] == d):
            steps = "–" if row["median_steps"] is None else f"{row['median_steps']:.0f}"
            failed = f"{100 * row['failed']:.0f} % ± {100 * row['failed_stderr']:.1g}"
            lines.append(
                [str(d), f"{row['bias']:g}", f"{row['norm']:g}", failed, f"{100 * row['collapsed']:.0f} %", steps]
            )
    first = rows[0]
    title = f"Gradient descent on one neuron: {first['starts']} starts, {first['steps']} steps, to {first['target']:g}"
    columns = ("d", "bias", "length of the start", "failed", "of these zero functions", "steps (median)")
    return [Table(title, columns, lines)]


READING = (
    "How to read this. A start fails where the relative error is above the target after all steps. Zero functions are "
    "neurons that no input wakes any more: their gradient is gone, and no number of steps brings them back; the others "
    "that failed are slow, or stuck at a saddle. The more negative the bias, the fewer inputs carry a gradient. Long "
    "starts that point away from the target collapse; short ones arrive late."
)

EXPERIMENT = Experiment(
    "hard-starts",
    Spec,
    PRESETS,
    cells,
    figures,
    tables,
    READING,
    ("d", "bias", "norm", "failed", "failed_stderr", "collapsed", "median_steps", "seconds"),
)
