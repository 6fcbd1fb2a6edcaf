"""Steps of conjugate gradients against the ridge, with and without a preconditioner: from a measured file."""

# %% `python -m benchmarks regression --only ridges --out docs/measured/regression-ridges.json` measures; this draws.
import json
from pathlib import Path

import matplotlib.pyplot as plt

DOCS = Path(__file__).parents[1]
COLOURS = {0: "#444444", 100: "#56b4e9", 500: "#0072b2"}


def draw(rows: list[dict]) -> plt.Figure:
    """A line a rank."""
    figure, axes = plt.subplots(figsize=(6.4, 4.2))
    for rank in sorted({row["settings"]["rank"] for row in rows}):
        mine = sorted((row["settings"] for row in rows if row["settings"]["rank"] == rank), key=lambda s: s["ridge"])
        label = f"{rank} pivots (RPCholesky)" if rank else "no preconditioner"
        axes.plot([s["ridge"] for s in mine], [s["steps"] for s in mine], "o-", color=COLOURS.get(rank), label=label)
    first = rows[0]["settings"]
    axes.set(xscale="log", xlabel="ridge, on a kernel with unit diagonal", ylabel="steps to a residual of 1e-6")
    axes.set_title(f"Conjugate gradients, NTK of depth 2, n = {first['n']}, d = {first['d']}", fontsize=11)
    axes.set_ylim(bottom=0)
    axes.invert_xaxis()
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    with plt.rc_context({"svg.hashsalt": "iterations", "svg.fonttype": "none"}):
        figure = draw(json.loads((DOCS / "measured/regression-ridges.json").read_text())["rows"])
        for kind, metadata in (("png", None), ("svg", {"Date": None})):
            figure.savefig(DOCS / f"figures/iterations.{kind}", dpi=120, metadata=metadata)
