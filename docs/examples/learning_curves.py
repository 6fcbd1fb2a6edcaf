"""Errors predicted, and errors measured: the figures of docs/theory.md.

The simulations are those of `python -m benchmarks theory`, whose rows stand in docs/measured/theory.json.
"""

# %% The rows
import json
import sys
from pathlib import Path
from typing import Any

import jax
import matplotlib
import numpy as np
from matplotlib.figure import Figure

import rfjax as rf
from rfjax.plots import curves as plots

DOCS = Path(__file__).parents[1]
sys.path.insert(0, str(DOCS.parent))
from benchmarks import theory as simulations  # noqa: E402 (the checkout's own)

Rows = list[dict[str, Any]]
jax.config.update("jax_enable_x64", True)


def chosen(rows: Rows, group: str, at: str, **settings: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(place, mean, standard error) of the simulations of a group that have these settings."""
    mine = [
        row["settings"]
        for row in rows
        if row["group"] == group and "simulated" in row["settings"] and settings.items() <= row["settings"].items()
    ]
    return tuple(np.array([row[name] for row in mine]) for name in (at, "simulated", "stderr"))


# %% Kernel ridge regression on the sphere and on Gaussian inputs
def kernel_ridge(rows: Rows) -> Figure:
    """Risk against n on both kinds of inputs, with the best ridge."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    n = np.unique(np.geomspace(5, 5000, 40).astype(int))
    for axes, law in zip(figure.subplots(1, 2, sharey=True), ("sphere", "gaussian"), strict=True):
        for d, colour in zip((10, 30), plots.COLOURS, strict=False):
            lengths = rf.theory.gaussian_lengths(d) if law == "gaussian" else None
            modes, noise = simulations._zonal_modes(d), simulations.NOISE
            curve = rf.theory.kernel_learning_curve(
                modes, n=n, ridge=simulations.KERNEL_RIDGE, noise=noise, lengths=lengths
            )
            found = chosen(rows, "kernel", "n", law=law, d=d)
            plots.draw_curve(axes, n, curve.risk, label=f"d = {d}", colour=colour, simulated=found)
            if law == "sphere":
                best = rf.theory.optimal_ridge(modes, n=n, noise=noise).risk
                plots.draw_curve(axes, n, best, label=f"d = {d}, the best ridge", colour=colour, line=":")
        plots.finish(
            axes,
            x="samples n",
            y="E(f − g)²",
            title=f"{law.capitalize()} inputs" if law == "gaussian" else "Inputs on the sphere",
        )
    figure.suptitle(
        f"NTK of one ReLU layer at ridge {simulations.KERNEL_RIDGE:g}, fitted to a ReLU neuron with label noise "
        f"{simulations.NOISE:g}: theory (lines) and simulation"
    )
    return figure


# %% Through the peak
def double_descent(rows: Rows) -> Figure:
    """Risk against features through the peak, at three ridges."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    k, n = np.unique(np.geomspace(10, 4000, 160).astype(int)), 100
    titles = {"gaussian": "Gaussian features of Gaussian covariates", "neurons": "Random ReLU neurons, d = 30"}
    for axes, features in zip(figure.subplots(1, 2), titles, strict=True):
        modes, noise = simulations._peak_modes(features), simulations.NOISE
        ridges = (simulations.PEAK_RIDGE, 1e-4, 1.0)
        curves = [rf.theory.random_feature_curve(modes, n=n, features=k, ridge=x, noise=noise).risk for x in ridges]
        plots.draw_peak(axes, k, curves, labels=[f"ridge {x:g}" for x in ridges], n=n)
        found = chosen(rows, "peak", "features", of=features)
        plots.draw_curve(axes, [], [], label="simulated, ridge 0.01", colour=plots.COLOURS[0], simulated=found, line="")
        plots.finish(axes, x="random features k", y="E(f − g)²", title=titles[features])
    figure.suptitle(f"Random-feature ridge regression on {n} samples, label noise {simulations.NOISE:g}")
    return figure


# %% Random neurons on infinite data, and what no features can do
def random_neurons(rows: Rows) -> Figure:
    """Bound, equivalents and drawn neurons, a panel a dimension."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    r = np.unique(np.geomspace(5, 4000, 20).astype(int))
    for axes, d in zip(figure.subplots(1, 3, sharey=True), (5, 10, 30), strict=True):
        task = rf.tasks.single_neuron(d, bias=-1.0)
        own = rf.theory.random_neuron_risk(task, r, bias=rf.features.Constant(-1.0))
        plots.draw_bound(axes, r, rf.theory.risk_lower_bound(task, r), own, label="neurons of the target's bias")
        mixed = rf.theory.random_neuron_risk(task, r, bias=rf.features.Normal(1.0))
        for biases, line, colour in (("one", own, plots.COLOURS[0]), ("normal", mixed, plots.COLOURS[1])):
            label = "" if biases == "one" else "neurons of random biases N(0, 1)"
            found = chosen(rows, "neurons", "r", d=d, bias=biases)
            plots.draw_curve(axes, r, line, label=label, colour=colour, simulated=found)
        plots.finish(axes, x="neurons r", y="relative error" if d == 5 else "", title=f"d = {d}", legend=d == 5)
        axes.set_ylim(1e-3, 1.5)
    figure.suptitle("The best readout of r random ReLU neurons on infinite data, for one ReLU neuron of bias −1")
    return figure


# %% Real data
def real_data(rows: Rows) -> Figure:
    """Predictions from half of a data set beside fits on the other."""
    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    known = [data for data in ("diabetes", "digits") if len(chosen(rows, "real", "n", data=data)[0]) > 1]
    for axes, data in zip(figure.subplots(1, len(known), squeeze=False)[0], known, strict=True):
        mine = [row["settings"] for row in rows if row["group"] == "real" and row["settings"].get("data") == data]
        n, line, spread = ([row[name] for row in mine] for name in ("n", "predicted", "predicted_stderr"))
        found = chosen(rows, "real", "n", data=data)
        label = "predicted from half of the data (band: 2 s.e.)"
        plots.draw_curve(axes, n, line, label=label, colour=plots.COLOURS[0], simulated=found, band=spread)
        plots.finish(axes, x="samples n", y="squared error, summed over outputs", title=data.capitalize(), log="x")
    figure.suptitle("RBF kernel ridge regression: points are fits on n points of the other half")
    return figure


# %% Gradient descent of one neuron
def descent(rows: Rows) -> Figure:
    """Paths of starts in two dimensions, and how many fail in more."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for d, colour in zip((10, 1000), plots.COLOURS, strict=False):
        run = rf.theory.neuron_descent(
            rf.tasks.single_neuron(2, bias=-1.0), rf.theory.random_starts(d, 20, seed=0), steps=1000, target=1e-8
        )
        plots.draw_descent(left, run.steps, run.risk, label=f"d = {d}", colour=colour, failed=run.risk[:, -1] > 0.5)
    plots.finish(left, x="step", y="relative error", title="20 starts each, bias −1 (grey: they fail)", log="y")
    for bias, colour in zip((0.0, -1.0, -1.5), plots.COLOURS, strict=False):
        mine = [row["settings"] for row in rows if row["group"] == "descent" and row["settings"]["bias"] == bias]
        place, rate, stderr = (np.array([row[name] for row in mine]) for name in ("d", "failed", "stderr"))
        right.errorbar(place, rate, yerr=2 * stderr, marker="o", capsize=2.5, color=colour, label=f"bias {bias:g}")
    plots.finish(
        right, x="input dimension d", y="part of the starts", title="Starts that have not reached 1e-3", log="x"
    )
    figure.suptitle("Exact population gradient descent of one ReLU neuron on another, step 1, unit-norm start")
    return figure


FIGURES = {
    "theory_kernel": kernel_ridge,
    "theory_peak": double_descent,
    "theory_neurons": random_neurons,
    "theory_real": real_data,
    "theory_descent": descent,
}


def main(folder: Path, measured: Path = DOCS / "measured" / "theory.json") -> None:
    """Draw every figure, as .png and .svg."""
    rows = json.loads(measured.read_text())["rows"]
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rfjax"}):
        for name, draw in FIGURES.items():
            figure = draw(rows)
            for kind in ("png", "svg"):
                figure.savefig(folder / f"{name}.{kind}", dpi=110, metadata={"Date": None} if kind == "svg" else None)


if __name__ == "__main__":
    main(DOCS / "figures")
