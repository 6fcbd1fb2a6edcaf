"""Descent of one neuron in three variables: equal to descent in d, and the steps that it takes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rfjax as rf
from rfjax.numerics import gaussian_quadrature
from rfjax.theory import neuron_descent, random_starts
from rfjax.theory.neuron_moments import PlaneNeuron, risk_and_slope

RELU = (1.0, 0.0)


def by_quadrature(f, g, slopes):
    """E(f − g)² on a grid of the plane, its first axis broken at g's kink."""
    x, px = gaussian_quadrature(breaks=(-g.b / g.p,), panels=120)
    y, py = gaussian_quadrature(panels=120)

    def sigma(z):
        return slopes[0] * np.maximum(z, 0) + slopes[1] * np.maximum(-z, 0)

    values = sigma(f.p * x[:, None] + f.q * y + f.b) - sigma(g.p * x + g.b)[:, None]
    return px @ values**2 @ py


@pytest.mark.parametrize("slopes", [RELU, (1.0, -0.3)])
@pytest.mark.parametrize("bias", [0.0, -0.8])
def test_risk_and_slope(slopes, bias):
    f = PlaneNeuron(*np.array([[0.5, -1.2, 1e-3], [0.4, 0.3, -0.9], [-0.7, 0.4, 0.0]]))
    g = PlaneNeuron(1.3, 0.0, bias)
    risk, slope = risk_and_slope(f, g, slopes)
    for i in range(3):
        one = PlaneNeuron(*(part[i] for part in f))
        assert risk[i] == pytest.approx(by_quadrature(one, g, slopes), rel=1e-5)
    for axis in range(3):
        step = 1e-5 * np.eye(3)[axis][:, None]
        up, down = (risk_and_slope(PlaneNeuron(*(np.stack(f) + s)), g, slopes)[0] for s in (step, -step))
        np.testing.assert_allclose(slope[axis], (up - down) / 4e-5, rtol=1e-6, atol=1e-8)


def test_at_the_target_and_at_zero_nothing_is_nan():
    g = PlaneNeuron(1.0, 0.0, -1.0)
    f = PlaneNeuron(np.array([1.0, 1.0, 0.0, -1.0]), np.array([0.0, 1e-12, 0.0, 0.0]), np.array([-1.0, -1.0, 0.0, 1.0]))
    risk, slope = risk_and_slope(f, g, RELU)
    assert np.all(np.isfinite(risk)) and np.all(np.isfinite(slope))
    np.testing.assert_allclose(risk[:2], 0, atol=1e-15)
    np.testing.assert_allclose(slope[:, :2], 0, atol=1e-12)
    assert risk[2] == pytest.approx(rf.tasks.single_neuron(2, bias=-1.0).variance + 0.0833155**2, rel=1e-4)


@pytest.mark.parametrize("bias", [-1.0, pytest.param(0.0, marks=pytest.mark.slow)])
def test_it_is_the_descent_of_all_parameters(bias):
    task = rf.tasks.single_neuron(7, bias=bias, direction=jnp.arange(1.0, 8.0))
    run = rf.train(rf.neuron(), task, exact=True, optimizer=optax.sgd(1.0), steps=25, record=5, key=jax.random.key(3))
    w = rf.neuron().init(jax.random.key(3), 7)["weight"]
    along = float(w @ task.direction)
    across = float(jnp.linalg.norm(w - along * task.direction))
    fast = neuron_descent(task, (along, across, 0.0), steps=25, records=5, target=1e-12)
    np.testing.assert_array_equal(fast.steps, run.history.steps)
    np.testing.assert_allclose(fast.risk * task.variance, run.history.risk, rtol=1e-9, atol=1e-13)
    end = run.params["weight"]
    np.testing.assert_allclose(fast.path.parallel[-1], end @ task.direction, rtol=1e-10)
    np.testing.assert_allclose(
        abs(fast.path.orthogonal[-1]), jnp.linalg.norm(end - (end @ task.direction) * task.direction), rtol=1e-8
    )
    np.testing.assert_allclose(fast.path.bias[-1], run.params["bias"], rtol=1e-10)


@pytest.mark.parametrize(
    ("bias", "target", "steps"), [(0.0, 1e-6, 39), (-1.0, 1e-3, 217), (-1.0, 1e-6, 589), (-1.0, 1e-12, 1344)]
)
def test_the_steps_do_not_depend_on_the_dimension(bias, target, steps):
    task = rf.tasks.single_neuron(2, bias=bias)
    for d in (10**3, 10**6):
        run = neuron_descent(task, random_starts(d, 3, seed=1), steps=1400, target=target)
        assert not run.failed.any()
        assert np.all(np.abs(run.reached - steps) <= 1)


@pytest.mark.parametrize(("d", "steps"), [(10, 423), (100, 925), (1000, 1428)])
def test_steps_to_an_absolute_error_as_the_norm_grows(d, steps):
    task = rf.tasks.single_neuron(2, norm=d**2, bias=-(d**2))
    run = neuron_descent(task, (0.0, 1.0, 0.0), steps=1500, target=0.02 / task.variance)
    assert abs(int(run.reached) - steps) <= 2


def test_some_starts_fail_and_their_part_has_an_error():
    task = rf.tasks.single_neuron(2, bias=-1.0)
    run = neuron_descent(task, random_starts(3, 200, seed=0), steps=400, target=1e-2)
    assert 0.1 < run.failure_rate < 0.6
    assert run.failure_stderr == pytest.approx((run.failure_rate * (1 - run.failure_rate) / 200) ** 0.5, rel=0.05)
    backward = run.path.parallel[:, 0][run.failed]
    assert np.all(backward < 0)  # starts that point away from the target
    high = neuron_descent(task, random_starts(10**4, 200, seed=0), steps=400, target=1e-2)
    assert high.failure_rate == 0
    assert 0 < high.failure_stderr < 0.02


def test_a_dead_start_stays_and_is_called_collapsed():
    run = neuron_descent(
        rf.tasks.single_neuron(2, bias=-1.0), ([0.1, 1.0], [0.1, 0.0], [-9.0, 0.0]), steps=50, target=0.5
    )
    assert run.collapsed.tolist() == [True, False]
    assert run.risk[0, -1] > 1


def test_a_rate_that_diverges_fails_without_a_warning():
    run = neuron_descent(
        rf.tasks.single_neuron(2, bias=-1.0), random_starts(9, 3, seed=0), steps=600, learning_rate=50.0
    )
    assert run.failed.all()
    assert not run.collapsed.any()
    assert not np.isfinite(run.risk[:, -1]).any()


def test_starts_have_the_law_of_a_uniform_direction():
    starts = random_starts(5, 20000, seed=2, norm=2.0)
    np.testing.assert_allclose(np.hypot(starts.parallel, starts.orthogonal), 2)
    assert np.mean(starts.parallel) == pytest.approx(0, abs=0.03)
    assert np.mean(starts.parallel**2) == pytest.approx(4 / 5, rel=0.03)
    assert np.mean(starts.parallel**4) == pytest.approx(16 * 3 / (5 * 7), rel=0.06)
    assert np.all(np.abs(random_starts(1, 4, seed=0).parallel) == 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: neuron_descent(t, (0.0, 1.0), steps=3), ValueError, "three arrays of one shape"),
        (lambda t: neuron_descent(t, ([0.0, 1.0], 1.0, 0.0), steps=3), ValueError, "three arrays of one shape"),
        (lambda t: neuron_descent(t, (np.nan, 1.0, 0.0), steps=3), ValueError, "start must be finite"),
        (lambda t: neuron_descent(t, (0.0, 1.0, 0.0), steps=0), ValueError, "steps must be at least 1"),
        (lambda t: neuron_descent(t, (0.0, 1.0, 0.0), steps=3, target=0.0), ValueError, "target must be"),
        (lambda t: random_starts(0, 3, seed=0), ValueError, "d must be at least 1"),
        (
            lambda t: neuron_descent(
                rf.tasks.single_neuron(2, activation=rf.activations.erf), (0.0, 1.0, 0.0), steps=3
            ),
            ValueError,
            "must be a .leaky. ReLU neuron",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(rf.tasks.single_neuron(2))
