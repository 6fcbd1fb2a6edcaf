"""Test errors at equal time on real data: rfjax beside scikit-learn's Nyström features and GPyTorch at their defaults.

A fit of ours is held against the best of a peer's fits that took no longer.  All seconds are of everything a user waits
for: choosing hyperparameters, compiling, fitting, predicting.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

import rfjax as rf
from benchmarks.datasets import Split, load
from benchmarks.report import Row, at_roofline
from benchmarks.timing import peak_rss_bytes

RIDGES = np.geomspace(1e-3, 10, 17)
CHOSEN_ON = 2000  # rows on which ridges are chosen by leaving one out


class Fit(NamedTuple):
    """What one fit reached, and how long it took; of ours the multiplications too, without those of tuning."""

    name: str
    seconds: float
    error: float
    multiplications: float = 0.0


def cases(folder: Path | None, names: tuple[str, ...], centres: tuple[int, ...], rows: int | None) -> Iterator[Any]:
    """One measurement a data set."""
    for name in names:
        yield partial(_compare, folder, name, centres, rows)


def _compare(folder: Path | None, name: str, centres: tuple[int, ...], rows: int | None) -> list[Row]:
    if folder is None or not (folder / f"{name}.npz").exists():
        return [Row("data", name, {}, note=f"give the folder of {name}.npz with --data")]
    data = load(folder, name, rows)
    settings = {"n": len(data.X), "d": data.X.shape[1], "dtype": "float32"}
    with jax.enable_x64(False):
        ours = [_timed(f"{kind}, {m} centres", fit, data, m) for kind, fit in OURS.items() for m in centres]
    longest = max(fit.seconds for fit in ours)
    peers = {"scikit-learn Nystroem + Ridge": _nystroem(data, longest), "GPyTorch SVGP": _svgp(data, longest)}
    found: list[Row] = []
    for fit in ours:
        found += [row for peer, theirs in peers.items() for row in _rows(name, settings, fit, peer, theirs)]
        found.append(at_roofline(found[-1], fit.multiplications))
    return found


def _rows(name: str, settings: dict[str, Any], fit: Fit, peer: str, theirs: list[Fit] | None) -> Iterator[Row]:
    about = {"seconds": fit.seconds, "repetitions": 1, "error": fit.error, "peak_rss_bytes": peak_rss_bytes()}
    label = f"{name}: {fit.name}"
    if theirs is None:
        yield Row("data", label, settings, **about, against=peer, note=f"{peer} is not installed")  # type: ignore[arg-type]
        return
    within = [other for other in theirs if other.seconds <= fit.seconds]
    if not within:
        yield Row("data", label, settings, **about, against=peer, note=f"{peer} has no fit in that time")  # type: ignore[arg-type]
        return
    best = min(within, key=lambda other: other.error)
    note = f"in no more time: {best.name}, {best.seconds:.3g} s, error {best.error:.4g}"
    yield Row("data", label, settings, **about, against=peer, target={"error": best.error}, note=note)  # type: ignore[arg-type]


def _timed(name: str, fit: Callable[..., Any], data: Split, *settings: Any) -> Fit:
    start = time.perf_counter()
    predicted, multiplications = fit(data, *settings)
    return Fit(name, time.perf_counter() - start, data.error(predicted), multiplications)


def _ntk(data: Split, centres: int) -> tuple[np.ndarray, float]:
    """The NTK of two hidden layers, its ridge by leaving one out."""
    kernel = rf.kernels.Normalised(rf.ntk(rf.mlp(depth=2, width=1, b_std=0.3)))
    return _restricted(data, kernel, centres)


def _tuned(data: Split, centres: int) -> tuple[np.ndarray, float]:
    """A Matérn kernel with a length scale a column, tuned on the evidence of rows drawn anew in every step."""
    X, y, _ = _arrays(data)
    rows = min(500, len(data.X))
    kernel = 1.0 * rf.matern(1.5, length_scale=jnp.full(X.shape[1], 2.0, X.dtype))
    found = rf.tune(kernel, X, y, noise=0.1, optimizer=optax.adam(0.1), steps=100, subset=rows, key=jax.random.key(0))
    return _restricted(data, found.model, centres)


def _restricted(data: Split, kernel: Any, centres: int) -> tuple[np.ndarray, float]:
    """Predictions on the test rows, and what they take at least: k(X, Z), and two products with it a step."""
    X, y, X_test = _arrays(data)
    ridge = float(rf.ridge_path(kernel, X[:CHOSEN_ON], y[:CHOSEN_ON], jnp.asarray(RIDGES)).best())
    m = min(centres, len(X))
    solver = rf.solvers.Nystrom(centres=m, tolerance=1e-3, key=jax.random.key(1))
    fit = rf.ridge_regression(kernel, X, y, ridge=ridge, solver=solver)
    steps = int(fit.stats.iterations)
    return np.asarray(fit(X_test)), m * (len(X) * (X.shape[1] + 2 * steps) + len(X_test) * (X.shape[1] + 1))


def _arrays(data: Split) -> tuple[Array, Array, Array]:
    return jnp.asarray(data.X), jnp.asarray(data.y), jnp.asarray(data.X_test)


OURS: dict[str, Callable[..., Any]] = {"NTK": _ntk, "tuned Matérn": _tuned}


def _nystroem(data: Split, seconds: float) -> list[Fit] | None:
    """Twice the components until that would take too long: twice as many take at least twice the time."""
    try:
        from sklearn.kernel_approximation import Nystroem
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline
    except ImportError:
        return None

    def fit(data: Split, components: int) -> tuple[np.ndarray, float]:
        model = make_pipeline(Nystroem(n_components=components, random_state=0), Ridge())
        return model.fit(data.X, data.y).predict(data.X_test), 0.0

    fits: list[Fit] = []
    components = 100
    while components <= len(data.X) and (not fits or 2 * fits[-1].seconds < seconds):
        fits.append(_timed(f"{components} components", fit, data, components))
        components *= 2
    return fits


def _svgp(data: Split, seconds: float) -> list[Fit] | None:
    """A variational process of 500 inducing points, batches of 1024 and Adam(0.01), as its documentation has it."""
    try:
        import gpytorch
        import torch
    except ImportError:
        return None

    class Process(gpytorch.models.ApproximateGP):
        def __init__(self, points: Any):
            law = gpytorch.variational.CholeskyVariationalDistribution(points.size(0))
            super().__init__(gpytorch.variational.VariationalStrategy(self, points, law, learn_inducing_locations=True))
            self.mean_module = gpytorch.means.ConstantMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

        def forward(self, x: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    torch.manual_seed(0)
    X, y, X_test = (torch.from_numpy(value) for value in (data.X, data.y, data.X_test))
    start, fits = time.perf_counter(), []
    model, likelihood = Process(X[:500].clone()), gpytorch.likelihoods.GaussianLikelihood()
    optimizer = torch.optim.Adam([*model.parameters(), *likelihood.parameters()], lr=0.01)
    loss = gpytorch.mlls.VariationalELBO(likelihood, model, num_data=len(y))
    epoch, unseen = 0, 0.0  # seconds of tests between epochs, which a user would not pay
    while time.perf_counter() - start - unseen < seconds:
        model.train()
        for batch in torch.randperm(len(y)).split(1024):
            optimizer.zero_grad()
            (-loss(model(X[batch]), y[batch])).backward()
            optimizer.step()
        epoch += 1
        before = time.perf_counter()
        model.eval()
        with torch.no_grad():
            predicted = torch.cat([model(part).mean for part in X_test.split(1024)]).numpy()
        taken = time.perf_counter() - before
        fits.append(Fit(f"{epoch} epochs", before + taken - start - unseen, data.error(predicted)))
        unseen += taken
    return fits
