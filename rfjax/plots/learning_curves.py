"""The figure of the learning-curves experiment: simulated errors on predicted curves."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

Row = dict[str, Any]
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#444444")


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by data set, in the order of their samples."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["n"]):
        found[row["data"]].append(row)
    return found


def draw(rows: Sequence[Row], curves: Mapping[str, tuple[list[int], list[float], list[float] | None]]) -> Figure:
    """Errors against samples, synthetic data on the left and real data on the right; bands are two standard errors."""
    figure = Figure(figsize=(10.5, 4.5), layout="constrained")
    panels = figure.subplots(1, 2)
    measured = groups(rows)
    sides = ([name for name in curves if name.startswith("sphere")], [n for n in curves if not n.startswith("sphere")])
    for axes, names, title in zip(
        panels, sides, ("by the kernel's spectrum", "by the Gram matrix of half of the data"), strict=True
    ):
        for name, colour in zip(names, _COLOURS if names is sides[0] else _COLOURS[2:], strict=False):
            counts, curve, stderr = curves[name]
            axes.plot(counts, curve, color=colour, linewidth=1.5, label=f"{name}: predicted")
            if stderr is not None:
                low, high = (np.asarray(curve) + sign * 2 * np.asarray(stderr) for sign in (-1, 1))
                axes.fill_between(counts, low, high, color=colour, alpha=0.15, linewidth=0)
            x, y, bars = ([row[key] for row in measured.get(name, [])] for key in ("n", "error", "stderr"))
            axes.errorbar(
                x, y, yerr=2 * np.asarray(bars), fmt="o", color=colour, markersize=5, capsize=2.5, label="simulated"
            )
        axes.set(xscale="log", yscale="log", xlabel="samples", title=title)
        axes.grid(color="#eeeeee", which="both")
        if names:
            axes.legend(frameon=False, fontsize=9)
    panels[0].set_ylabel("squared error, of the truth")
    panels[1].set_ylabel("squared error, of fresh labels")
    figure.suptitle(
        "Kernel ridge regression: errors predicted and simulated (bars and bands: two standard errors)", fontsize=12
    )
    return figure
