"""Predictions and simulations side by side, on axes that the caller gives."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import ArrayLike, Float
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444")


def draw_curve(
    axes: Axes,
    x: ArrayLike,
    predicted: ArrayLike,
    *,
    label: str,
    colour: str,
    simulated: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    band: ArrayLike | None = None,
    line: str = "-",
) -> None:
    """A line of theory, with simulated points (x, mean, standard error) and a band ± about the line where given.

    Without a line (x empty) the label goes to the points.  Error bars are two standard errors, and the band is two of
    `band`.
    """
    x, predicted = np.asarray(x, dtype=float), np.asarray(predicted, dtype=float)
    if x.size:
        axes.plot(x, predicted, line, color=colour, linewidth=1.6, label=label)
    if band is not None:
        half = 2 * np.asarray(band, dtype=float)
        axes.fill_between(x, predicted - half, predicted + half, color=colour, alpha=0.18, linewidth=0)
    if simulated is not None:
        place, mean, stderr = (np.asarray(part, dtype=float) for part in simulated)
        bars = np.nan_to_num(2 * stderr)
        axes.errorbar(
            place, mean, yerr=[np.minimum(bars, 0.9 * mean), bars], fmt="o", color=colour, markersize=5,
            label=None if x.size else label,
            markeredgecolor="white", markeredgewidth=0.6, capsize=2.5, linewidth=1.0, zorder=3,
        )  # fmt: skip


def finish(axes: Axes, *, x: str, y: str, title: str = "", log: str = "xy", legend: bool = True) -> None:
    """Labels, logarithmic axes ("x", "y", "xy" or ""), grid and legend."""
    axes.set(xlabel=x, ylabel=y, title=title)
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        if high < 300 * low:  # few decades: 1, 2 and 5 of each
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    if legend:
        axes.legend(frameon=False, fontsize=8.5)


def draw_bound(
    axes: Axes, r: ArrayLike, bound: ArrayLike, achieved: ArrayLike, *, label: str = "random neurons"
) -> None:
    """The error out of reach of any r functions, shaded, and what r functions achieve."""
    r, bound = np.asarray(r, dtype=float), np.asarray(bound, dtype=float)
    axes.fill_between(r, 1e-16, bound, color="#f3d9d4", linewidth=0)
    axes.plot(r, bound, color="#b03a2e", linewidth=1.6, label="bound for any r functions")
    axes.plot(r, np.asarray(achieved), color=COLOURS[0], linewidth=1.6, label=label)


def draw_peak(
    axes: Axes, features: ArrayLike, predicted: Sequence[ArrayLike], *, labels: Sequence[str], n: float
) -> None:
    """Error against the number of features, a line a setting, with the number of samples marked."""
    for values, label, colour in zip(predicted, labels, COLOURS, strict=False):
        axes.plot(np.asarray(features), np.asarray(values), color=colour, linewidth=1.6, label=label)
    axes.axvline(n, color="#999999", linewidth=0.8, linestyle=":")
    axes.annotate(
        "features = n", (n, 1), xycoords=("data", "axes fraction"), xytext=(4, -12), textcoords="offset points",
        fontsize=8, color="#777777",
    )  # fmt: skip


def draw_descent(
    axes: Axes, steps: ArrayLike, risk: Float[ArrayLike, "s T"], *, label: str, colour: str, failed: ArrayLike
) -> None:
    """The risk of every start against the step: those that reach their target, and, dashed and grey, those that fail."""
    lost, labelled = np.asarray(failed), False
    for path, fails in zip(np.atleast_2d(np.asarray(risk)), np.atleast_1d(lost), strict=True):
        axes.plot(
            np.asarray(steps), np.maximum(path, 1e-14), color="#999999" if fails else colour,
            linestyle="--" if fails else "-", linewidth=0.8, alpha=0.6, label=None if fails or labelled else label,
        )  # fmt: skip
        labelled = labelled or not fails
