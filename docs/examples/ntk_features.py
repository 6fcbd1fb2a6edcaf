"""How near NTK features come to the exact kernel's predictions, at which p and which time: from a measured file."""

# %% `python -m benchmarks ntk_features --out docs/measured/ntk_features.json` measures; this draws.
import json
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

from rfjax.plots.features import Curve, compare_maps

DOCS = Path(__file__).parents[1]


def draw(rows: list[dict]) -> plt.Figure:
    """A column a data set and depth: distance to the exact predictions, and seconds in units of the exact fit's."""
    panels = sorted({(row["settings"]["data"], row["settings"]["depth"]) for row in rows})
    figure, axes = plt.subplots(
        2, len(panels), figsize=(3.4 * len(panels), 6.2), sharex=True, sharey="row", squeeze=False
    )
    for column, (data, depth) in zip(axes.T, panels, strict=True):
        here = [r for r in rows if (r["settings"]["data"], r["settings"]["depth"]) == (data, depth)]
        (exact,) = (r for r in here if r["name"] == "exact")
        for panel, field in zip(column, ("error", "ratio"), strict=True):
            curves = defaultdict(lambda: ([], []))
            for row in here:
                if row["name"] != "exact":
                    curves[row["name"]][0].append(row["settings"]["p"])
                    curves[row["name"]][1].append(row[field])
            compare_maps(panel, {k: Curve(*v) for k, v in curves.items()}, ylabel="", slope=False)
            panel.set_xlabel("")
        column[0].set_title(
            f"{data}, depth {depth}\nn = {exact['settings']['n']}, d = {exact['settings']['d']}", fontsize=10
        )
        column[1].axhline(1.0, color="#444444", linewidth=1, linestyle=":")
        column[1].set_xlabel("features p")
    axes[0, 0].set_ylabel("distance to the exact NTK's predictions\n(standard deviations of y)")
    axes[1, 0].set_ylabel("seconds / exact fit's")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=min(len(labels), 5), frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return figure


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "measured/ntk_features.json"
    with plt.rc_context({"svg.hashsalt": "ntk_features"}):
        figure = draw(json.loads(source.read_text())["rows"])
        for kind, metadata in (("png", None), ("svg", {"Date": None})):
            figure.savefig(DOCS / f"figures/ntk_features.{kind}", dpi=120, metadata=metadata)
