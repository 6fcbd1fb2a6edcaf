"""A sweep over widths: networks come to their linearisation in one parameterisation, and learn features in another.

From a checkout: python -m docs.examples.width_sweep
"""

# %% What is compared
from pathlib import Path

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

import rfjax as rf
from benchmarks.training import distance_from_linearisation, slope_with_error

WIDTHS = (64, 256, 1024, 4096)
COLOURS = {"erf": "#0072b2", "ReLU": "#d55e00", "ntk": "#0072b2", "mean_field": "#999999", "mup": "#d55e00"}


def movement(kind: str, width: int, draws: int) -> np.ndarray:
    """How far hidden units move in 100 steps of one learning rate, relative to their start, for each of the draws."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 10)).astype(np.float32)
    net = rf.mlp(depth=1, width=width, activation=rf.activations.erf, parameterization=kind)
    keys = jax.random.split(jax.random.key(0), draws)
    run = rf.train(net, (X, np.sin(X[:, 0])), optimizer=optax.sgd(0.3), steps=100, key=keys, record=100)
    before, after = (np.asarray(jax.vmap(lambda p: net.hidden(p, X))(params)) for params in (run.start, run.params))
    return np.linalg.norm(after - before, axis=(1, 2)) / np.linalg.norm(before, axis=(1, 2))


def main(folder: Path, widths: tuple[int, ...] = WIDTHS, draws: int = 8) -> dict[str, float]:
    """Train at every width, write width_sweep.png and .svg to `folder`, and return the slopes."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)

    # %% Left: the distance of network and linearisation after the same training
    slopes = {}
    for name, activation in {"erf": rf.activations.erf, "ReLU": rf.activations.relu}.items():
        gaps = distance_from_linearisation(activation, widths, draws)
        slope, stderr = slope_with_error(widths, gaps)
        slopes[name] = slope
        _band(left, widths, gaps, COLOURS[name], f"{name}: slope {slope:.2f} ± {stderr:.2f}")
    left.set(title="Network − linearisation, NTK parameterisation", ylabel="root mean square on new points")

    # %% Right: how far hidden units move, at one learning rate for all widths
    names = {"ntk": "NTK", "mup": "maximal update", "mean_field": "mean field"}
    for kind, name in names.items():
        moved = np.stack([movement(kind, width, draws) for width in widths])
        slopes[kind], stderr = slope_with_error(widths, moved)
        _band(right, widths, moved, COLOURS[kind], f"{name}: slope {slopes[kind]:.2f} ± {stderr:.2f}")
    right.set(title="Movement of hidden units, one learning rate", ylabel="relative to their start")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="width")
        axes.set_xticks(widths, [str(width) for width in widths], rotation=45)
        axes.minorticks_off()
        axes.grid(color="#eeeeee")
        axes.legend(frameon=False)
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"width_sweep.{suffix}", dpi=130, metadata={"Date": None} if suffix == "svg" else None)
    return slopes


def _band(axes, widths, values, colour, label):  # type: ignore[no-untyped-def]
    """The geometric mean over draws, and one standard deviation of a draw around it."""
    logs = np.log(values)
    mean, spread = logs.mean(axis=1), logs.std(axis=1, ddof=1)
    axes.plot(widths, np.exp(mean), "o-", color=colour, label=label)
    axes.fill_between(widths, np.exp(mean - spread), np.exp(mean + spread), color=colour, alpha=0.2, linewidth=0)


if __name__ == "__main__":
    for name, slope in main(Path(__file__).parents[1] / "figures").items():
        print(f"{name:12s} {slope:.3f}")
