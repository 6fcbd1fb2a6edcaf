"""Energies by degree, against closed forms, each other, samples, and integrals over spheres."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import eval_gegenbauer

from rfjax import activations, tasks
from rfjax.theory import energies, estimate_energies, information_exponent, leap, spectrum

D = 6


def teacher(bias=-0.3):
    weight = jax.random.normal(jax.random.key(3), (3, D)) / 2
    return tasks.relu_teacher(weight, bias, jnp.array([1.0, -1.0, 0.5]))


def several():
    return tasks.multi_index(D, [(1.0, {0: activations.relu}), (0.5, {0: activations.hermite(2), 1: activations.erf})])


targets = {
    "neuron": lambda: tasks.single_neuron(D, bias=-0.5),
    "gelu": lambda: tasks.single_neuron(D, norm=2.0, bias=0.4, activation=activations.gelu),
    "polynomial": lambda: tasks.polynomial(D, 3, key=jax.random.key(0)),
    "staircase": lambda: tasks.staircase(D, (1, 2)),
    "parity": lambda: tasks.parity(D, 2, key=jax.random.key(1)),
    "several": several,
    "wave": lambda: tasks.modulated(D),
    "teacher": teacher,
}


@pytest.mark.parametrize("name", targets)
def test_both_bases_hold_the_same_energy(name):
    task = targets[name]()
    hermite, spherical = (energies(task, 24, basis=b) for b in ("hermite", "spherical"))
    assert hermite.energy.sum() == pytest.approx(spherical.energy.sum(), rel=1e-9)
    assert (spherical.energy >= 0).all()
    assert hermite.energy.sum() + hermite.remainder == pytest.approx(task.variance + task.mean**2, rel=1e-6)
    assert hermite.energy[0] == pytest.approx(task.mean**2, rel=1e-6, abs=1e-12)
    top = hermite.energy[-1]  # of one degree the highest part is harmonic, and the rest below
    assert spherical.energy[-1] <= top + 1e-12


def test_closed_forms():
    d = 10
    square = energies(tasks.single_neuron(d, activation=activations.hermite(2)), basis="spherical")
    np.testing.assert_allclose(square.energy[:4], [1 / d, 0, 1 - 1 / d, 0], atol=1e-12)
    product = energies(tasks.staircase(d, (1, 2)), basis="spherical")
    np.testing.assert_allclose(product.energy, [0, 0.5, 0, 0.5], atol=1e-12)
    norm = tasks.multi_index(d, [(1 / math.sqrt(2 * d), {i: activations.monomial(2)}) for i in range(3)])
    expected = 3 / d / d  # of (z₁² + z₂² + z₃² − 3)/√2d: the mean over the sphere is 3(‖x‖² − d)/d/√2d
    found = energies(norm, 2, basis="spherical").energy
    assert found[0] == pytest.approx(expected * 3 + norm.mean**2, rel=1e-9)
    sign = energies(tasks.single_neuron(d, activation=activations.sign), 5).energy
    np.testing.assert_allclose(sign[[1, 3, 5]], [2 / math.pi, 1 / (3 * math.pi), 3 / (20 * math.pi)], rtol=1e-12)
    np.testing.assert_allclose(
        energies(tasks.parity(d, 2), 4).energy, [0, 0, 4 / math.pi**2, 0, 4 / 3 / math.pi**2], atol=1e-12
    )
    polynomial = energies(tasks.polynomial(d, 4, key=jax.random.key(0)))
    np.testing.assert_allclose(polynomial.energy, [0, *[0.25] * 4], atol=1e-6)


def test_one_neuron_three_ways():
    """As a neuron, as a teacher of one neuron, and as a function of one direction."""
    for basis in ("hermite", "spherical"):
        neuron = energies(tasks.single_neuron(D, bias=-0.5), 30, basis=basis).energy
        one = energies(tasks.relu_teacher(jnp.eye(1, D), -0.5), 30, basis=basis).energy
        np.testing.assert_allclose(one, neuron, atol=1e-13)
        centred = energies(tasks.single_neuron(D), 30, basis=basis).energy
        index = energies(tasks.multi_index(D, [(1.0, {0: activations.relu})]), 30, basis=basis).energy
        np.testing.assert_allclose(index, centred, atol=1e-12)


def test_spherical_energies_are_integrals_over_spheres(monte_carlo):
    """E g(x)g(x')N·P_m(cos) over pairs of one length, for a teacher and a product."""
    rng, n = np.random.default_rng(0), 150_000
    x, y = rng.standard_normal((2, n, D))
    x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))
    length = np.sqrt(rng.chisquare(D, n))[:, None]
    c = np.sum(x * y, axis=1)
    for task in (teacher(), several()):
        product = np.asarray(task(jnp.asarray(length * x)) * task(jnp.asarray(length * y)))
        found = energies(task, 24, basis="spherical").energy
        for m, count in ((0, 1), (1, D), (2, math.comb(D + 1, 2) - 1)):
            P = eval_gegenbauer(m, D / 2 - 1, c) / eval_gegenbauer(m, D / 2 - 1, 1.0)
            monte_carlo(count * product * P, found[m], resolution=0.1, scale=found[:3].max())


@pytest.mark.parametrize("basis", ["hermite", "spherical"])
def test_estimates_are_unbiased_and_know_their_error(basis):
    """Two-sided over 24 draws: the mean, and the standard error against the spread."""
    task, degree = tasks.staircase(4, (1, 1)), 3
    expected = energies(task, 8, basis=basis).energy[: degree + 1]
    estimates, errors = [], []
    for key in jax.random.split(jax.random.key(0), 24):
        X, y = task.sample(key, 500)
        if basis == "spherical":  # of one length, so that the radius plays no part
            X = 2 * X / jnp.linalg.norm(X, axis=1, keepdims=True)
            y = task(X)
        found = estimate_energies(X, y, degree, basis=basis)
        estimates.append(found.energy)
        errors.append(found.stderr)
    mean, spread = np.mean(estimates, axis=0), np.std(estimates, axis=0, ddof=1)
    if basis == "spherical":  # z₁/√2 and z₁z₂/√2 on a sphere of radius 2 in d = 4
        expected = np.array([0, 0.5, 16 / (4 * 6) / 2, 0])
    assert (np.abs(mean - expected) < 4.5 * spread / math.sqrt(24)).all()
    ratio = np.sqrt(np.mean(np.square(errors), axis=0)) / spread
    assert ((ratio > 0.6) & (ratio < 3)).all()  # large where there is no energy


def test_information_exponent_and_leap():
    square = activations.hermite(2)
    cases = [
        (tasks.single_neuron(9), 1, 1),
        (tasks.single_neuron(9, activation=activations.hermite(4)), 4, 4),
        (tasks.single_neuron(9, activation=activations.cos), 2, 2),
        (tasks.staircase(9), 1, 1),
        (tasks.staircase(9, (1, 3, 1)), 1, 3),
        (tasks.staircase(9, (2, 1)), 2, 2),
        (tasks.parity(9, 3), 3, 3),
        (tasks.multi_index(9, [(1.0, {0: square}), (1.0, {0: activations.identity, 1: square})]), 2, 2),
    ]
    for task, exponent, jump in cases:
        assert (information_exponent(task), leap(task)) == (exponent, jump)
    assert information_exponent(tasks.polynomial(9, 2, key=jax.random.key(0))) == 1


def test_rotations_leave_energies_alone():
    for one, two in itertools.pairwise([tasks.parity(D, 2), tasks.parity(D, 2, key=jax.random.key(5))]):
        np.testing.assert_allclose(
            energies(one, 12, basis="spherical").energy, energies(two, 12, basis="spherical").energy, atol=1e-12
        )
        assert spectrum(one).variance == pytest.approx(spectrum(two).variance, rel=1e-12)


@pytest.mark.parametrize(
    ("sigma", "message"),
    [(lambda z: jnp.exp(z**2 / 3), "grows"), (lambda z: jnp.exp(0.26 * z**2), "grows"), (lambda z: 1 / z, "unbounded")],
)
@pytest.mark.parametrize("ask", [energies, spectrum])
def test_targets_without_a_finite_variance_are_refused(sigma, message, ask):
    with pytest.raises(ValueError, match=f"finite E σ², and .*{message}"):
        ask(tasks.single_neuron(3, activation=sigma))


def test_targets_that_grow_fast_may_have_a_variance():
    a = 0.15  # E e^{2az²} = 1/√(1 − 4a)
    found = energies(tasks.single_neuron(3, activation=lambda z: jnp.exp(a * z**2)))
    assert found.second_moment == pytest.approx((1 - 4 * a) ** -0.5, rel=1e-9)


def test_bad_input_is_refused():
    task = tasks.function(lambda X: X[:, 0], 3, variance=1.0)
    with pytest.raises(TypeError, match="estimate_energies"):
        energies(task)
    with pytest.raises(TypeError, match="orthonormal directions"):
        leap(teacher())
    X, y = np.ones((4, 2)), np.ones(4)
    for ask, message in (
        (lambda: energies(tasks.parity(3, 2), -1), "degree must be at least 0"),
        (lambda: energies(tasks.parity(3, 2), basis="fourier"), "basis must be one of"),
        (lambda: energies(tasks.parity(9, 6), 60, basis="spherical"), "degree must be at most"),
        (lambda: information_exponent(tasks.multi_index(3, [(1.0, {})])), "energy in a degree"),
        (lambda: estimate_energies(X, y[:, None], 2), r"y must have shape \[n\]"),
        (lambda: estimate_energies(X[:2], y[:2], 2), "at least three rows"),
        (lambda: estimate_energies(X * np.nan, y, 2), "X must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            ask()
