"""The two figures of the separation experiment, from rows alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rfjax.plots.seeds import merged

Row = dict[str, Any]

STYLES = {  # view -> label, colour, marker
    "random_features": ("random features, ridge on the samples", "#e69f00", "o"),
    "random_features_population": ("random features, infinite data", "#b8860b", "v"),
    "nngp": ("NNGP kernel", "#56b4e9", "s"),
    "ntk": ("NTK kernel", "#0072b2", "D"),
    "linearized": ("linearised network", "#cc79a7", "P"),
    "network random": ("network on the samples, random start", "#7f7f7f", "X"),
    "network zero": ("network on the samples, zero output at start", "#444444", "*"),
    "network fresh": ("network on fresh samples", "#009e73", "*"),
    "neuron": ("one neuron, gradient descent on the samples", "#d55e00", "*"),
}
_FLOOR = 1e-16
_BREAK = 3e-3  # between the upper panels, where fixed features live, and the lower, of another scale
_APART = {"ntk": 1.25, "linearized": 1.5, "network random": 1.9, "network zero": 1.9}


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Rows of equal settings merged over seeds, each with its `kind`; without descent on the population."""
    mine = [row | {"kind": kind_of(row)} for row in rows if row["data"] != "population" or row["view"] != "neuron"]
    return merged(mine, lambda row: (row["d"], row["kind"], row["n"], row["width"]))


def kind_of(row: Row) -> str:
    """The view, with networks told apart by data and start: a key of STYLES."""
    if row["view"] != "network":
        return row["view"]
    return "network fresh" if row["data"] == "fresh" else f"network {row['start']}"


def draw_separation(rows: Sequence[Row], curves: Mapping[int, tuple[list[float], list[float]]]) -> Figure:
    """Relative error against the number of features or samples, a panel a dimension, with the bound and error bars."""
    width = max(4.3 * len(curves) + 0.8, 7.5)
    figure = Figure(figsize=(width, 7.6))
    grid = figure.subplots(2, len(curves), sharex="col", sharey="row", squeeze=False, height_ratios=(3, 2))
    figure.subplots_adjust(left=0.85 / width, right=1 - 0.15 / width, top=0.9, bottom=0.26, wspace=0.06, hspace=0.05)
    panels = grid[0]
    means = summarise(rows)
    lowest = min(1e-14, *(max(row["error"], _FLOOR) for row in means)) / 5
    for column, (d, (counts, bound)) in zip(grid.T, curves.items(), strict=True):
        for axes in column:
            _panel(axes, counts, bound, [row for row in means if row["d"] == d])
        column[0].set(title=f"d = {d}", ylim=(_BREAK, 8))
        column[1].set(xlabel="features or samples r", ylim=(lowest, _BREAK))
        column[0].tick_params(axis="x", which="both", bottom=False)
    figure.supylabel("relative error  E(f − g)² / Var g", x=0.012, y=0.58, fontsize=10)
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    columns = 3 if len(panels) > 2 else 2
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=columns, frameon=False, fontsize=9)
    example = next(row for row in rows if row["data"] != "population")
    figure.suptitle(
        f"Learning one ReLU neuron  [⟨w, x⟩ {example['bias']:+g}]₊,  ‖w‖ = {example['norm']:g},  x Gaussian in d dimensions",
        fontsize=12,
    )
    return figure


def _panel(axes: Axes, counts: list[float], bound: list[float], merged: list[Row]) -> None:
    axes.fill_between(counts, _FLOOR, bound, color="#f3d9d4", linewidth=0, label="out of reach of any fixed features")
    axes.plot(counts, bound, color="#b03a2e", linewidth=1.6, label="lower bound for any r features or samples")
    for kind, (label, colour, marker) in STYLES.items():
        mine = sorted((row for row in merged if row["kind"] == kind), key=_place)
        if not mine:
            continue
        x, y, bars = (
            [f(row) for row in mine] for f in (_place, lambda r: max(r["error"], _FLOOR), lambda r: r["stderr"])
        )
        lower = [min(bar, 0.9 * value) for bar, value in zip(bars, y, strict=True)]
        line = "-" if kind.startswith("random_features") else "none"
        size = 11 if marker == "*" else 6
        axes.errorbar(
            x, y, yerr=[lower, bars], label=label, color=colour, marker=marker, linestyle=line, markersize=size,
            markeredgecolor="white", markeredgewidth=0.6, linewidth=1.0, capsize=2.5,
        )  # fmt: skip
        if kind.startswith("network"):
            for row in mine:
                axes.annotate(f"{row['width']}", (_place(row), max(row["error"], _FLOOR)), xytext=(7, -3),
                              textcoords="offset points", fontsize=7.5, color=colour)  # fmt: skip
    axes.axhline(1, color="#999999", linewidth=0.8, linestyle=":")
    axes.annotate(
        "best constant", (counts[0], 1), xytext=(2, 3), textcoords="offset points", fontsize=7.5, color="#777777"
    )
    axes.set(xscale="log", yscale="log", xlim=(counts[0], counts[-1]))
    axes.grid(color="#eeeeee")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_power)
        axis.set_minor_locator(NullLocator())


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _power(value: float, _: object = None) -> str:
    """10ᵏ in plain characters: Matplotlib's own formulas take most of the time of drawing."""
    return "10" + f"{np.log10(value):.0f}".translate(_RAISED)


def _place(row: Row) -> float:
    """Where a row stands on the axis of features or samples: features by their number, everything else by samples.

    Kinds that share one number of samples stand a little apart.
    """
    kind = row["kind"]
    if kind.startswith("random_features") or row["n"] is None:
        return float(row["width"])
    return float(row["n"]) * _APART.get(kind, 1.0)


def draw_widths(rows: Sequence[Row]) -> Figure:
    """The least width that any fixed features need against d, beside the steps that gradient descent takes."""
    scaling = [row for row in rows if row["view"] == "neuron" and row["data"] == "population"]
    figure = Figure(figsize=(11, 4.8))
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.91, bottom=0.12, wspace=0.2)
    kinds = sorted({(row["error_is"] == "absolute", row["error"]) for row in scaling}, key=lambda k: (k[0], -k[1]))
    for (absolute, error), colour in zip(kinds, ("#56b4e9", "#0072b2", "#b03a2e", "#444444"), strict=False):
        mine = sorted(
            (row for row in scaling if row["error"] == error and (row["error_is"] == "absolute") == absolute),
            key=lambda row: row["d"],
        )
        what = f"absolute error {error:g}, ‖w‖ = d^(3/4)" if absolute else f"relative error {error:g}, ‖w‖ = 1"
        growth = "exponential" if absolute else "polynomial"
        d = [row["d"] for row in mine]
        left.plot(d, [row["log10_minimal_width"] for row in mine], "o-", color=colour, label=f"{what}: {growth}")
        right.plot(d, [row["steps"] for row in mine], "o-", color=colour, label=what)
    left.set(
        xlabel="input dimension d", ylabel="features needed (power of ten)", title="Any fixed features: least number"
    )
    right.set(xlabel="input dimension d", ylabel="steps", title="One neuron: steps of exact gradient descent")
    right.set_ylim(bottom=0)
    left.set_ylim(bottom=0)
    left.yaxis.set_major_formatter(lambda value, _: _power(10.0**value))
    for axes in (left, right):
        axes.grid(color="#eeeeee")
        axes.legend(frameon=False, fontsize=9)
    return figure
