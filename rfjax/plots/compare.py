"""The figure of a comparison: a dot a contender, the best on top."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rfjax.plots.rendering import rendered

Row = dict[str, Any]
Standing = Any  # of rfjax.experiments.paired

MEASURES = {"regression": "squared error / variance of the target", "classification": "share of rows misread"}
COLOURS = {"network": "#d55e00", "rbf": "#7f7f7f"}
_OTHERS = "#0072b2"


def figures(
    found: Sequence[Standing], rows: Sequence[Row], labels: Mapping[str, str], verdict: str
) -> dict[str, bytes]:
    """File names and contents: compare.png and compare.svg."""
    return rendered(lambda: {"compare": draw(found, rows, labels, verdict)})


def draw(found: Sequence[Standing], rows: Sequence[Row], labels: Mapping[str, str], verdict: str) -> Figure:
    """Errors with their standard errors and every fold's as a faint dot; beside them the seconds that each took."""
    figure = Figure(figsize=(9.6, 1.5 + 0.44 * len(found)))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(5, 2))
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.185, right=0.985, top=1 - 0.78 / height, bottom=0.66 / height, wspace=0.05)
    for place, standing in enumerate(found):
        colour = COLOURS.get(standing.view, _OTHERS)
        folds = [row["error"] for row in rows if row["view"] == standing.view]
        left.plot(folds, np.full(len(folds), place), "o", color=colour, alpha=0.25, markersize=4, markeredgewidth=0)
        left.errorbar(
            standing.error, place, xerr=standing.stderr, fmt="o", color=colour, capsize=3, markersize=7,
            markeredgecolor="white", markeredgewidth=0.6,
        )  # fmt: skip
        right.barh(place, standing.seconds, height=0.5, color=colour, alpha=0.85)
        right.annotate(
            _seconds(standing.seconds), (standing.seconds, place), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8.5, color="#444444",
        )  # fmt: skip
    constant = float(np.mean([row["constant"] for row in rows]))
    largest = max(max(row["error"] for row in rows), max(s.error + s.stderr for s in found))
    measure = MEASURES[rows[0]["task"]]
    if constant >= 1.6 * largest:  # there it would squeeze what is compared
        measure = f"{measure} (a constant: {constant:.2g})"
    else:
        left.axvline(constant, color="#999999", linewidth=0.9, linestyle=":")
        left.annotate(
            "a constant", (constant, 1), xycoords=("data", "axes fraction"), xytext=(-3, -3), textcoords="offset points",
            fontsize=8, color="#777777", ha="right", va="top",
        )  # fmt: skip
    left.set_yticks(range(len(found)), [labels[standing.view] for standing in found])
    left.set_ylim(len(found) - 0.5, -0.5)
    bars = f"bars: standard error over {1 + max(row['fold'] for row in rows)} folds, each a faint dot"
    left.set_xlabel(f"{measure}\n{bars}")
    right.set_xlabel("seconds a fold\n(settings chosen, fit, predictions)")
    right.set_xlim(0, 1.3 * max(standing.seconds for standing in found))
    right.locator_params(axis="x", nbins=4)
    for axes in (left, right):
        axes.grid(axis="x", color="#eeeeee")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.text(0.012, 1 - 0.1 / height, rows[0]["data"], fontsize=12, weight="bold", va="top")
    figure.text(0.012, 1 - 0.36 / height, verdict, fontsize=9, va="top", wrap=True)
    return figure


def _seconds(value: float) -> str:
    return f"{value:.2g} s" if value < 100 else f"{value:.0f} s"
