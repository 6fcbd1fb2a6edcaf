"""What theory predicts beside what a simulation finds, and what a prediction costs.

| group | prediction, beside its simulation | target |
|---|---|---|
| kernel | `kernel_learning_curve`: NTK of a ReLU layer, noisy labels, sphere and Gaussian inputs | 3 % + 2 s.e. |
| peak | `random_feature_curve`: Gaussian features, and random ReLU neurons, through k = n | 5 % + 2 s.e. |
| neurons | `random_neuron_risk`: exact readouts of random neurons on infinite data | 5 % (d = 5: 10 %) + 2 s.e. |
| real | `gram_learning_curve` of half a data set: `rf.ridge_regression` on parts of the other | 5 % + 2 s.e. |
| descent | `neuron_descent`: steps to a risk, starts that fail | |
| speed | `minimal_width`, `risk_lower_bound`, the spectrum of an NTK of depth 10, at d = 1000 | 50 ms, 50 ms, 1 s |

Errors are |simulated − predicted|/predicted; the standard errors of simulations are over draws.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Float
from scipy.special import roots_gegenbauer

import rfjax as rf
from benchmarks.report import Row
from rfjax.risk import pair_moments
from rfjax.theory.harmonics import multiplicities

Case = Callable[[], list[Row]]
NOISE = 0.05  # variance of the labels' noise
KERNEL_RIDGE, PEAK_RIDGE = 0.1, 1e-2


@dataclass(frozen=True)
class Sizes:
    """What is simulated: dimensions, samples or features with the draws of each, and points to test on."""

    dimensions: tuple[int, ...] = (10, 30)
    samples: tuple[tuple[int, int], ...] = ((10, 200), (30, 200), (100, 100), (300, 40), (1000, 10), (3000, 3))
    peak: tuple[tuple[int, int], ...] = (
        (20, 100), (50, 100), (80, 100), (100, 200), (130, 100), (200, 50), (500, 30), (2000, 10),
    )  # fmt: skip
    peak_samples: int = 100
    spheres: tuple[int, ...] = (5, 10, 30)
    neurons: tuple[tuple[int, int], ...] = ((20, 40), (100, 20), (500, 5), (2000, 1))
    directions: int = 300
    real: tuple[tuple[int, int], ...] = ((10, 60), (30, 40), (100, 30), (250, 20))
    starts: int = 200
    steps: int = 3000
    points: int = 2000
    repetitions: int = 5


PRESETS = {
    "smoke": Sizes(
        dimensions=(10,), samples=((10, 4),), peak=((10, 4),), peak_samples=20, spheres=(5,), neurons=((10, 2),),
        directions=5, real=((20, 2),), starts=4, steps=20, points=50, repetitions=1,
    ),
    "default": Sizes(),
}  # fmt: skip


def cases(sizes: Sizes, only: str | None = None) -> list[Case]:
    """All measurements, or those of one group, in order."""
    return [case for name, group in GROUPS.items() if only in (None, name) for case in group(sizes)]


def _row(
    group: str, name: str, settings: dict[str, Any], predicted: float, draws: Float[np.ndarray, " s"], allowed: float
) -> Row:
    """A prediction beside the mean of draws."""
    mean = float(draws.mean())
    stderr = float(draws.std(ddof=1) / len(draws) ** 0.5) if len(draws) > 1 else float("nan")
    found = {"predicted": _short(predicted), "simulated": _short(mean), "stderr": _short(stderr), "draws": len(draws)}
    slack = 2 * stderr / predicted if len(draws) > 1 else 0.0
    return Row(group, name, settings | found, error=abs(mean / predicted - 1), target={"error": allowed + slack})


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _kernel(sizes: Sizes) -> Iterator[Case]:
    for law in ("sphere", "gaussian"):
        for d in sizes.dimensions:
            for n, draws in sizes.samples:
                yield partial(_kernel_fit, law, d, n, draws, sizes.points)


def _kernel_fit(law: str, d: int, n: int, draws: int, points: int) -> list[Row]:
    """Ridge regression with an NTK on n samples: of one layer of ReLUs without biases, so that k = ‖x‖‖y‖f(cos)/d."""
    lengths = rf.theory.gaussian_lengths(d) if law == "gaussian" else None
    predicted = rf.theory.kernel_learning_curve(
        _zonal_modes(d), n=n, ridge=KERNEL_RIDGE, noise=NOISE, lengths=lengths
    ).risk
    errors = np.array([_kernel_draw(np.random.default_rng((seed, n, d)), law, d, n, points) for seed in range(draws)])
    return [_row("kernel", f"{law} d={d}", {"d": d, "n": n, "law": law}, float(predicted), errors, 0.03)]


def _kernel_draw(rng: np.random.Generator, law: str, d: int, n: int, points: int) -> float:
    X = rng.normal(size=(n + points, d))
    length = np.linalg.norm(X, axis=1)
    if law == "sphere":
        X, length = X * (d**0.5 / length)[:, None], np.full(len(X), d**0.5)
    U = X / length[:, None]
    train, new = slice(n), slice(n, None)
    K = np.outer(length[train], length[train]) / d * _ntk(U[train] @ U[train].T)
    k = np.outer(length[new], length[train]) / d * _ntk(U[new] @ U[train].T)
    g = np.maximum(X[:, 0], 0)
    y = g[train] + NOISE**0.5 * rng.normal(size=n)
    f = k @ scipy.linalg.solve(K + KERNEL_RIDGE * np.eye(n), y, assume_a="pos")
    return float(np.mean((f - g[new]) ** 2))


def _ntk(cosine: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The NTK of one layer of ReLUs at w_std = √2, on unit vectors; rf.ntk(rf.mlp(depth=1, width=1)) in float64 NumPy."""
    c = np.clip(cosine, -1, 1)
    angle = np.arccos(c)
    return 2 * ((np.sqrt(1 - c**2) + (np.pi - angle) * c) / np.pi + c * (np.pi - angle) / np.pi)


@lru_cache
def _zonal_modes(d: int, degree: int = 80) -> rf.theory.Modes:
    """Eigenspaces of that kernel and energies of a ReLU neuron, on the sphere of radius √d and for Gaussian inputs alike.

    E‖x‖² = d is all that they have to do with the law of ‖x‖, as both kernel and target are homogeneous.
    """
    t, mass = roots_gegenbauer(1500, (d - 2) / 2)
    mass = mass / mass.sum()
    counts, log_counts = multiplicities(d, degree)
    kernel, target = _ntk(t), d**0.5 * np.maximum(t, 0)
    values, energies = np.empty(degree + 1), np.empty(degree + 1)
    previous, current = np.zeros_like(t), np.ones_like(t)
    for m in range(degree + 1):  # Gegenbauer polynomials, 1 at t = 1
        values[m], energies[m] = mass @ (kernel * current), counts[m] * (mass @ (target * current)) ** 2
        previous, current = current, ((2 * m + d - 2) * t * current - m * previous) / (m + d - 2)
    some = values * counts > 1e-13 * kernel.max()
    trace = float(_ntk(np.ones(1))[0])
    return rf.theory.modes(
        np.log(values[some]),
        energies[some],
        log_counts[some],
        log=True,
        outside=max(0.5 - energies[some].sum(), 0.0),
        unresolved=max(trace - (values * counts)[some].sum(), 0.0),
    )


def _peak(sizes: Sizes) -> Iterator[Case]:
    for features in ("gaussian", "neurons"):
        for k, draws in sizes.peak:
            yield partial(_peak_fit, features, sizes.peak_samples, k, draws, sizes.points)


def _peak_fit(features: str, n: int, k: int, draws: int, points: int) -> list[Row]:
    draw = {"gaussian": _gaussian_features, "neurons": _neuron_features}[features]
    predicted = rf.theory.random_feature_curve(_peak_modes(features), n=n, features=k, ridge=PEAK_RIDGE, noise=NOISE)
    errors = []
    for seed in range(draws):
        rng = np.random.default_rng((seed, k))
        phi, g = draw(rng, n + points, k)
        y = g[:n] + NOISE**0.5 * rng.normal(size=n)
        dual = scipy.linalg.solve(phi[:n] @ phi[:n].T + PEAK_RIDGE * np.eye(n), y, assume_a="pos")
        errors.append(np.mean((phi[n:] @ (phi[:n].T @ dual) - g[n:]) ** 2))
    settings = {"n": n, "features": k, "of": features}
    return [_row("peak", f"{features} k={k}", settings, float(predicted.risk), np.array(errors), 0.05)]


_POWERS = np.arange(1, 301) ** -1.3
_D, _BIAS = 30, -0.5


@lru_cache
def _peak_modes(features: str) -> rf.theory.Modes:
    if features == "gaussian":
        return rf.theory.modes(_POWERS, _POWERS / _POWERS.sum())
    with jax.enable_x64(True):
        task = rf.tasks.single_neuron(_D, bias=_BIAS)
        return rf.theory.random_neuron_modes(task, bias=rf.features.Constant(_BIAS))


def _gaussian_features(rng: np.random.Generator, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """F x/√k with x of covariance diag(i^−1.3), and a linear target of as much energy in each direction as x has."""
    Z = rng.normal(size=(n, len(_POWERS)))
    signs = rng.choice([-1.0, 1.0], len(_POWERS))
    F = rng.normal(size=(len(_POWERS), k)) * k**-0.5
    return (Z * _POWERS**0.5) @ F, Z @ (signs * (_POWERS / _POWERS.sum()) ** 0.5)


def _neuron_features(rng: np.random.Generator, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Neurons [⟨w, x⟩ + b]₊/√k of one bias, and a target of their own form."""
    X, W = rng.normal(size=(n, _D)), rng.normal(size=(_D, k))
    W /= np.linalg.norm(W, axis=0)
    return np.maximum(X @ W + _BIAS, 0) * k**-0.5, np.maximum(X[:, 0] + _BIAS, 0)


def _neurons(sizes: Sizes) -> Iterator[Case]:
    for d in sizes.spheres:
        for biases in ("normal", "one"):
            for r, draws in sizes.neurons:
                yield partial(_neuron_fit, d, biases, r, draws, sizes.directions)


_moments = jax.jit(lambda W, b, V, c: pair_moments(W, b, rf.activations.relu, V, c, rf.activations.relu))


def _neuron_fit(d: int, biases: str, r: int, draws: int, directions: int) -> list[Row]:
    """The exact error of the best readout of r drawn neurons, averaged over directions of the target and over draws."""
    with jax.enable_x64(True):
        task = rf.tasks.single_neuron(d, bias=-1.0)
        law = rf.features.Normal(1.0) if biases == "normal" else rf.features.Constant(-1.0)
        predicted = rf.theory.random_neuron_risk(task, r, bias=law)
        second = task.mean**2 + task.variance
        errors = []
        for seed in range(draws):
            phi = rf.random_neurons(d, r, key=jax.random.key(seed), bias=law)
            V = np.random.default_rng(seed).normal(size=(directions, d))
            V /= np.linalg.norm(V, axis=1, keepdims=True)
            K = np.array(_moments(phi.weight, phi.bias, phi.weight, phi.bias))
            k = np.array(_moments(phi.weight, phi.bias, jnp.array(V), jnp.full(directions, task.bias)))
            scale = np.diag(K) ** -0.5
            K, k = K * scale[:, None] * scale, k * scale[:, None]
            u = scipy.linalg.solve(K + 1e-13 * np.eye(r), k, assume_a="pos")
            each = (second - (2 * k * u - u * (K @ u)).sum(0)) / task.variance
            errors.append(float(each.mean()))
        if draws == 1:  # the spread over directions stands for that over draws
            errors = list(each)
    allowed = 0.1 if d < 10 else 0.05
    row = _row(
        "neurons", f"{biases} d={d}", {"d": d, "r": r, "bias": biases}, float(predicted), np.array(errors), allowed
    )
    return [row]


def _real(sizes: Sizes) -> Iterator[Case]:
    for data in ("diabetes", "digits"):
        for n, draws in sizes.real:
            yield partial(_real_fit, data, n, draws)


_REAL_RIDGE = {"diabetes": 1.0, "digits": 1.0}


def _real_fit(data: str, n: int, draws: int) -> list[Row]:
    """From half of a data set, the error of fits on n points of the other half, as the rest of that half has it."""
    try:
        import sklearn.datasets
    except ImportError:
        return [Row("real", data, {"n": n}, note="needs scikit-learn: pip install 'rfjax[sklearn]'")]
    with jax.enable_x64(True):
        X, y = getattr(sklearn.datasets, f"load_{data}")(return_X_y=True)
        if data == "digits":
            X, y = X / 16, np.eye(10)[y] - 0.1
            kernel = rf.rbf(10**0.5)
        else:
            X, y = (X - X.mean(0)) / X.std(0), ((y - y.mean()) / y.std())[:, None]
            kernel = rf.rbf(10**0.5)
        rng = np.random.default_rng(0)
        order = rng.permutation(len(X))
        mine, others = np.split(order, [len(X) // 2])
        predicted = rf.theory.gram_learning_curve(
            np.asarray(kernel(jnp.array(X[mine]))), y[mine], n=min(n, len(mine)), ridge=_REAL_RIDGE[data]
        )
        n = min(n, len(others) - 50)
        errors = []
        for _ in range(draws):
            chosen = rng.permutation(others)
            fit = rf.ridge_regression(
                kernel, jnp.array(X[chosen[:n]]), jnp.array(y[chosen[:n]]), ridge=_REAL_RIDGE[data]
            )
            miss = np.asarray(fit(jnp.array(X[chosen[n:]]))) - y[chosen[n:]]
            errors.append(float((miss**2).sum(1).mean()))
    # Both halves are samples: the prediction's own standard error counts like the simulation's.
    spread = float(predicted.stderr / predicted.test_error)
    settings = {"n": n, "data": data, "predicted_stderr": float(predicted.stderr)}
    return [_row("real", f"{data} n={n}", settings, float(predicted.test_error), np.array(errors), 0.05 + 2 * spread)]


def _descent(sizes: Sizes) -> Iterator[Case]:
    for d in (3, 10, 30, 100, 1000):
        for bias in (0.0, -1.0, -1.5):
            yield partial(_descend, d, bias, sizes.starts, sizes.steps)


def _descend(d: int, bias: float, starts: int, steps: int) -> list[Row]:
    begin = time.perf_counter()
    run = rf.theory.neuron_descent(
        rf.tasks.single_neuron(2, bias=bias), rf.theory.random_starts(d, starts, seed=d), steps=steps, target=1e-3
    )
    seconds = time.perf_counter() - begin
    done = run.reached[~run.failed]
    found = {
        "d": d, "bias": bias, "starts": starts, "failed": run.failure_rate, "stderr": run.failure_stderr,
        "steps_median": float(np.median(done)) if done.size else None,
    }  # fmt: skip
    return [Row("descent", f"d={d} bias={bias:g}", found, seconds=seconds, repetitions=1)]


def _speed(sizes: Sizes) -> Iterator[Case]:
    for name in ("minimal_width", "risk_lower_bound"):
        yield partial(_bound_seconds, name, sizes.repetitions)
    yield partial(_spectrum_seconds, sizes.repetitions)


def _bound_seconds(name: str, repetitions: int) -> list[Row]:
    call = {"minimal_width": rf.theory.minimal_width, "risk_lower_bound": rf.theory.risk_lower_bound}[name]
    argument = {"minimal_width": 0.01, "risk_lower_bound": 3000}[name]
    task = rf.tasks.single_neuron(1000, bias=-1.0)
    seconds = _seconds(lambda: call(task, argument), repetitions)
    return [Row("speed", name, {"d": 1000}, seconds=seconds, repetitions=repetitions, target={"seconds": 0.05})]


def _spectrum_seconds(repetitions: int) -> list[Row]:
    spectrum = getattr(rf.theory, "kernel_spectrum", None)
    if spectrum is None:
        return [Row("speed", "kernel_spectrum", {"d": 1000}, note="not there yet")]
    kernel = rf.ntk(rf.mlp(depth=10, width=1))
    seconds = _seconds(lambda: spectrum(kernel, d=1000, degree=100), repetitions)
    return [Row("speed", "kernel_spectrum", {"d": 1000, "depth": 10}, seconds=seconds, target={"seconds": 1.0})]


def _seconds(call: Callable[[], Any], repetitions: int) -> float:
    """The median over calls, after one."""
    call()
    times = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return median(times)


GROUPS: dict[str, Callable[[Sizes], Iterator[Case]]] = {
    "kernel": _kernel,
    "peak": _peak,
    "neurons": _neurons,
    "real": _real,
    "descent": _descent,
    "speed": _speed,
}
