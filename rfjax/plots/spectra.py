"""Figures of the theory: spectra with multiplicities, energies by degree, what fixed functions reach.  No computing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
PHASES = ("#eef4fa", "#d3e4f2", "#a9cbe6", "#76abd6", "#4787bd", "#2a6299")
_LN10 = float(np.log(10))


def draw_spectrum(spectra: Mapping[str, Any], *, axes: Axes | None = None) -> Figure | Axes:
    """Eigenvalues against their place in descending order, on logarithmic axes: a step as wide as its multiplicity.

    `spectra` maps labels to records of `rf.theory.kernel_spectrum`; the first has its degrees written on it.
    """
    axes, figure = _axes(axes, (6.4, 4.2))
    for number, (label, spectrum) in enumerate(spectra.items()):
        colour = COLOURS[number % len(COLOURS)]
        order = np.argsort(-spectrum.log_eigenvalues, kind="stable")
        order = order[np.isfinite(spectrum.log_eigenvalues[order])]
        ends = np.logaddexp.accumulate(spectrum.log_multiplicity[order]) / _LN10
        starts = np.concatenate([[-0.25], ends[:-1]])
        heights = spectrum.log_eigenvalues[order] / _LN10
        axes.plot(
            np.column_stack([starts, ends]).ravel(), np.repeat(heights, 2), color=colour, linewidth=1.2, alpha=0.55
        )
        axes.hlines(heights, starts, ends, color=colour, linewidth=3, label=label)
        for s, a, b, h in zip(order[: 0 if number else 6], starts, ends, heights, strict=False):
            axes.annotate(
                str(spectrum.degrees[s]), ((a + b) / 2, h), (0, 4), textcoords="offset points",
                ha="center", fontsize=8, color=colour,
            )  # fmt: skip
    axes.set(xlabel="number of eigenvalues", ylabel="eigenvalue")
    _powers_of_ten(axes.xaxis)
    _powers_of_ten(axes.yaxis)
    return _done(axes, figure, "upper right")


def draw_energies(energies: Mapping[str, Any], *, degree: int = 10, axes: Axes | None = None) -> Figure | Axes:
    """The share of each degree in a target's energy, as grouped bars; estimates carry two standard errors.

    `energies` maps labels to records of `rf.theory.energies` or `rf.theory.estimate_energies`.
    """
    axes, figure = _axes(axes, (6.4, 3.8))
    width = 0.8 / len(energies)
    for i, (label, found) in enumerate(energies.items()):
        energy = np.asarray(found.energy)[: degree + 1] / found.second_moment
        stderr = getattr(found, "stderr", None)
        bars = None if stderr is None else 2 * np.asarray(stderr)[: len(energy)] / found.second_moment
        place = np.arange(len(energy)) + (i - (len(energies) - 1) / 2) * width
        axes.bar(
            place, energy, width * 0.92, yerr=bars, color=COLOURS[i % len(COLOURS)], label=label,
            error_kw={"elinewidth": 1, "capsize": 2},
        )  # fmt: skip
    axes.axhline(0, color="#888888", linewidth=0.8)
    axes.set(xlabel="degree", ylabel="share of E g²", xticks=range(degree + 1))
    axes.set_ylim(top=1.4 * axes.get_ylim()[1])  # room for the legend
    return _done(axes, figure, "upper right")


def draw_phases(
    samples: Sequence[float], widths: Sequence[float], degrees: np.ndarray, *, axes: Axes | None = None
) -> Figure | Axes:
    """The highest degree within reach in the plane of ln n/ln d and ln width/ln d; `degrees` [widths, samples]."""
    axes, figure = _axes(axes, (5.2, 4.4))
    top = int(degrees.max())
    axes.contourf(
        samples,
        widths,
        degrees,
        levels=np.arange(-0.5, top + 1),
        colors=[PHASES[i % len(PHASES)] for i in range(top + 1)],
    )
    axes.plot([min(samples), max(samples)], [min(samples), max(samples)], color="#555555", linewidth=1, linestyle=":")
    axes.set(xlabel="ln n / ln d   (samples)", ylabel="ln r / ln d   (features)", aspect="equal")
    handles = [
        Patch(color=PHASES[i % len(PHASES)], label="constant" if i == 0 else f"degree {i}") for i in range(top + 1)
    ]
    axes.legend(handles=handles, title="within reach", frameon=True, fontsize=9, loc="lower right")
    return figure if figure is not None else axes


def _axes(axes: Axes | None, size: tuple[float, float]) -> tuple[Axes, Figure | None]:
    if axes is not None:
        return axes, None
    figure = Figure(figsize=size, layout="constrained")
    return figure.subplots(), figure


def _done(axes: Axes, figure: Figure | None, place: Any) -> Figure | Axes:
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9, loc=place)
    return axes if figure is None else figure


def _powers_of_ten(axis: Any) -> None:
    """Labels 10^k for an axis that holds logarithms, which go on where numbers do not."""
    axis.get_major_locator().set_params(integer=True)
    axis.set_major_formatter(lambda value, _: f"$10^{{{value:.0f}}}$" if value == round(value) else "")
