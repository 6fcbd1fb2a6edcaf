"""The figure of the polynomials experiment: a staircase, a step a degree."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rfjax.plots.seeds import merged

Row = dict[str, Any]

VIEWS = {"ntk": "NTK, samples", "random_features": "random features, features"}
_TITLES = {"ntk": "NTK", "random_features": "Random features"}
_AXES = {"ntk": "log n / log d,  n samples", "random_features": "log N / log d,  N features"}
_COLOURS = ("#56b4e9", "#0072b2", "#d55e00", "#444444")
_MARKERS = "osD^"


def averaged(rows: Sequence[Row], view: str) -> list[Row]:
    """Rows of one view merged over seeds, by dimension and size."""
    mine = [row for row in rows if row["view"] == view]
    return sorted(merged(mine, lambda row: (row["d"], row["exponent"])), key=lambda row: (row["d"], row["exponent"]))


def draw(rows: Sequence[Row]) -> Figure:
    """Relative error against the power of d, a panel a view, a line a dimension, above the staircase."""
    degree = rows[0]["degree"]
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    panels = figure.subplots(1, len(VIEWS), sharey=True)
    steps = np.arange(degree + 1)
    for axes, view in zip(panels, VIEWS, strict=True):
        axes.stairs(1 - steps / degree, np.append(steps, degree + 0.5), color="#999999", linestyle="--",
                    baseline=None, label="limit of large d: degrees below the power learned")  # fmt: skip
        means = averaged(rows, view)
        for d, colour, marker in zip(sorted({row["d"] for row in means}), _COLOURS, _MARKERS, strict=False):
            mine = [row for row in means if row["d"] == d]
            x, y, bars = ([row[name] for row in mine] for name in ("exponent", "error", "stderr"))
            axes.errorbar(x, y, yerr=bars, color=colour, marker=marker, markersize=5, capsize=2.5, label=f"d = {d}")
        axes.set(xlabel=_AXES[view], title=_TITLES[view])
        axes.set_xlim(0, max(row["exponent"] for row in rows) + 0.25)
        axes.grid(color="#eeeeee")
    panels[0].set(ylabel="relative error", ylim=(0, 1.15))
    panels[0].legend(frameon=False, fontsize=9, loc="lower left")
    figure.suptitle(f"Polynomials with equal energy in degrees 1 to {degree}: a step a degree", fontsize=12)
    return figure
