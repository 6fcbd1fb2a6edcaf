"""Sums of ReLU neurons: their moments, risks and descents against Monte Carlo, quadrature and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import norm

import rfjax as rf
from rfjax.tasks.teacher import _moments

RNG = np.random.default_rng(0)
W, B, A = RNG.normal(size=(3, 4)), RNG.normal(size=3), np.array([1.0, -0.7, 0.5])
POINTS = RNG.normal(size=(400_000, 4))
KEY = jax.random.key(0)


def relu(z, slope=0.0):
    return np.where(z < 0, slope * z, z)


def test_it_is_the_sum_of_its_neurons(dtype):
    task = rf.tasks.relu_teacher(W, B, A, activation=rf.activations.leaky_relu(0.2))
    X = POINTS[:50].astype(dtype)
    assert task(X).dtype == dtype
    np.testing.assert_allclose(task(X), relu(X @ W.T + B, 0.2) @ A, rtol=0, atol=100 * np.finfo(dtype).eps)
    assert task.d == 4
    ones = rf.tasks.relu_teacher(W)
    np.testing.assert_allclose(ones(POINTS[:50]), relu(POINTS[:50] @ W.T).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("slope", [0.0, 0.3, -1.0])
def test_its_moments_are_those_of_simulation(slope):
    task = rf.tasks.relu_teacher(W, B, A, activation=rf.activations.leaky_relu(slope))
    g = relu(POINTS @ W.T + B, slope) @ A
    assert abs(task.mean - g.mean()) < 4.5 * g.std() / len(g) ** 0.5
    squares = (g - g.mean()) ** 2
    assert abs(task.variance - squares.mean()) < 4.5 * squares.std() / len(g) ** 0.5


def test_pairs_of_neurons_on_the_edges():
    # Equal, opposite, orthogonal, zero and nearly equal neurons, with equal, zero and opposite biases.
    w = np.array([[2.0, 0], [2.0, 0], [-2.0, 0], [0, 1.0], [0, 0], [2.0, 1e-9]])
    b = np.array([0.5, 0.0, -0.5, -0.3, 0.7, 0.5])
    M = _moments(w, b, w, b)
    mean = lambda s, m: m * norm.cdf(m / s) + s * norm.pdf(m / s)  # noqa: E731  E(m + s·z)₊
    square = lambda s, m: (m**2 + s**2) * norm.cdf(m / s) + m * s * norm.pdf(m / s)  # noqa: E731
    np.testing.assert_allclose(np.diag(M)[[0, 1, 3]], [square(2, 0.5), square(2, 0), square(1, -0.3)], rtol=1e-12)
    assert M[4, 4] == pytest.approx(0.49, rel=1e-9)
    assert M[0, 4] == pytest.approx(0.7 * mean(2, 0.5), rel=1e-9)
    assert M[0, 3] == pytest.approx(mean(2, 0.5) * mean(1, -0.3), rel=1e-12)
    assert M[0, 2] == pytest.approx(0.0, abs=1e-12)  # (2z + ½)₊(−2z − ½)₊
    assert M[0, 5] == pytest.approx(M[0, 0], rel=1e-8)
    # (2z + ½)₊(2z)₊ = 4z² + z where z > 0
    assert M[0, 1] == pytest.approx(2 + norm.pdf(0), rel=1e-12)


def test_a_teacher_of_one_is_the_single_neuron():
    one = rf.tasks.single_neuron(4, norm=1.5, bias=-1.0, key=KEY)
    same = rf.tasks.relu_teacher(one.weight[None], -1.0)
    assert same.mean == pytest.approx(one.mean, rel=1e-12)
    assert same.variance == pytest.approx(one.variance, rel=1e-12)


@pytest.mark.slow
def test_exact_descent_of_a_network_follows_simulation_and_learns():
    task = rf.tasks.relu_teacher(jnp.eye(2, 4), bias=-0.2, coefficients=np.array([1.0, -1.0]))
    net = rf.mlp(depth=1, width=8, b_std=0.5, parameterization="mup")
    run = rf.train(net, task, exact=True, optimizer=optax.sgd(0.5), steps=300, key=KEY, record=100)
    exact = rf.population_risk(run, task)
    assert exact.stderr == 0.0
    assert float(exact.value) == pytest.approx(float(run.history.risk[-1]), rel=1e-9)
    assert float(run.history.risk[-1]) < 0.2 * float(run.history.risk[0])
    errors = (np.asarray(run(POINTS)) - relu(POINTS[:, :2] - 0.2) @ [1, -1]) ** 2
    assert abs(float(exact.value) - errors.mean()) < 4.5 * errors.std() / len(errors) ** 0.5
    assert float(exact.relative) == pytest.approx(float(exact.value) / task.variance)
    # One step is the gradient of the mean over the points, within its sampling error.
    start = net.init(KEY, 4)
    step = rf.train(net, task, exact=True, optimizer=optax.sgd(1.0), steps=1, key=KEY)
    X = jnp.asarray(POINTS[:40_000])
    slopes = jax.vmap(jax.grad(lambda p, x: (net.apply(p, x[None])[0, 0] - task(x[None])[0]) ** 2 / 2), (None, 0))(
        start, X
    )
    for old, new, draws in zip(*map(jax.tree.leaves, (start, step.params, slopes)), strict=True):
        stderr = np.asarray(draws).std(axis=0) / 200
        sigmas = (np.asarray(old - new) - np.asarray(draws).mean(axis=0)) / np.maximum(stderr, 1e-12)
        assert (np.abs(sigmas) < 5).all()


@pytest.mark.slow
def test_population_regression_on_a_teacher_of_other_slopes():
    task = rf.tasks.relu_teacher(W, B, A, activation=rf.activations.leaky_relu(0.3))
    phi = rf.random_neurons(4, 12, key=KEY)
    fit = rf.population_regression(phi, task, ridge=1e-6)
    errors = (np.asarray(fit(POINTS)) - relu(POINTS @ W.T + B, 0.3) @ A) ** 2
    assert abs(float(rf.population_risk(fit, task).value) - errors.mean()) < 4.5 * errors.std() / len(errors) ** 0.5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((W[0],), ValueError, r"weight must have shape \[n, d\]"),
        ((W, B[:2]), ValueError, "bias must have one row a data point"),
        ((W, B[:, None]), ValueError, r"bias must be a number or have shape \[3\]"),
        ((W, B, np.array([1.0, np.nan, 0.0])), ValueError, "coefficients must be finite"),
    ],
)
def test_bad_teachers_raise(arguments, error, message):
    with pytest.raises(error, match=message):
        rf.tasks.relu_teacher(*arguments)


def test_only_relus_have_exact_moments():
    with pytest.raises(TypeError, match=r"activation must be a \(leaky\) ReLU"):
        rf.tasks.relu_teacher(W, activation=rf.activations.erf)
