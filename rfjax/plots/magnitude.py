"""The figure of the magnitude experiment: what an error costs in coefficients."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

Row = dict[str, Any]
_COLOURS = ("#cc79a7", "#e69f00", "#56b4e9", "#0072b2", "#009e73", "#444444")
_REASONABLE = 1e6  # sizes beyond are a numerically singular fit's


def size_at(rows: Sequence[Row], error: float) -> float | None:
    """The least size with which the rows of one width reach an error, between ridges; None where none does."""
    path = sorted(rows, key=lambda row: -row["ridge"])
    for one, other in pairwise(path):
        if one["relative_risk"] > error >= other["relative_risk"]:
            part = np.log(one["relative_risk"] / error) / np.log(one["relative_risk"] / other["relative_risk"])
            return float(np.exp(np.log(one["size"]) + part * np.log(other["size"] / one["size"])))
    return None


def draw(rows: Sequence[Row], bounds: Mapping[int, tuple[list[float], list[float]]], errors: Sequence[float]) -> Figure:
    """Above, error against size, a line a width; below, size at fixed errors against width; the bound in both."""
    widths = sorted({row["width"] for row in rows})
    figure = Figure(figsize=(max(7.0, 1.0 + 3.9 * len(bounds)), 7.4), layout="constrained")
    panels = figure.subplots(2, len(bounds), sharey="row", squeeze=False)
    for (above, below), (d, (grid, limit)) in zip(panels.T, bounds.items(), strict=True):
        above.fill_betweenx(grid, 1e-3, limit, color="#f3d9d4", linewidth=0, label="out of reach at any width")
        above.plot(limit, grid, color="#b03a2e", linewidth=1.6, label="lower bound")
        for width, colour in zip(widths, _COLOURS, strict=False):
            mine = sorted((r for r in rows if r["d"] == d and r["width"] == width), key=lambda row: row["ridge"])
            mine = [row for row in mine if row["size"] < _REASONABLE]
            x, y = ([row[name] for row in mine] for name in ("size", "relative_risk"))
            above.plot(x, y, "-", color=colour, label=f"{width} neurons")
        for error, colour in zip(errors, _COLOURS[1:], strict=False):
            sizes = [size_at([r for r in rows if r["d"] == d and r["width"] == width], error) for width in widths]
            reached = [(width, size) for width, size in zip(widths, sizes, strict=True) if size]
            if reached:
                below.plot(*zip(*reached, strict=True), "o-", color=colour, markersize=5)
            below.axhline(limit[grid.index(error)], color=colour, linestyle="--", linewidth=1)
            below.plot([], [], "o-", color=colour, label=f"error {error:g}")
        above.set(title=f"d = {d}", xscale="log", yscale="log", xlim=(0.1, _REASONABLE), ylim=(min(grid), 1.5))
        above.set_xlabel("size of the coefficients")
        below.set(xscale="log", yscale="log", xlabel="neurons")
        for axes in (above, below):
            axes.grid(color="#eeeeee")
    panels[0, 0].set_ylabel("relative error")
    panels[1, 0].set_ylabel("size of the coefficients")
    panels[0, 0].legend(frameon=False, fontsize=8.5, loc="upper right")
    panels[1, 0].legend(frameon=False, fontsize=8.5, title="dashed: bound", title_fontsize=8.5)
    figure.suptitle("One ReLU neuron by random ReLU neurons: error, width and size of coefficients", fontsize=12)
    return figure
