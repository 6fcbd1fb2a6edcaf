"""What do features of a neural tangent kernel cost, and what do they lose?  Maps of equal size beside the exact kernel."""

# %% The figures are those that `python -m benchmarks ntk_features` measured: ridge regression on p features of each map,
# and with the exact NTK.
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from rfjax.plots.features import Curve, compare_maps

DOCS = Path(__file__).parents[1]
MEASURED = sorted(DOCS.glob("measured/ntk_features-*.json"))
ROWS = {  # what a row of panels shows, from a measurement
    "distance to the exact kernel": lambda row: row["error"],
    "error on new points": lambda row: row["settings"]["test_error"],
    "seconds": lambda row: row["seconds"],
}

Panels = dict[str, list[dict]]


# %% One column of panels a data set and depth; in each panel one curve a map.
def panels(rows: list[dict]) -> Panels:
    """The measurements of every data set and depth."""
    found: Panels = {}
    for row in rows:
        if row["against"] not in (None, "exact"):  # a roofline
            continue
        settings = row["settings"]
        data = row["group"] + (" made up" if settings["data"] == "made up" else "")
        title = f"{data}, n = {settings['n']:,}, depth {settings['depth']}"
        found.setdefault(title, []).append(row)
    return found


def draw_panel(axes: Axes, rows: list[dict], label: str) -> None:
    """One quantity against p: a curve a map, and the exact kernel as a line."""
    value, curves = ROWS[label], {}
    for name in sorted({row["name"] for row in rows if "p" in row["settings"]}):  # one colour in all panels
        points = sorted((row["settings"]["p"], value(row)) for row in rows if row["name"] == name)
        curves[name] = Curve(*zip(*points, strict=True))
    compare_maps(axes, curves, ylabel=label, slope=False)
    exact = next(row for row in rows if row["name"] == "exact")
    if value(exact) > 0:
        axes.axhline(value(exact), color="black", linestyle="--", linewidth=1, label="exact kernel")


# %% The figure.
def draw(found: Panels) -> plt.Figure:
    """All panels, one legend."""
    figure, axes = plt.subplots(
        len(ROWS), len(found), figsize=(3 + 3.2 * len(found), 8.4), sharex=True, sharey="row", layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for column, (title, rows) in zip(axes.T, found.items(), strict=True):
        for axis, label in zip(column, ROWS, strict=True):
            draw_panel(axis, rows, label)
            axis.label_outer()
        column[0].set_title(title, fontsize=10)
    figure.legend(
        *axes[-1, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(3, 1 + len(found)),
        frameon=False,
    )
    return figure


def main(out: Path = DOCS, *measured: Path) -> None:
    """Draw what was measured to `ntk_features.png` and `.svg` in the folder figures of `out`."""
    rows = [row for file in measured or MEASURED for row in json.loads(file.read_text())["rows"]]
    (out / "figures").mkdir(parents=True, exist_ok=True)
    with plt.rc_context({"svg.hashsalt": "ntk_features"}):
        figure = draw(panels(rows))
        figure.savefig(out / "figures/ntk_features.png", dpi=120)
        figure.savefig(out / "figures/ntk_features.svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
