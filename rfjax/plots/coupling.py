"""The figure of the coupling experiment: how far training goes from its start, against the width."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

Row = dict[str, Any]

SCALINGS = {"ntk": "NTK scaling", "mup": "maximal update (μP)"}
MEASURES = {
    "weights": "weights moved  ‖W − W₀‖ / ‖W₀‖",
    "kernel": "tangent kernel turned  1 − cos(K, K₀)",
    "function": "function from its linearisation",
}
_COLOURS = {"ntk": "#0072b2", "mup": "#d55e00"}


def slope(rows: Sequence[Row], scaling: str, name: str) -> tuple[float, float]:
    """The power p of value ∝ width^p and its standard error, by least squares on the logarithms of all starts."""
    mine = [row for row in rows if row["scaling"] == scaling and row[name] > 0]
    x, y = (np.log([row[key] for row in mine]) for key in ("width", name))
    x = x - x.mean()
    power = float(x @ y / (x @ x))
    left = y - y.mean() - power * x
    return power, float(np.sqrt(left @ left / max(len(x) - 2, 1) / (x @ x)))


def draw(rows: Sequence[Row]) -> Figure:
    """A panel a measure, and one for the risk: every start a dot, their median a line, its power beside it."""
    panels = MEASURES | {"relative_risk": "relative error"}
    figure = Figure(figsize=(10.5, 7.2), layout="constrained")
    widths = sorted({row["width"] for row in rows})
    for axes, (name, title) in zip(figure.subplots(2, 2, sharex=True).flat, panels.items(), strict=True):
        for scaling, label in SCALINGS.items():
            mine = [row for row in rows if row["scaling"] == scaling]
            medians = [np.median([row[name] for row in mine if row["width"] == width]) for width in widths]
            if name in MEASURES and len(widths) > 1:
                power, error = slope(rows, scaling, name)
                label = f"{label}:  width^({power:.2f} ± {error:.2f})"
            axes.plot(widths, medians, "-", color=_COLOURS[scaling], label=label)
            dots = [row["width"] for row in mine], [row[name] for row in mine]
            axes.plot(*dots, "o", color=_COLOURS[scaling], alpha=0.4, markersize=4, markeredgewidth=0)
        axes.set(xscale="log", yscale="log", title=title)
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.minorticks_off()
        axes.grid(color="#eeeeee")
        axes.legend(frameon=False, fontsize=9)
        if name in ("function", "relative_risk"):
            axes.set_xlabel("width of the hidden layer")
    figure.suptitle("The same training at growing widths: near its start, or learning features", fontsize=12)
    return figure
