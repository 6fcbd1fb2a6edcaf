"""The spectrum, against quadrature of the exact zonal kernel, Monte Carlo over directions, and high precision."""

import math

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.special import eval_gegenbauer, ndtr, roots_gegenbauer

from rfjax import activations, tasks
from rfjax.theory import Spectrum, spectrum


def neuron(d, *, norm=1.0, bias=0.0, activation=activations.relu):
    return tasks.single_neuron(d, norm=norm, bias=bias, activation=activation)


def gegenbauer(m, d, t):
    """P_m(t), P_m(1) = 1, for d >= 3."""
    return eval_gegenbauer(m, d / 2 - 1, t) / eval_gegenbauer(m, d / 2 - 1, 1.0)


def biased_relu_kernel(t, beta):
    """E(z + β)₊(tz + √(1−t²)y + β)₊ for independent normals z and y: over y in closed form, over z by quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(150)
    z = -beta + (nodes + 1) * (10 + beta) / 2
    weights = weights * (10 + beta) / 2 * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    s = np.sqrt(1 - t**2)[:, None]
    h = (t[:, None] * z + beta) / s
    return (s * (h * ndtr(h) + np.exp(-(h**2) / 2) / math.sqrt(2 * math.pi))) @ (weights * (z + beta))


def relu_kernel(t):
    """The arc-cosine kernel of order 1, halved."""
    return (np.sqrt(1 - t**2) + (math.pi - np.arccos(t)) * t) / (2 * math.pi)


def step_kernel(t):
    return 0.25 + np.arcsin(t) / (2 * math.pi)


def by_quadrature(kernel, d, top):
    """λ_m = E κ(t)P_m(t) under the law of one coordinate of the sphere (Funk–Hecke), d >= 3, in the angle of t."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    theta = (nodes + 1) * math.pi / 2
    t, weights = np.cos(theta), weights * np.sin(theta) ** (d - 2)
    values = kernel(t) * weights / weights.sum()
    return np.array([values @ gegenbauer(m, d, t) for m in range(top + 1)])


@pytest.mark.parametrize("d", [3, 4, 7])
def test_eigenvalues_of_the_biased_relu_match_quadrature_of_its_kernel(d):
    for beta in (-1.0, 0.5):
        expected = by_quadrature(lambda t, beta=beta: biased_relu_kernel(t, beta), d, 12)
        found = spectrum(neuron(d, norm=3.0, bias=3.0 * beta)).eigenvalues[:13] / 9  # the norm only multiplies
        np.testing.assert_allclose(found, expected, atol=2e-9)


@pytest.mark.parametrize("d", [3, 6, 15])
@pytest.mark.parametrize(("activation", "kernel"), [(activations.relu, relu_kernel), (activations.step, step_kernel)])
def test_eigenvalues_match_quadrature_of_the_closed_kernel(d, activation, kernel):
    expected = by_quadrature(kernel, d, 9)
    found = spectrum(neuron(d, activation=activation), degree=50_000 if activation is activations.step else None)
    np.testing.assert_allclose(found.eigenvalues[:10], expected, atol=1e-8 if d > 3 else 4e-6)
    assert (found.eigenvalues[:10] <= expected + 1e-8).all()  # the truncation only takes away


@pytest.mark.parametrize("d", [2, 3, 4, 9])
def test_a_truncated_kernel_is_integrated_exactly(d):
    task, top = neuron(d, bias=-0.7), 40
    a = task.hermite_coefficients(top)
    found = spectrum(task, degree=top)
    if d == 2:
        theta = (np.arange(128) + 0.5) * math.pi / 128
        kernel = np.polynomial.polynomial.polyval(np.cos(theta), a**2)
        expected = np.array([np.mean(kernel * np.cos(m * theta)) for m in range(top + 1)])
    else:
        t, weights = roots_gegenbauer(top + 2, d / 2 - 1)
        kernel = np.polynomial.polynomial.polyval(t, a**2) * weights / weights.sum()
        expected = np.array([kernel @ gegenbauer(m, d, t) for m in range(top + 1)])
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=0, atol=1e-15)
    assert len(found.energy) == top + 1


def test_the_sphere_of_two_points_has_an_even_and_an_odd_part():
    task = neuron(1, bias=-0.4, norm=2.0)
    a = task.hermite_coefficients(2048)
    found = spectrum(task)
    np.testing.assert_allclose(found.eigenvalues[:2], [(a[::2] ** 2).sum(), (a[1::2] ** 2).sum()], rtol=1e-12)
    np.testing.assert_array_equal(found.multiplicity[:4], [1, 1, 0, 0])
    np.testing.assert_array_equal(found.energy[2:], 0)
    np.testing.assert_array_equal(found.eigenvalues[2:], 0)


def test_the_circle_has_two_functions_a_degree():
    found = spectrum(neuron(2))
    np.testing.assert_array_equal(found.multiplicity[:5], [1, 2, 2, 2, 2])
    # The cosine series of the arc-cosine kernel: the mean of (sin θ + (π−θ)cos θ)/2π is 2/π².
    assert found.eigenvalues[0] == pytest.approx(2 / math.pi**2, abs=1e-6)


cases = [
    (activations.relu, 1.0, 0.0),
    (activations.relu, 5.0, -5.0),
    (activations.leaky_relu(0.2), 1.0, 2.0),
    (activations.abs, 2.0, 0.3),
    (activations.step, 1.0, -1.0),
    (activations.erf, 1.5, 0.2),
    (activations.from_function(jnp.tanh), 1.0, 0.5),
]


@pytest.mark.parametrize("d", [1, 2, 10, 1000])
@pytest.mark.parametrize(("activation", "norm", "bias"), cases)
def test_the_energies_and_the_remainder_add_up_to_the_second_moment(d, activation, norm, bias):
    task = neuron(d, norm=norm, bias=bias, activation=activation)
    found = spectrum(task, degree=1000)
    square = task.variance + task.mean**2
    assert found.second_moment == pytest.approx(square, rel=1e-12)
    assert found.variance == pytest.approx(task.variance, rel=1e-12)
    assert found.energy.sum() + found.remainder == pytest.approx(square, rel=1e-12)
    seen = found.multiplicity < 1e300
    product = found.eigenvalues[seen] * found.multiplicity[seen]
    np.testing.assert_allclose(product, found.energy[seen], rtol=1e-9, atol=1e-20)
    assert (found.d, found.degree) == (d, 1000)


def test_the_remainder_of_a_relu_is_the_tail_of_its_coefficients():
    for beta in (0.0, -1.0):
        found = spectrum(neuron(20, bias=beta))
        expected = (2 / 3) * (2 * math.pi) ** -1.5 * math.exp(-(beta**2) / 2) * 2048**-1.5
        assert found.remainder == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("d", [100, 10_000])
def test_logarithms_go_on_below_float64(d):
    task = neuron(d, bias=-1.0)
    found = spectrum(task)
    a = task.hermite_coefficients(2048)
    for m in (3, 150, 700):
        with mpmath.workdps(40):
            half = mpmath.mpf(d) / 2
            total = mpmath.fsum(
                mpmath.mpf(a[k]) ** 2
                * mpmath.factorial(k)
                / (mpmath.mpf(2) ** k * mpmath.factorial((k - m) // 2))
                * mpmath.gamma(half)
                / mpmath.gamma(mpmath.mpf(k + m) / 2 + half)
                for k in range(m, 2049, 2)
            )
            expected = float(mpmath.log(total))
        assert found.log_eigenvalues[m] == pytest.approx(expected, rel=1e-12, abs=1e-9)
    assert math.isfinite(found.log_multiplicity[700])
    if d == 10_000:
        assert found.eigenvalues[700] == 0
        assert found.multiplicity[700] == math.inf


def test_the_truncation_takes_no_more_than_it_says():
    for d in (2, 5, 50):
        task = neuron(d, bias=-0.5)
        short, long = spectrum(task, degree=200), spectrum(task, degree=20_000)
        added = long.eigenvalues[:201] - short.eigenvalues
        assert (added >= -1e-13).all()
        with np.errstate(over="ignore"):
            assert (added <= np.exp(short.log_unresolved) + 1e-13).all()
        if d < 50:  # where the missing part is more than rounding, the bound is not idle
            assert added[0] > 1e-3 * math.exp(short.log_unresolved[0])


# --- Monte Carlo over directions: two-sided, in standard errors ---------------------------------------------------


def directions(rng, n, d):
    w = rng.standard_normal((n, d))
    return w / np.linalg.norm(w, axis=1, keepdims=True)


@pytest.mark.parametrize("d", [3, 8])
def test_energies_match_independent_random_pairs(d, monte_carlo):
    """E κ(t)P_m(t)N(d, m) = energy_m and E κ(t)² = Σ energy_m λ_m, t = ⟨w, w'⟩ over 20,000 independent pairs."""
    rng = np.random.default_rng(d)
    t = np.sum(directions(rng, 20_000, d) * directions(rng, 20_000, d), axis=1)
    kernel = biased_relu_kernel(t, -1.0)
    found = spectrum(neuron(d, bias=-1.0))
    for m in range(3):
        monte_carlo(found.multiplicity[m] * kernel * gegenbauer(m, d, t), found.energy[m], resolution=0.2)
    monte_carlo(kernel**2, found.energy @ found.eigenvalues, resolution=0.1)


@pytest.mark.parametrize(("kernel", "activation"), [(relu_kernel, activations.relu), (step_kernel, activations.step)])
def test_eigenvalues_match_gram_matrices_of_random_neurons(kernel, activation):
    """Gram matrices of g_w over random w, divided by n: the groups of top eigenvalues are λ_m, N(d, m) times each."""
    d, n, runs = 4, 250, 12
    rng = np.random.default_rng(0)
    found = spectrum(neuron(d, activation=activation))
    groups = {0: slice(0, 1), 1: slice(1, 5), **({2: slice(5, 14)} if activation is activations.relu else {})}
    means = {m: [] for m in groups}
    for _ in range(runs):
        w = directions(rng, n, d)
        gram = kernel(np.clip(w @ w.T, -1, 1))
        values = np.linalg.eigvalsh(gram)[::-1] / n
        for m, group in groups.items():
            means[m].append(values[group].mean())
    for m, sample in means.items():
        mean, error = np.mean(sample), np.std(sample, ddof=1) / math.sqrt(runs)
        # Second-order perturbation: on average other degrees push an eigenvalue by Σ_j N_j λ_j λ_m/(λ_m − λ_j)/n.
        own, others = found.eigenvalues[m], np.delete(np.arange(len(found.energy)), m)
        push = np.sum(found.energy[others] * own / (own - found.eigenvalues[others])) / n
        assert abs(mean - push - own) < 4 * error
        assert error < 0.03 * own


# --- the record, and bad input ------------------------------------------------------------------------------------


def test_the_direction_plays_no_role_and_the_result_is_shared():
    one = spectrum(neuron(5, bias=-1.0))
    other = spectrum(tasks.single_neuron(5, bias=-1.0, direction=jnp.array([0.0, 3.0, 0.0, 4.0, 0.0])))
    assert one is other
    assert isinstance(one, Spectrum)
    with pytest.raises(ValueError, match="read-only"):
        one.energy[0] = 0.0


def test_other_tasks_are_refused_by_name():
    task = tasks.function(lambda X: X[:, 0], 3, variance=1.0)
    with pytest.raises(TypeError, match=r"made by rf.tasks.*FunctionTask"):
        spectrum(task)


@pytest.mark.parametrize(("degree", "error"), [(-1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_a_bad_degree_is_refused(degree, error):
    with pytest.raises(error):
        spectrum(neuron(3), degree=degree)


def test_degree_zero_is_the_mean():
    found = spectrum(neuron(3, bias=0.5), degree=0)
    np.testing.assert_allclose(found.energy, [neuron(3, bias=0.5).mean ** 2], rtol=1e-12)


def test_moments_that_miss_energy_are_refused():
    # A wave too fast for the quadrature of the moments, and not for that of the coefficients.
    task = neuron(4, activation=activations.from_function(lambda x: jnp.cos(45.0 * x)))
    with pytest.raises(ValueError, match="more than"):
        spectrum(task, degree=3000)
