"""The bound and the minimal width, against sorted expansions, simulated features and the table of known widths."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

from rfjax import activations, tasks
from rfjax.theory import coefficient_bound, degree_reach, minimal_width, risk_lower_bound, spectrum


def neuron(d, *, norm=1.0, bias=0.0, activation=activations.relu):
    return tasks.single_neuron(d, norm=norm, bias=bias, activation=activation)


def relu_kernel(t):
    t = np.clip(t, -1, 1)
    return (np.sqrt(1 - t**2) + (math.pi - np.arccos(t)) * t) / (2 * math.pi)


def step_kernel(t):
    return 0.25 + np.arcsin(np.clip(t, -1, 1)) / (2 * math.pi)


def written_out(kernel, d, top):
    """The tails E g² − Σ_{j<=r} λ_j, r = 0, 1, 2…, from quadrature of the kernel in its angle and integer counts."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    t = np.cos((nodes + 1) * math.pi / 2)
    weights = weights * np.sin((nodes + 1) * math.pi / 2) ** (d - 2)
    values, size = kernel(t) * weights / weights.sum(), []
    before, current = np.ones_like(t), t  # P_m by its recursion: (m+d−2)P_{m+1} = (2m+d−2)tP_m − mP_{m−1}
    for m in range(top + 1):
        count = math.comb(m + d - 1, d - 1) - (math.comb(m + d - 3, d - 1) if m >= 2 else 0)
        size += [values @ (before if m == 0 else current)] * count
        if m:
            before, current = current, ((2 * m + d - 2) * t * current - m * before) / (m + d - 2)
    return float(kernel(np.array(1.0))) - np.concatenate([[0.0], np.cumsum(sorted(size, reverse=True))])


relu, step = (relu_kernel, activations.relu, 0.5 - 0.5 / math.pi), (step_kernel, activations.step, 0.25)


@pytest.mark.parametrize(("d", "top", "known"), [(3, 16, relu), (6, 8, relu), (20, 3, step)])
def test_both_match_the_eigenvalues_written_out(d, top, known):
    kernel, activation, variance = known
    tails, task = written_out(kernel, d, top), neuron(d, activation=activation)
    r = np.unique(np.geomspace(1, len(tails) // 4, 25).astype(int)) - 1
    np.testing.assert_allclose(risk_lower_bound(task, r, relative=False), tails[r], rtol=1.1e-3)
    np.testing.assert_allclose(risk_lower_bound(task, r), tails[r] / variance, rtol=1.1e-3)
    assert (risk_lower_bound(task, r, relative=False) <= tails[r] * (1 + 1e-9)).all()  # it is a bound at any truncation
    for index in r[1:]:
        error = (tails[index] + tails[index - 1]) / 2  # reached at `index`, and not before
        found = minimal_width(task, error, relative=False)
        assert found.width == index
        assert found.log10 == pytest.approx(math.log10(index), abs=1e-12)
        assert minimal_width(task, error / variance).width == index


# The table of log10 r at error ε·Var g.
table = [
    (0.0, 0.1, (1.66, 2.55, 3.56, 5.55), 2.0),
    (0.0, 0.01, (2.80, 5.56, 8.90, 14.93), 6.0),
    (-1.0, 0.1, (2.24, 3.57, 5.10, 8.09), 3.0),
    (-1.0, 0.01, (4.25, 8.47, 13.66, 27.03), 13.2),
    (-2.0, 0.1, (2.92, 5.03, 7.86, 14.28), 6.5),
]


@pytest.mark.parametrize(("beta", "error", "logs", "exponent"), table)
def test_the_table_of_widths(beta, error, logs, exponent):
    for d, log in zip((10, 30, 100, 1000), logs, strict=True):
        # The table is of real r, before it is rounded up to whole functions.
        found = minimal_width(neuron(d, norm=2.0, bias=2.0 * beta), error)
        assert found.log10 >= log - 0.0051
        assert math.log10(max(found.width - 1, 1)) <= log + 0.0051
    widths = [minimal_width(neuron(d, bias=beta), error).log10 for d in (100, 200, 500, 1000)]
    assert np.polyfit(np.log10([100, 200, 500, 1000]), widths, 1)[0] == pytest.approx(exponent, abs=0.051)


def test_three_thousand_features_at_dimension_one_hundred():
    assert risk_lower_bound(neuron(100, bias=-1.0), 3000) == pytest.approx(0.380, abs=5e-4)


dimensions = np.array([5, 10, 20, 40, 80, 160])


def fit(widths):
    logs = np.array([w.log10 for w in widths]) * math.log(10)
    slope, start = np.polyfit(dimensions, logs, 1)
    return slope, math.sqrt(np.mean((logs - slope * dimensions - start) ** 2)), logs


def test_growing_weights_make_an_absolute_error_exponential():
    def widths(p):
        tasks = [neuron(d, norm=float(d) ** p, bias=-(float(d) ** p)) for d in dimensions.tolist()]
        return [minimal_width(task, 1 / 50, relative=False) for task in tasks]

    slope, deviation, _ = fit(widths(0.75))
    assert slope == pytest.approx(1.14, abs=0.01)
    assert deviation == pytest.approx(0.28, abs=0.02)
    rates = np.diff(fit(widths(1.0))[2]) / np.diff(dimensions)  # norm = d: faster than exponential
    assert (np.diff(rates) > 0).all()
    assert rates[-1] > 2


def test_a_fast_wave_makes_a_relative_error_exponential():
    def wave(d):
        return activations.from_function(lambda z: z + math.sqrt(2) * jnp.sin(math.sqrt(d) * z))

    slope, deviation, _ = fit([minimal_width(neuron(d, activation=wave(d)), 0.25) for d in dimensions.tolist()])
    assert slope == pytest.approx(1.07, abs=0.005)
    assert deviation < 0.2


def test_the_order_is_by_eigenvalue_and_not_by_degree():
    # h₃ has energy in degrees 1 and 3; with a large enough weight, degree 3 comes before degree 0 in a small dimension.
    cubic = activations.from_function(lambda z: 0.1 + (z**3 - 3 * z) / math.sqrt(6))
    task = neuron(2, activation=cubic)
    found = spectrum(task)
    np.testing.assert_allclose(found.eigenvalues[:5], [0.01, 3 / 8, 0, 1 / 8, 0], atol=1e-12)
    expected = np.array([1.01, 0.635, 0.26, 0.135, 0.01, 0.0, 0.0])
    np.testing.assert_allclose(risk_lower_bound(task, range(7), relative=False), expected, atol=1e-11)
    assert [minimal_width(task, e, relative=False).degree for e in (0.7, 0.2, 0.005)] == [1, 3, 0]


def test_a_linear_target_needs_its_share_of_coordinates():
    task = neuron(40, activation=activations.identity)
    for error in (0.9, 0.5, 0.125, 0.01):
        assert minimal_width(task, error).width == math.ceil(round(40 * (1 - error), 9))
        assert minimal_width(task, error).degree == 1
    assert risk_lower_bound(task, 13) == pytest.approx(1 - 13 / 40, rel=1e-12)


def test_a_constant_counts_as_one_function():
    task = neuron(4, norm=0.5, bias=3.0, activation=activations.identity)  # E g² = 9.25, variance 0.25
    np.testing.assert_allclose(risk_lower_bound(task, [0, 1, 5]), [37.0, 1.0, 0.0], atol=1e-11)
    np.testing.assert_allclose(risk_lower_bound(task, [0, 1, 5], relative=False), [9.25, 0.25, 0.0], atol=1e-11)
    for error in (37.0, 1e6):
        zero = minimal_width(task, error)
        assert (zero.width, zero.log10, zero.degree) == (0.0, -math.inf, 0)
    assert minimal_width(task, 36.9).width == 1.0


@pytest.mark.parametrize(("kernel", "activation"), [(relu_kernel, activations.relu), (step_kernel, activations.step)])
def test_random_features_of_the_targets_own_kind_stay_above(kernel, activation):
    """The exact error of the best combination of r random neurons, averaged over directions, in standard errors."""
    rng, d = np.random.default_rng(3), 6
    task = neuron(d, activation=activation)

    def directions(n):
        w = rng.standard_normal((n, d))
        return w / np.linalg.norm(w, axis=1, keepdims=True)

    for r in (5, 30, 120):
        samples = []
        for _ in range(8):
            v, w = directions(r), directions(150)
            cross = kernel(v @ w.T)
            captured = np.sum(cross * np.linalg.solve(kernel(v @ v.T) + 1e-12 * np.eye(r), cross), axis=0)
            samples.append(np.mean(float(kernel(np.array(1.0))) - captured) / task.variance)
        mean, error = np.mean(samples), np.std(samples, ddof=1) / math.sqrt(len(samples))
        bound = risk_lower_bound(task, r)
        assert mean > bound - 2 * error
        assert mean < 6 * bound  # the bound is not idle: random neurons come within a small factor


def test_a_jump_is_followed_to_high_degrees():
    """A step at d = 100: its minimal width ends in degree 526, from Hermite degrees far beyond the first truncation."""
    d, error = 100, 0.01
    n = np.arange(8_000)  # asin t = Σ_n C(2n, n)/(4^n (2n+1)) t^{2n+1}
    powers = np.exp(gammaln(2 * n + 1) - 2 * gammaln(n + 1) - n * math.log(4)) / (2 * n + 1) / (2 * math.pi)
    energy, log_count = [0.25], [0.0]
    for m in range(1, 800, 2):
        k = 2 * n[(m - 1) // 2 :] + 1.0
        log = math.log(2 * m + d - 2) + math.lgamma(m + d - 2) - math.lgamma(m + 1) - math.lgamma(d - 1)
        share = gammaln(k + 1) + gammaln(d / 2) - k * math.log(2) - gammaln((k - m) / 2 + 1) - gammaln((k + m + d) / 2)
        energy.append(powers[(m - 1) // 2 :] @ np.exp(share + log))
        log_count.append(log)
    tail = 0.5 - np.cumsum(energy)  # the eigenvalues of odd degree decrease
    step = int(np.argmax(tail <= error / 4))
    part = (tail[step - 1] - error / 4) / energy[step]
    expected = np.logaddexp(np.logaddexp.reduce(log_count[:step]), math.log(part) + log_count[step]) / math.log(10)
    found = minimal_width(neuron(d, activation=activations.step), error)
    assert found.log10 == pytest.approx(expected, abs=1e-6)
    assert found.degree == 2 * step - 1
    assert risk_lower_bound(neuron(d, activation=activations.step), 1e100) > 0.01


@pytest.mark.parametrize("d", [1000, 10_000])
def test_high_dimensions_are_finite_and_consistent(d):
    task = neuron(d, bias=-1.0)
    small, large = minimal_width(task, 0.01), minimal_width(task, 0.001)
    assert math.inf > large.log10 > 3 * small.log10 > 80
    assert risk_lower_bound(task, small.width) == pytest.approx(0.01, rel=1e-9)
    assert risk_lower_bound(task, 10 ** int(large.log10)) == pytest.approx(0.001, rel=0.05)
    deep = minimal_width(task, 1e-5)
    assert deep.width == math.inf
    assert 400 < deep.log10 < math.inf


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([1, 2, 7, 300]),
    st.sampled_from([-1.0, 0.0]),
    st.lists(st.floats(0, 40), min_size=2, max_size=8),
)
def test_the_bound_falls_with_r(d, beta, logs):
    task, r = neuron(d, bias=beta), np.sort(10.0 ** np.array(logs) - 1)
    bound = risk_lower_bound(task, r)
    assert (bound >= 0).all()
    assert (np.diff(bound) <= 1e-12).all()
    np.testing.assert_allclose(bound, [risk_lower_bound(task, float(x)) for x in r], rtol=2e-3, atol=1e-6)
    top = (task.variance + task.mean**2) / task.variance
    assert risk_lower_bound(task, 0) == pytest.approx(top, rel=1e-12)
    assert bound[0] <= top * (1 + 1e-12)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([2, 3, 30, 300]),
    st.sampled_from([-1.0, 0.0]),
    st.floats(-3, 0.2),
)
def test_the_width_inverts_the_bound(d, beta, log):
    task, error = neuron(d, bias=beta), 10.0**log
    width = minimal_width(task, error).width
    assert risk_lower_bound(task, width) <= error * (1 + 1e-9)
    if 0 < width < 1e12:  # one function fewer does not reach it, up to what the truncation may leave
        assert risk_lower_bound(task, width - 1) > error * (1 - 2e-3)


def test_the_answer_takes_the_shape_of_r():
    task = neuron(5)
    assert isinstance(risk_lower_bound(task, 3), float)
    assert isinstance(risk_lower_bound(task, np.float64(3)), float)
    assert risk_lower_bound(task, np.arange(6).reshape(2, 3)).shape == (2, 3)
    assert risk_lower_bound(task, []).shape == (0,)
    np.testing.assert_allclose(risk_lower_bound(task, jnp.arange(3)), [risk_lower_bound(task, r) for r in range(3)])
    assert 0 <= risk_lower_bound(task, 10**400) < 1e-6


@pytest.mark.parametrize("r", [-1, math.nan, math.inf, [1, -1]])
def test_a_bad_r_is_refused(r):
    with pytest.raises(ValueError, match="r must be a finite number >= 0"):
        risk_lower_bound(neuron(3), r)


@pytest.mark.parametrize("error", [0.0, -0.1, math.nan, math.inf])
def test_an_error_that_is_not_positive_is_refused(error):
    with pytest.raises(ValueError, match="error must be a finite number"):
        minimal_width(neuron(3), error)


def test_what_is_no_number_is_refused():
    for r in ("3", None, True):
        with pytest.raises(TypeError):
            risk_lower_bound(neuron(3), r)
    for error in ("0.1", None, [0.1]):
        with pytest.raises(TypeError):
            minimal_width(neuron(3), error)


def test_other_tasks_are_refused_by_name():
    task = tasks.function(lambda X: X[:, 0], 3, variance=1.0)
    for ask in (
        lambda: risk_lower_bound(task, 3),
        lambda: minimal_width(task, 0.1),
        lambda: coefficient_bound(task, 0.1),
    ):
        with pytest.raises(TypeError, match=r"made by rf\.tasks"):
            ask()


def test_a_constant_target_has_no_relative_error():
    task = neuron(3, activation=activations.from_function(lambda z: 0 * z + 2.0))
    for ask in (lambda: risk_lower_bound(task, 3), lambda: minimal_width(task, 0.1)):
        with pytest.raises(ValueError, match="positive variance"):
            ask()
    assert minimal_width(task, 0.1, relative=False).width == 1.0


def test_a_target_that_is_zero_needs_nothing():
    task = neuron(3, bias=-50.0)
    assert minimal_width(task, 0.1, relative=False).width == 0.0
    assert risk_lower_bound(task, 2, relative=False) == 0.0


def test_a_series_too_short_for_the_error_says_so():
    hinge = activations.from_function(lambda z: jnp.maximum(z, 0))
    assert minimal_width(neuron(10, activation=hinge), 0.01).width == minimal_width(neuron(10), 0.01).width
    for error, most in ((6e-7, r"10\^"), (1e-7, "inf")):
        with pytest.raises(ValueError, match=rf"remainder of 4\.\d+e-07 .* between 10\^[\d.]+ and {most}"):
            minimal_width(neuron(10, activation=hinge), error)


def test_targets_of_several_directions():
    d = 12
    stairs = tasks.staircase(d, (1, 2))  # half of its energy in degree 1, half in degree 3
    third = math.comb(d + 2, 3) - d
    np.testing.assert_allclose(
        risk_lower_bound(stairs, [0, 6, d, d + third / 2, d + third]), [1, 0.75, 0.5, 0.25, 0], atol=1e-6
    )
    assert minimal_width(stairs, 0.25).width == math.ceil(d + third / 2)
    assert minimal_width(stairs, 0.25).degree == 3
    one, two = tasks.relu_teacher(jnp.eye(1, d), -0.5), neuron(d, bias=-0.5)
    r = [1, 10, 100, 1000]
    np.testing.assert_allclose(risk_lower_bound(one, r), risk_lower_bound(two, r), rtol=2e-3)
    assert minimal_width(one, 0.05).width == pytest.approx(minimal_width(two, 0.05).width, rel=2e-3)
    assert risk_lower_bound(tasks.parity(40, 3), 1000) > 0.7  # what the series leaves out counts for nothing
    with pytest.raises(ValueError, match="hold a remainder"):
        minimal_width(tasks.parity(40, 3), 0.1)


@pytest.mark.parametrize("width", [3, 40])
def test_coefficients_are_as_large_as_they_must_be(width):
    """The sum over features of ‖f‖·(E u²)^½ of the best fits, over directions, against the bound at their error."""
    rng, d = np.random.default_rng(0), 5
    task, square = neuron(d), float(relu_kernel(np.array(1.0)))
    v, w = (
        u / np.linalg.norm(u, axis=1, keepdims=True)
        for u in (rng.standard_normal((width, d)), rng.standard_normal((4000, d)))
    )
    cross = relu_kernel(v @ w.T)
    u = np.linalg.solve(relu_kernel(v @ v.T) + 1e-3 * np.eye(width), cross)
    error = float(np.mean(square - 2 * np.sum(cross * u, axis=0) + np.sum(u * (relu_kernel(v @ v.T) @ u), axis=0)))
    size = float(math.sqrt(square) * np.sqrt(np.mean(u**2, axis=1)).sum())
    bound = coefficient_bound(task, error, relative=False)
    assert size > bound.value
    assert bound.log10 == pytest.approx(math.log10(bound.value))
    assert coefficient_bound(task, error / task.variance).value == pytest.approx(bound.value / math.sqrt(task.variance))


def test_a_line_in_units_of_its_own():
    """d equal eigenvalues 1/d: √d·(1 − √ε) from K = 0, which the d coordinates attain as ε → 0."""
    task = neuron(16, activation=activations.identity)
    assert coefficient_bound(task, 1e-12).value == pytest.approx(4.0, rel=1e-5)
    assert coefficient_bound(task, 0.25).value == pytest.approx(2.0, rel=1e-9)
    wave = coefficient_bound(tasks.modulated(1000), 0.25)
    assert 200 < wave.log10 < math.inf
    assert coefficient_bound(task, 2.0).log10 == -math.inf
    with pytest.raises(ValueError, match="error must be"):
        coefficient_bound(task, 0.0)


def test_degrees_within_reach():
    d = 100
    reach = degree_reach(d, [10, 1000, 10**5], 3)
    assert reach.shape == (3, 4)
    np.testing.assert_allclose(reach[:, 1], [0.1, 1, 1])
    np.testing.assert_allclose(reach[1, 2], 1000 / (math.comb(101, 2) - 1))
    np.testing.assert_array_equal(reach[2, :3], 1)
    assert degree_reach(d, 10**400, 500)[300] == 1
    with pytest.raises(ValueError, match="r must be"):
        degree_reach(d, -1)
    with pytest.raises(ValueError, match="d must be"):
        degree_reach(0, 1)
