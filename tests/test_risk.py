"""Exact population risks against Monte Carlo in NumPy and quadrature in SciPy, sampled ones against both."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.linalg
from scipy.stats import norm

import rfjax as rf
from rfjax.features import Neurons
from rfjax.risk import exact_risk

D, R = 5, 16
RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(400_000, D))
DIRECTION = RNG.normal(size=D)
KINDS = {"relu": rf.activations.relu, "leaky": rf.activations.leaky_relu(0.3), "abs": rf.activations.abs}
PAIRS = [("relu", "leaky"), ("leaky", "abs"), ("abs", "relu")]  # of student and teacher, which the quick tests see
SLOPES = {"relu": 0.0, "leaky": 0.3, "abs": -1.0}  # below zero
TASK = rf.tasks.single_neuron(D, bias=-1.0, direction=DIRECTION)
KEY, SGD = jax.random.key(0), optax.sgd(0.1)
STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_draws_whatever_ran_before():
    RNG.bit_generator.state = STATE


def neurons(kind="relu", *, count=R, biased=True, constant=None, dtype=float) -> Neurons:
    weight, bias = RNG.normal(size=(count, D)) / D**0.5, RNG.normal(size=count)
    weight, bias = jnp.asarray(weight, dtype), jnp.asarray(bias, dtype) if biased else None
    return Neurons(weight, bias, KINDS[kind], 0.25, constant)


def evaluate(phi: Neurons, u: np.ndarray, X: np.ndarray) -> np.ndarray:
    """φ(x)·u in NumPy."""
    z = X @ np.asarray(phi.weight).T + (0 if phi.bias is None else np.asarray(phi.bias))
    h = phi.scale * np.where(z < 0, phi.activation.slope * z, z)
    count = h.shape[1]
    return h @ u[:count] + (0 if phi.constant is None else phi.constant * u[count])


def target(task, kind: str, X: np.ndarray) -> np.ndarray:
    z = X @ np.asarray(task.direction) * task.norm + task.bias
    return np.where(z < 0, SLOPES[kind] * z, z)


def fitted(phi, task, ridge=0.1) -> rf.regression.FeatureFit:
    """A readout fitted on a few samples: neither good nor random."""
    X = RNG.normal(size=(50, D))
    return rf.ridge_regression(phi, X, np.asarray(task(X)), ridge=ridge)


def within(risk, errors: np.ndarray, sigmas: float = 4.0) -> None:
    """The risk is the mean of the squared errors, within standard errors of at most 1%."""
    errors = errors**2
    stderr = errors.std() / errors.size**0.5
    assert stderr < 0.02 * errors.mean()
    assert abs(float(risk.value) - errors.mean()) < sigmas * stderr
    assert risk.stderr == 0.0


# --- exact risks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        pytest.param(student, teacher, marks=() if (student, teacher) in PAIRS else pytest.mark.slow)
        for student in KINDS
        for teacher in KINDS
    ],
)
def test_the_exact_risk_is_that_of_simulation(student, teacher):
    # Every pair of activations; with and without bias and constant feature in turn.
    index = 3 * list(KINDS).index(student) + list(KINDS).index(teacher)
    task = rf.tasks.single_neuron(D, norm=1.3, bias=-0.6, direction=DIRECTION, activation=KINDS[teacher])
    phi = neurons(student, count=1, biased=index % 2 == 0, constant=0.7 if index % 4 < 2 else None)
    fit = fitted(phi, task)
    with jax.disable_jit():  # operation by operation: nine programs would take minutes to compile
        risk = rf.population_risk(fit, task)
    within(risk, evaluate(phi, np.asarray(fit.coefficients), POINTS) - target(task, teacher, POINTS))
    assert float(risk.relative) == pytest.approx(float(risk.value) / task.variance, rel=1e-12)


@pytest.mark.parametrize(
    "parameterization", [pytest.param("ntk", marks=pytest.mark.slow), "standard", "mean_field", "mup"]
)
def test_networks_and_their_frozen_features_have_exact_risks(parameterization):
    stds = {"w_std": jnp.asarray(1.3), "b_std": jnp.asarray(0.4)}  # as arrays they share one compilation
    net = rf.mlp(depth=1, width=R, parameterization=parameterization, **stds)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape)), jax.eval_shape(lambda key: net.init(key, D), KEY)
    )
    X = RNG.normal(size=(50, D))
    phi, y = rf.random_features(net, params=params), np.asarray(TASK(X))
    for targets in (y, y[:, None]):
        fit = rf.ridge_regression(phi, X, targets, ridge=1e-4)
        within(rf.population_risk(fit, TASK), np.asarray(fit(POINTS)).ravel() - target(TASK, "relu", POINTS))
    run = rf.train(net, (X, y), optimizer=SGD, steps=2, params=params, record=2)
    within(rf.population_risk(run, TASK), np.asarray(run(POINTS)) - target(TASK, "relu", POINTS))


def test_the_exact_risk_differentiates():
    phi = neurons()
    fit, towards = fitted(phi, TASK), RNG.normal(size=(R, D))

    def moved(t):
        return Neurons(phi.weight + t * towards, phi.bias, phi.activation, phi.scale)

    slope = jax.jit(jax.grad(lambda t: exact_risk(moved(t), fit.coefficients, TASK)))(0.0)
    values = [
        float(rf.population_risk(rf.regression.FeatureFit(moved(t), fit.coefficients, None, fit.stats), TASK).value)
        for t in (2e-4, 1e-4, -1e-4, -2e-4)
    ]
    assert float(slope) == pytest.approx((8 * (values[1] - values[2]) - (values[0] - values[3])) / 12e-4, rel=1e-8)


def test_a_perfect_predictor_is_at_the_floor(dtype):
    # The teacher itself among the neurons.
    phi = neurons(dtype=dtype)
    phi = Neurons(phi.weight.at[3].set(TASK.weight.astype(dtype)), phi.bias.at[3].set(-1.0), phi.activation, 0.25)
    u = jnp.zeros(R, dtype).at[3].set(4.0)
    stats = rf.regression.Stats("cholesky", "primal", str(dtype), R, 0.0, jnp.zeros(()), jnp.asarray(True))
    risk = rf.population_risk(rf.regression.FeatureFit(phi, u, None, stats), TASK)
    square = TASK.variance + TASK.mean**2
    assert risk.value.dtype == dtype
    assert 0 <= float(risk.value) <= float(risk.floor)
    assert 0.3 * np.finfo(dtype).eps * square < float(risk.floor) < 100 * np.finfo(dtype).eps * square


def test_the_floor_bounds_the_error_in_float32():
    # Readouts of ever larger coefficients cancel more: what they err by in float32 stays within the stated floor.
    phi = neurons()
    low = Neurons(phi.weight.astype(np.float32), phi.bias.astype(np.float32), phi.activation, 0.25)
    same = Neurons(low.weight.astype(float), low.bias.astype(float), phi.activation, 0.25)
    for ridge in (1.0, 1e-3):
        fit = fitted(low, TASK, ridge)
        u = fit.coefficients.astype(np.float32)
        stats = fit.stats
        inexact = rf.population_risk(rf.regression.FeatureFit(low, u, None, stats), TASK)
        exact = rf.population_risk(rf.regression.FeatureFit(same, u.astype(float), None, stats), TASK)
        assert inexact.value.dtype == np.float32
        assert abs(float(inexact.value) - float(exact.value)) < float(inexact.floor) < 1e-3


# --- the best readout in the population -----------------------------------------------------------------------------


NODES, WEIGHTS = np.polynomial.legendre.leggauss(300)


def pair_moment(w, b, v, c) -> float:
    """E(⟨w,x⟩+b)₊(⟨v,x⟩+c)₊ by quadrature over ⟨w,x⟩, with the other neuron's conditional mean in closed form."""
    a, e = np.linalg.norm(w), np.linalg.norm(v)
    rho = w @ v / (a * e)
    spread = np.sqrt(max(1 - rho**2, 0)) * e
    low = max(-b / a, -12)
    u = low + (12 - low) * (NODES + 1) / 2
    mean = e * rho * u + c
    inner = np.maximum(mean, 0)
    if spread > 1e-6:
        inner = mean * norm.cdf(mean / spread) + spread * norm.pdf(mean / spread)
    return (12 - low) / 2 * WEIGHTS @ ((a * u + b) * inner * norm.pdf(u))


def test_population_regression_is_the_projection_on_the_features():
    phi = neurons()
    W, B, v = np.asarray(phi.weight), np.asarray(phi.bias), np.asarray(TASK.weight)
    every = [*zip(W, B, strict=True), (v, -1.0)]
    moments = np.array([[pair_moment(*one, *other) for other in every] for one in every])
    K, k, square = moments[:R, :R] / 16, moments[:R, R] / 4, moments[R, R]
    for ridge in (0.0, 1e-3):
        fit = rf.population_regression(phi, TASK, ridge=ridge)
        u = scipy.linalg.solve(K + ridge * np.eye(R), k, assume_a="pos")
        np.testing.assert_allclose(fit.coefficients, u, rtol=0, atol=1e-7 * np.abs(u).max())
        risk = rf.population_risk(fit, TASK)
        assert float(risk.value) == pytest.approx(u @ K @ u - 2 * k @ u + square, abs=1e-11)
        assert fit.stats.form == "population"
        assert (fit.stats.size, fit.stats.ridge, bool(fit.stats.ok)) == (R, ridge, True)
    assert float(rf.population_risk(rf.population_regression(phi, TASK, ridge=0.0), TASK).value) == pytest.approx(
        square - k @ np.linalg.solve(K, k), abs=1e-11
    )
    # Nothing fits better: not with other coefficients.
    best = float(rf.population_risk(rf.population_regression(phi, TASK, ridge=0.0), TASK).value)
    assert best < float(rf.population_risk(fitted(phi, TASK), TASK).value)


def test_population_regression_is_the_limit_of_sample_regression():
    # n samples with ridge n·λ: the coefficients are within their sampling error, whose covariance is A⁻¹SA⁻¹/n.
    phi, ridge = neurons(), 1e-2
    limit = np.asarray(rf.population_regression(phi, TASK, ridge=ridge).coefficients)
    for n in (4_000, 400_000):
        X = POINTS[:n]
        F = phi.scale * np.maximum(X @ np.asarray(phi.weight).T + np.asarray(phi.bias), 0)
        y = target(TASK, "relu", X)
        A = F.T @ F / n + ridge * np.eye(R)
        score = F * (y - F @ limit)[:, None] - ridge * limit
        covariance = np.linalg.solve(A, np.linalg.solve(A, np.cov(score.T)).T) / n
        fit = rf.ridge_regression(phi, X, y, ridge=n * ridge)
        sigmas = (np.asarray(fit.coefficients) - limit) / np.sqrt(np.diag(covariance))
        assert np.abs(sigmas).max() < 4.5
        assert 0.3 < np.sqrt((sigmas**2).mean()) < 2


def test_singular_populations_name_a_ridge_that_works():
    phi = neurons()
    twins = Neurons(jnp.concatenate([phi.weight[:8]] * 2), jnp.concatenate([phi.bias[:8]] * 2), phi.activation, 0.25)
    with pytest.raises(ValueError, match="is not positive definite in float64") as error:
        rf.population_regression(twins, TASK, ridge=0.0)
    named = float(re.search(r"ridge=(\S+) works", str(error.value)).group(1))
    assert bool(rf.population_regression(twins, TASK, ridge=named).stats.ok)


def test_population_regression_needs_float64_and_neurons():
    with pytest.raises(ValueError, match="need float64, got float32"):
        rf.population_regression(neurons(dtype=np.float32), TASK, ridge=0.1)
    deep = rf.random_features(rf.mlp(depth=2, width=4), D, key=jax.random.key(0))
    with pytest.raises(TypeError, match="one layer of"):
        rf.population_regression(deep, TASK, ridge=0.1)
    with pytest.raises(TypeError, match="single-neuron task"):
        rf.population_regression(neurons(), rf.tasks.function(lambda X: X[:, 0], D, variance=1.0), ridge=0.1)
    tanh = Neurons(jnp.ones((2, D)), None, rf.activations.from_function(jnp.tanh))
    with pytest.raises(TypeError, match="ReLU"):
        rf.population_regression(tanh, TASK, ridge=0.1)


# --- sampled risks --------------------------------------------------------------------------------------------------


def linear(X):
    return X[:, 0] - 0.3


def test_sampled_risks_are_within_their_standard_error():
    task = rf.tasks.single_neuron(D, bias=-1.0)
    g = lambda u: np.maximum(u - 1, 0)  # noqa: E731
    moments = [scipy.integrate.quad(lambda u, p=p: g(u) * p(u) * norm.pdf(u), 1, 12)[0] for p in (g, lambda u: u - 0.3)]
    exact = moments[0] - 2 * moments[1] + 1 + 0.09
    stderrs = []
    for samples in (8192, 4 * 8192 + 5):  # several batches, the last one short
        risk = rf.population_risk(linear, task, key=jax.random.key(3), samples=samples)
        assert abs(float(risk.value) - exact) < 4 * float(risk.stderr)
        assert float(risk.relative_stderr) == pytest.approx(float(risk.stderr) / task.variance, rel=1e-12)
        stderrs.append(float(risk.stderr))
    assert 1.8 < stderrs[0] / stderrs[1] < 2.2
    z = RNG.normal(size=100_000)
    spread = ((z - 0.3 - g(z)) ** 2).std()
    assert stderrs[0] == pytest.approx(spread / 8192**0.5, rel=0.1)


def test_sampled_and_exact_risks_of_one_fit_agree():
    phi = neurons()
    fit = fitted(phi, TASK)
    exact = rf.population_risk(fit, TASK, key=jax.random.key(4), samples=2)  # a key changes nothing where it is exact
    assert exact.stderr == 0.0
    for predictor in (
        lambda X: fit(X),
        lambda X: fit(X)[:, None],
        rf.regression.FeatureFit(phi, fit.coefficients, linear_zero, fit.stats),
    ):
        sampled = rf.population_risk(predictor, TASK, key=jax.random.key(4), samples=8192)
        assert 0 < float(sampled.stderr) < 0.1 * float(sampled.value)
        assert abs(float(sampled.value) - float(exact.value)) < 4 * float(sampled.stderr)


def linear_zero(X):
    return 0 * X[:, 0]


def test_fits_of_kernels_and_of_several_outputs():
    X = RNG.normal(size=(30, D))
    fit = rf.ridge_regression(rf.rbf(2.0), X, np.asarray(TASK(X)), ridge=0.1)
    risk = rf.population_risk(fit, TASK, key=jax.random.key(5), samples=8192)
    errors = (np.asarray(fit(POINTS[:8192])) - target(TASK, "relu", POINTS[:8192])) ** 2
    spread = np.hypot(float(risk.stderr), errors.std() / 8192**0.5)
    assert abs(float(risk.value) - errors.mean()) < 4 * spread
    two = rf.ridge_regression(neurons(), X, RNG.normal(size=(30, 2)), ridge=0.1)
    with pytest.raises(ValueError, match="one value a point"):
        rf.population_risk(two, TASK, key=jax.random.key(5), samples=8192)


def test_many_neurons_are_taken_some_rows_at_a_time(monkeypatch):
    from rfjax import risk
    from rfjax.activations import neurons as moments

    task = rf.tasks.single_neuron(5, bias=-0.5)
    neurons = rf.random_neurons(5, 24, key=jax.random.key(0)).neurons
    whole = risk.feature_moments(neurons, task)
    monkeypatch.setattr(moments, "_AT_ONCE", 100)  # four rows, and one that is left over
    for one, other in zip(risk.feature_moments(neurons, task), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
