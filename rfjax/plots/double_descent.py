"""The figure of the double-descent experiment: simulation beside theory, through the peak."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

Row = dict[str, Any]
_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#444444")


def averaged(rows: Sequence[Row], ridge: float) -> list[Row]:
    """The rows of one ridge, by the number of features."""
    return sorted((row for row in rows if row["ridge"] == ridge), key=lambda row: row["features"])


def draw(rows: Sequence[Row], curves: Mapping[float, tuple[list[int], list[float]]]) -> Figure:
    """Relative error against the number of features: points with their standard errors, theory's curve through them."""
    figure = Figure(figsize=(7.6, 4.9), layout="constrained")
    axes = figure.subplots()
    for (ridge, (counts, curve)), colour in zip(curves.items(), _COLOURS, strict=False):
        axes.plot(counts, curve, color=colour, linewidth=1.4, label=f"theory, ridge {ridge:g}")
        mine = averaged(rows, ridge)
        x, y, bars = ([row[name] for row in mine] for name in ("features", "relative_risk", "stderr"))
        lower = [min(bar, 0.9 * value) for bar, value in zip(bars, y, strict=True)]
        axes.errorbar(x, y, yerr=[lower, bars], fmt="o", color=colour, markersize=4.5, capsize=2.5)
    n = rows[0]["n"]
    axes.axvline(n, color="#999999", linewidth=0.9, linestyle=":")
    axes.annotate(
        "features = samples", (n, 1), xycoords=("data", "axes fraction"), xytext=(4, -12), textcoords="offset points",
        fontsize=8.5, color="#777777",
    )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="random features", ylabel="relative error  E(f − g)² / Var g")
    axes.grid(color="#eeeeee")
    axes.legend(frameon=False, fontsize=9, title="points: simulated, mean ± standard error", title_fontsize=9)
    axes.set_title(f"Random features on {n} noisy samples of one ReLU neuron, d = {rows[0]['d']}", fontsize=11)
    return figure
