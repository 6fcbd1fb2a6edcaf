"""What fixed features can learn, in four pictures: spectra, energies by degree, the bound, and degrees within reach."""

# %% Kernels, targets and a dimension
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import rfjax as rf
from rfjax.plots import spectra as plots

jax.config.update("jax_enable_x64", True)


def main(folder: Path, d: int = 30, n: int = 4000) -> dict[str, float]:
    """Write spectra.png and spectra.svg to `folder`, and return the minimal widths at relative error 0.1."""
    figure = Figure(figsize=(11.5, 8.6), layout="constrained")
    (one, two), (three, four) = figure.subplots(2, 2)

    # %% Eigenvalues with their multiplicities
    deep, shallow = rf.mlp(depth=5, width=1, b_std=0.1), rf.mlp(depth=1, width=1, b_std=0.1)
    kernels = {"NTK, depth 5": rf.ntk(deep), "NNGP, depth 1": rf.nngp(shallow), "rbf, length √d": rf.rbf(d**0.5)}
    spectra = {label: rf.theory.kernel_spectrum(kernel, d, degree=8) for label, kernel in kernels.items()}
    plots.draw_spectrum(spectra, axes=one)
    one.set_title(f"Kernels on the sphere in {d} dimensions, degree by degree", fontsize=11)

    # %% A target's energy by degree, exact and from samples
    task = rf.tasks.single_neuron(d, bias=-1.0)
    X, y = task.sample(jax.random.key(0), n)
    energies = {
        "the neuron $[z-1]_+$": rf.theory.energies(task),
        f"the same, from {n} samples": rf.theory.estimate_energies(X, y, 3),
        "staircase $z_1 + z_1z_2z_3$": rf.theory.energies(rf.tasks.staircase(d, (1, 2))),
    }
    plots.draw_energies(energies, degree=6, axes=two)
    two.set_title("Energy by degree", fontsize=11)

    # %% What r features, or r samples of a kernel method, cannot do better than
    tasks = {
        "$[z]_+$": rf.tasks.single_neuron(d),
        "$[z-1]_+$": task,
        "staircase (1, 2)": rf.tasks.staircase(d, (1, 2)),
        "parity of 3 signs": rf.tasks.parity(d, 3),
        r"$z+\sqrt{2}\sin(\sqrt{d}z)$": rf.tasks.modulated(d),
    }
    r = np.geomspace(1, 1e8, 200)
    for colour, (label, each) in zip(plots.COLOURS, tasks.items(), strict=False):
        three.loglog(r, rf.theory.risk_lower_bound(each, r), color=colour, label=label)
    three.set(xlabel="features or samples r", ylabel="least relative error", ylim=(3e-4, 1.6), xlim=(1, 1e8))
    three.grid(color="#eeeeee")
    three.legend(frameon=False, fontsize=9)
    three.set_title("The bound on any r fixed functions", fontsize=11)

    # %% Degrees within reach of both
    exponents, dimension = np.linspace(0, 4, 161), 1000
    reach = (rf.theory.degree_reach(dimension, dimension**exponents, 6) >= 0.5).sum(axis=1) - 1
    plots.draw_phases(exponents, exponents, np.minimum(reach[:, None], reach), axes=four)
    four.set_title(f"Degrees of which half or more can be learned, d = {dimension}", fontsize=11)

    for kind in ("png", "svg"):
        figure.savefig(folder / f"spectra.{kind}", dpi=120, metadata={"Date": None} if kind == "svg" else None)
    return {label: rf.theory.minimal_width(each, 0.1).log10 for label, each in list(tasks.items())[:3]}


if __name__ == "__main__":
    for name, log in main(Path(__file__).parents[1] / "figures").items():
        print(f"{name:28s} 10^{log:.2f} functions for a relative error of 0.1")
