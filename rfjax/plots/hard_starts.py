"""The figure of the hard-starts experiment: how often descent fails, and how long it takes."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

Row = dict[str, Any]
_COLOURS = ("#56b4e9", "#0072b2", "#d55e00", "#444444")
_MARKERS = "osD^"


def draw(rows: Sequence[Row]) -> Figure:
    """Failures above, steps of the others below, against the bias: a column a dimension, a line a length of start."""
    dims, norms = (sorted({row[name] for row in rows}) for name in ("d", "norm"))
    figure = Figure(figsize=(1.2 + 4.3 * len(dims), 6.2), layout="constrained")
    panels = figure.subplots(2, len(dims), sharex=True, sharey="row", squeeze=False)
    for d, (above, below) in zip(dims, panels.T, strict=True):
        for i, (norm, colour, marker) in enumerate(zip(norms, _COLOURS, _MARKERS, strict=False)):
            mine = sorted((row for row in rows if row["d"] == d and row["norm"] == norm), key=lambda row: row["bias"])
            x = [row["bias"] + 0.03 * (i - (len(norms) - 1) / 2) for row in mine]
            failed, bars = ([row[name] for row in mine] for name in ("failed", "failed_stderr"))
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 5}
            above.errorbar(x, failed, yerr=bars, capsize=2.5, label=f"start of length {norm:g}", **style)
            collapsed = [row["collapsed"] for row in mine]
            above.plot(x, collapsed, linestyle=":", **style, markerfacecolor="white", label="of these zero functions")
            arrived = [(a, row["median_steps"]) for a, row in zip(x, mine, strict=True) if row["median_steps"]]
            if arrived:
                below.plot(*zip(*arrived, strict=True), linestyle="-", **style)
        above.set(title=f"d = {d}", ylim=(-0.03, 1.03))
        below.set(xlabel="bias b of the target, ‖w‖ = 1", yscale="log")
        for axes in (above, below):
            axes.grid(color="#eeeeee")
    panels[0, 0].set_ylabel("part of starts that fail")
    panels[1, 0].set_ylabel("median steps of the others")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(norms), frameon=False, fontsize=9)
    first = rows[0]
    figure.suptitle(
        f"Exact gradient descent on one ReLU neuron, step {first['learning_rate']:g},\nto relative error {first['target']:g}",
        fontsize=12,
    )
    return figure
