"""Feature maps compared: error against the number of columns, a line a map."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#7f7f7f", "#b8860b")
MARKERS = "osD^vP*X"


class Curve(NamedTuple):
    """A map's error at some numbers of columns, and two standard errors of it (0 where unknown)."""

    columns: Sequence[float]
    error: Sequence[float]
    spread: Sequence[float] | None = None


def compare_maps(axes: Axes, curves: Mapping[str, Curve], *, ylabel: str, slope: bool = True) -> None:
    """Draw `curves`, by the names of their maps, on doubly logarithmic `axes`; with `slope` also the line 1/√p."""
    for i, (name, curve) in enumerate(curves.items()):
        axes.errorbar(
            curve.columns,
            curve.error,
            yerr=curve.spread,
            label=name,
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i % len(MARKERS)],
            markersize=5,
            linewidth=1.4,
            capsize=2,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    if slope and curves:
        first = max(curves.values(), key=lambda curve: curve.error[0])
        p = [min(first.columns), max(first.columns)]
        level = 1.25 * max(first.error[0], 1e-300)
        axes.plot(p, [level * (p[0] / q) ** 0.5 for q in p], color="#bbbbbb", linestyle="--", linewidth=1, label="1/√p")
    axes.set_xlabel("features p")
    axes.set_ylabel(ylabel)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(alpha=0.25, which="major")
