"""Random neurons by their equivalent: against exact readouts of drawn ones, and against the simpler formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.activations import relu
from rfjax.risk import pair_moments
from rfjax.theory import random_feature_risk, random_neuron_modes, random_neuron_risk

DIRECTIONS = 200


@pytest.fixture(scope="module")
def readouts():
    """The relative error of the best readout of every draw of 100 neurons, averaged over directions of the target."""
    moments = jax.jit(lambda W, b, V, c: pair_moments(W, b, relu, V, c, relu))

    def errors(d, law, bias, draws, weights="sphere"):
        task = rf.tasks.single_neuron(d, bias=bias)
        found = []
        for seed in range(draws):
            phi = rf.random_neurons(d, 100, key=jax.random.key(seed), bias=law, weights=weights)
            V = np.random.default_rng(seed).normal(size=(DIRECTIONS, d))
            V /= np.linalg.norm(V, axis=1, keepdims=True)
            every = np.concatenate([phi.weight, V]), np.concatenate([phi.bias, np.full(DIRECTIONS, bias)])
            every = [np.pad(every[0], [(0, 0), (0, 30 - d)]), every[1]]  # one shape, one compilation
            K = np.array(moments(*map(jnp.array, (*every, *every))))
            solved = np.linalg.solve(K[:100, :100] + 1e-14 * np.eye(100), K[:100, 100:])
            left = task.mean**2 + task.variance - (K[:100, 100:] * solved).sum(0)
            found.append(left.mean() / task.variance)
        return np.array(found)

    return errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("d", "law", "weights", "bias", "allowed"),
    [
        (10, rf.features.Normal(1.0), "sphere", 0.0, 0.05),
        pytest.param(30, rf.features.Normal(1.0), "sphere", -1.0, 0.05, marks=pytest.mark.slow),
        pytest.param(10, rf.features.Constant(-1.0), "sphere", -1.0, 0.05, marks=pytest.mark.slow),
        pytest.param(10, rf.features.Uniform(-2.0, 1.0), "gaussian", -1.0, 0.05, marks=pytest.mark.slow),
        pytest.param(5, rf.features.Normal(1.0), "sphere", 0.0, 0.10, marks=pytest.mark.slow),
    ],
)
def test_the_equivalent_is_the_mean_over_draws(readouts, d, law, weights, bias, allowed):
    predicted = random_neuron_risk(rf.tasks.single_neuron(d, bias=bias), 100, bias=law, weights=weights)
    errors = readouts(d, law, bias, 12, weights)
    stderr = errors.std(ddof=1) / len(errors) ** 0.5
    assert stderr < 0.04 * predicted
    assert abs(errors.mean() - predicted) < allowed * predicted + 2 * stderr


def test_one_kind_of_neuron_is_the_simple_equivalent():
    task = rf.tasks.single_neuron(10, bias=-1.0)
    r = np.array([20, 100, 1000])
    mixture = random_neuron_risk(task, r, bias=rf.features.Constant(-1.0), relative=False)
    np.testing.assert_allclose(mixture, random_feature_risk(rf.theory.spectrum(task), features=r), rtol=2e-4)
    by_mode = random_feature_risk(random_neuron_modes(task, bias=rf.features.Constant(-1.0)), features=r)
    np.testing.assert_allclose(mixture, by_mode, rtol=1e-6)
    zero = rf.tasks.single_neuron(10)
    assert random_neuron_risk(zero, 50, bias=rf.features.Zero()) == pytest.approx(
        random_neuron_risk(zero, 50, bias=rf.features.Constant(0.0))
    )


def test_it_is_above_the_bound_and_falls():
    task = rf.tasks.single_neuron(30, bias=-1.0)
    r = np.array([1, 10, 100, 1000, 5000])
    risk = random_neuron_risk(task, r)
    assert np.all(risk >= rf.theory.risk_lower_bound(task, r))
    assert np.all(np.diff(risk) < 0)


class Own(rf.features.Law):
    """A law that is known by its draws alone."""

    law: rf.features.Law

    def draw(self, key, count):
        return self.law.draw(key, count)


@pytest.mark.parametrize(
    ("law", "rtol"), [(rf.features.Zero(), 1e-9), (rf.features.Constant(-1.0), 1e-9), (rf.features.Normal(0.7), 0.01)]
)
def test_any_law_counts_by_its_draws(law, rtol):
    task = rf.tasks.single_neuron(5, bias=-1.0)
    r = [10, 100]
    np.testing.assert_allclose(
        random_neuron_risk(task, r, bias=Own(law)), random_neuron_risk(task, r, bias=law), rtol=rtol
    )


@pytest.mark.parametrize("weights", ["sphere", pytest.param("gaussian", marks=pytest.mark.slow)])
def test_modes_are_those_of_the_drawn_kernel(weights):
    task = rf.tasks.single_neuron(6, bias=0.5)
    found = random_neuron_modes(task, bias=rf.features.Normal(0.7), weights=weights)
    assert found.energy == pytest.approx(task.mean**2 + task.variance, rel=1e-9)
    # E σ(⟨w,x⟩+b)² = (E‖w‖² + E b²)/2
    assert found.trace == pytest.approx((1 + 0.49) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: random_neuron_risk(t, 0), ValueError, "features must be finite and at least 1"),
        (lambda t: random_neuron_risk(t, 10, bias=1.0), TypeError, "bias must be a law"),
        (lambda t: random_neuron_risk(t, 10, weights="cube"), ValueError, "weights must be one of"),
        (lambda t: random_neuron_modes(t, degree=-1), ValueError, "degree must be at least 0"),
        (lambda t: random_neuron_risk(rf.tasks.function(lambda X: X[:, 0], 3), 10), TypeError, "single neuron"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(rf.tasks.single_neuron(4))
