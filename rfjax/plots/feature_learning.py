"""The figure of the feature-learning experiment: errors against samples, a panel a task."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from rfjax.plots.seeds import merged

Row = dict[str, Any]

TASKS = {"product": "z₁z₂, degree 2", "staircase": "z₁ + z₁z₂ + z₁z₂z₃, degree 3", "parity": "parity of 3 signs"}
VIEWS = {"random_features": "random features", "ntk": "NTK", "network": "trained network"}
_STYLES = {"random_features": ("#e69f00", "o"), "ntk": ("#0072b2", "D"), "network": ("#009e73", "*")}


def averaged(rows: Sequence[Row], task: str, view: str) -> list[Row]:
    """Rows of one task and view merged over seeds, by the number of samples."""
    mine = [row for row in rows if row["task"] == task and row["view"] == view]
    return sorted(merged(mine, lambda row: row["n"]), key=lambda row: row["n"])


def draw(rows: Sequence[Row]) -> Figure:
    """Relative error against samples, a panel a task, a line a view."""
    figure = Figure(figsize=(12, 4.3), layout="constrained")
    panels = figure.subplots(1, len(TASKS), sharey=True)
    for axes, (task, title) in zip(panels, TASKS.items(), strict=True):
        for view, label in VIEWS.items():
            mine = averaged(rows, task, view)
            x, y, bars = ([row[name] for row in mine] for name in ("n", "error", "stderr"))
            lower = [min(bar, 0.9 * value) for bar, value in zip(bars, y, strict=True)]
            colour, marker = _STYLES[view]
            size = 11 if marker == "*" else 6
            axes.errorbar(
                x, y, yerr=[lower, bars], color=colour, marker=marker, markersize=size, capsize=2.5, label=label
            )
        axes.axhline(1, color="#999999", linewidth=0.8, linestyle=":")
        axes.set(xscale="log", yscale="log", xlabel="samples", title=title)
        axes.grid(color="#eeeeee")
    panels[0].set_ylabel("relative error")
    panels[0].legend(frameon=False, fontsize=9, loc="lower left")
    figure.suptitle(f"Functions of a few of {rows[0]['d']} directions", fontsize=12)
    return figure
