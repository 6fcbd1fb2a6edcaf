"""How far is φ(x)·φ(y) from the kernel?  Feature maps of equal size, on Gaussian and real data."""

# %% The errors are those that `python -m benchmarks features --only gram-error` measured: ‖Φ Φᵀ − K‖/‖K‖ for every map,
# data set and number of features, averaged over draws, with the standard error of that mean.
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt

DOCS = Path(__file__).parents[1]
MEASURED = DOCS / "measured/features-gram-error.json"
KERNELS = {"rbf": "Gaussian kernel", "relu": "ReLU kernel"}
STYLES = {
    "iid": ("independent", "C7", "o"),
    "orthogonal": ("orthogonal", "C0", "s"),
    "structured": ("structured (Hadamard)", "C2", "^"),
    "sobol": ("Sobol", "C1", "D"),
    "halton": ("Halton", "C3", "v"),
}

Curves = dict[tuple[str, str], dict[str, list[tuple[float, float, float]]]]


# %% One panel a kernel and data set; in it one curve a map.
def curves(rows: list[dict]) -> Curves:
    """(p/d, error, its standard error) of every map, by kernel and data set."""
    found: Curves = {}
    for row in rows:
        settings = row["settings"]
        kernel, draw = row["name"].split()
        points = found.setdefault((kernel, f"{settings['data']} data, d = {settings['d']}"), {}).setdefault(draw, [])
        points.append((settings["p"] / settings["d"], row["error"], settings["stderr"]))
    return found


# %% The figure.
def draw(found: Curves) -> plt.Figure:
    """All panels, one legend."""
    panels = [key for key in sorted(found) if len(found[key]) > 1]  # where there is something to compare
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.6 * len(panels), 3.8), sharey=True, layout="constrained", squeeze=False
    )
    for axis, (kernel, data) in zip(axes[0], panels, strict=True):
        for draw, (name, colour, marker) in STYLES.items():
            points = found[kernel, data].get(draw)
            if points:
                x, error, stderr = zip(*sorted(points), strict=True)
                axis.errorbar(x, error, yerr=stderr, label=name, color=colour, marker=marker, markersize=4, capsize=2)
        axis.set(xscale="log", yscale="log", xlabel="features a column, p/d", title=f"{KERNELS[kernel]}, {data}")
        ticks = sorted({x for points in found[kernel, data].values() for x, _, _ in points})
        axis.set_xticks(ticks, [f"{x:g}" for x in ticks])
        axis.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("‖ΦΦᵀ − K‖ / ‖K‖")
    axes[0, 0].legend(frameon=False, fontsize=9)
    return figure


def main(measured: Path = MEASURED, out: Path = DOCS) -> None:
    """Draw what was measured to `feature_errors.png` and `.svg` in the folder figures of `out`."""
    (out / "figures").mkdir(parents=True, exist_ok=True)
    with plt.rc_context({"svg.hashsalt": "feature_errors"}):
        figure = draw(curves(json.loads(measured.read_text())["rows"]))
        figure.savefig(out / "figures/feature_errors.png", dpi=120)
        figure.savefig(out / "figures/feature_errors.svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
