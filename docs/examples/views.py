"""One network, five views, fitted to one ReLU neuron: what each makes of it along the neuron's own direction."""

# %% A task, some samples, and a network
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from matplotlib.figure import Figure

import rfjax as rf

jax.config.update("jax_enable_x64", True)  # to see how far the neuron gets


def main(folder: Path, n: int = 1000, steps: int = 2000) -> dict[str, float]:
    """Fit every view, write views.png and views.svg to `folder`, and return the relative population errors."""
    task = rf.tasks.single_neuron(d=30, bias=-1.0)
    X, y = task.sample(jax.random.key(0), n)
    net = rf.mlp(depth=1, width=256, b_std=1.0)
    params = net.init(jax.random.key(1), 30)

    # %% Each view in one line
    fits = {
        "NNGP": rf.ridge_regression(rf.nngp(net), X, y, ridge=0.01),
        "NTK": rf.ridge_regression(rf.ntk(net), X, y, ridge=0.01),
        "random features": rf.ridge_regression(rf.random_features(net, params=params), X, y, ridge=0.01),
        "linearised (empirical NTK)": rf.ridge_regression(rf.empirical_ntk(net, params), X, y, ridge=0.01),
        "network": rf.train(
            net,
            (X, y),
            optimizer=optax.adam(0.03),
            steps=steps,
            batch_size=min(n, 100),
            record=steps,
            params=net.zero_output(params),
            key=jax.random.key(2),
        ),
        "one neuron": rf.train(rf.neuron(), (X, y), optimizer=optax.sgd(1.0), steps=steps, key=jax.random.key(2)),
    }
    risks = {name: rf.population_risk(fit, task, key=jax.random.key(3), samples=4096) for name, fit in fits.items()}
    errors = {name: float(max(risk.value, risk.floor) / task.variance) for name, risk in risks.items()}

    # %% The fits along w, all other inputs zero
    z = jnp.linspace(-3, 4, 200)
    along = z[:, None] * task.direction
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    for axes, (name, fit) in zip(figure.subplots(2, 3, sharex=True, sharey=True).ravel(), fits.items(), strict=True):
        axes.plot(z, task(along), color="#999999", linewidth=5, alpha=0.5, label="the target, $[z-1]_+$")
        axes.plot(z, fit(along), color="#d55e00" if name in ("network", "one neuron") else "#0072b2", label="the fit")
        axes.set_title(f"{name}: relative error {errors[name]:.2g}", fontsize=11)
        axes.grid(color="#eeeeee")
    figure.axes[0].legend(frameon=False)
    figure.supxlabel("z = ⟨w, x⟩, the input along the neuron's direction", fontsize=11)
    figure.suptitle(
        f"Five views of one network, and one neuron, fitted to {n} samples of a ReLU neuron in 30 dimensions"
    )
    for kind in ("png", "svg"):
        figure.savefig(folder / f"views.{kind}", dpi=130, metadata={"Date": None} if kind == "svg" else None)
    return errors


if __name__ == "__main__":
    for name, error in main(Path(__file__).parents[1] / "figures").items():
        print(f"{name:28s} {error:.3g}")
