"""The claim: an over-parameterised network in the NTK scaling stays near its start, and trains like its random features.

The same network, data and step size at growing widths, in the NTK and in the maximal-update (μP) scaling: how far
weights move, how far the tangent kernel turns, how far the function is from its linearisation.  In the first all three
vanish with the width, and what is learned is what the frozen features can; in the second they do not.  Jacot, Gabriel &
Hongler 2018; Chizat, Oyallon & Bach 2019; Yang & Hu 2021.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

import rfjax as rf
from rfjax.experiments.cells import Cell, Row
from rfjax.experiments.experiment import Experiment, Settings, Table, count, number
from rfjax.plots import coupling as plots
from rfjax.plots.coupling import MEASURES, SCALINGS, slope


@dataclass(frozen=True)
class Spec(Settings):
    """What is measured."""

    d: int = count(10, "Input dimension.")
    bias: float = number(-0.5, "Bias of the target, ‖w‖ being 1.")
    n: int = count(200, "Training samples.")
    widths: tuple[int, ...] = count((16, 64, 256, 1024, 4096), "Widths of the networks.")
    steps: int = count(1000, "Steps of gradient descent, all samples each.")
    learning_rate: float = number(0.3, "Step size, the same at all widths.", above=0.0)
    points: int = count(64, "Fresh points on which kernels and functions are compared.", least=2)
    seeds: int = count(4, "Repetitions, each with its own start.")
    seed: int = count(0, "The first seed.", least=0)


PRESETS = {
    "smoke": Spec(d=5, n=40, widths=(16, 64), steps=50, points=16, seeds=2),
    "default": Spec(),
    "full": Spec(d=30, n=1000, widths=(16, 64, 256, 1024, 4096, 16_384), steps=5000, points=128, seeds=10),
}


def cells(spec: Spec) -> Iterator[Cell]:
    """A cell a width and scaling; all seeds are one program."""
    for width in spec.widths:
        for scaling in SCALINGS:
            fixed = spec.only("d", "bias", "n", "steps", "learning_rate", "points", "seeds", "seed")
            settings = fixed | {"width": width, "scaling": scaling}
            yield Cell.of("coupling", f"width {width}, {SCALINGS[scaling]}", settings, _measure)


def _measure(settings: Row) -> list[Row]:
    """A row a seed."""
    data_key, fresh_key, seed_key = jax.random.split(jax.random.key(settings["seed"]), 3)
    task = rf.tasks.single_neuron(settings["d"], bias=settings["bias"])
    X, _ = task.sample(fresh_key, settings["points"])
    net = rf.mlp(depth=1, width=settings["width"], b_std=0.5, parameterization=settings["scaling"])
    run = rf.train(
        net,
        task.sample(data_key, settings["n"]),
        optimizer=optax.sgd(settings["learning_rate"]),
        steps=settings["steps"],
        key=jax.random.split(seed_key, settings["seeds"]),
        record=settings["steps"],
    )
    moved = np.asarray(rf.diagnostics.Distance().of(run))[:, 0]
    turned = np.asarray(rf.diagnostics.KernelDrift(net, X, "alignment").of(run))
    apart = np.asarray(rf.diagnostics.LinearizationGap(net, X).of(run)) / task.variance**0.5
    risk = np.asarray(rf.population_risk(run, task).relative)
    columns = {"weights": moved, "kernel": turned, "function": apart, "relative_risk": risk}
    columns["loss"] = np.asarray(run.history.loss)[:, -1]
    return [
        settings | {"start": i} | {name: float(values[i]) for name, values in columns.items()}
        for i in range(settings["seeds"])
    ]


def figures(rows: Sequence[Row], spec: Spec) -> dict[str, Figure]:
    """The three distances and the risk against the width."""
    return {"coupling": plots.draw(rows)}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Medians by width, and the powers of the width that they follow."""
    lines: list[list[str] | None] = []
    for scaling, label in SCALINGS.items():
        lines += [None] if lines else []
        for width in sorted({row["width"] for row in rows}):
            mine = [row for row in rows if row["scaling"] == scaling and row["width"] == width]
            values = [f"{np.median([row[name] for row in mine]):.3g}" for name in (*MEASURES, "relative_risk")]
            lines.append([label, str(width), *values])
        if len({row["width"] for row in rows}) > 1:
            powers = [f"~ width^{slope(rows, scaling, name)[0]:.2f}" for name in MEASURES]
            lines.append([label, "", *powers, ""])
    columns = ("scaling", "width", "weights moved", "kernel turned", "function from linear", "relative error")
    return [Table("One hidden layer, trained by gradient descent: medians over starts", columns, lines)]


READING = (
    "How to read this. Weights moved: ‖W − W₀‖/‖W₀‖ of the hidden layer. Kernel turned: 1 − cos of the angle between the "
    "tangent kernels before and after. Function from linear: root mean square distance of the network from its "
    "linearisation at the start with the same parameters, in standard deviations of the target. In the NTK scaling they "
    "fall as about width^(−1/2), width^(−1) to width^(−2) (of the square of what changed) and width^(−1/2) to width^(−1); in "
    "the maximal-update scaling they do not fall."
)

EXPERIMENT = Experiment(
    "coupling",
    Spec,
    PRESETS,
    cells,
    figures,
    tables,
    READING,
    ("scaling", "width", "start", "weights", "kernel", "function", "relative_risk", "loss", "seconds"),
)
