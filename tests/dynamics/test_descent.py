"""Gradient descent in function space against NumPy loops, optax on the parameters, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg

import rfjax as rf

STEPS = np.array([100, 0, 1, 2, 7, 1000])
KINDS = [(0.0, False), (0.9, False), (0.9, True)]


def loop(p, learning_rate, momentum, nesterov):
    """{t: f_t on the new points}, as the textbook has it: f_{t+1} from f_t and f_{t−1}, on all points at once."""
    K = np.concatenate([p.K, p.cross])
    now = before = np.concatenate([p.start(p.X), p.start(p.Z)])
    trace, values = np.zeros_like(now), {}
    for t in range(STEPS.max() + 1):
        values[t] = now[10:]
        g = learning_rate / 10 * K @ (now[:10] - p.Y)
        if nesterov:  # as optax has it: the step that is recorded looks ahead
            trace = g + momentum * trace
            now = now - g - momentum * trace
        else:
            now, before = now - g + momentum * (now - before), now
    return np.stack([values[t] for t in STEPS])


@pytest.mark.parametrize("solver", ["eigh", "iterate"])
@pytest.mark.parametrize(("momentum", "nesterov"), KINDS)
def test_it_is_the_loop(p, momentum, nesterov, solver):
    limit = 10 / p.largest * 2 * (1 + momentum) / (1 + 2 * momentum if nesterov else 1)
    settings = {"momentum": momentum, "nesterov": nesterov, "start": p.start, "solver": solver}
    descent = rf.gradient_descent(p.kernel, p.X, p.Y, learning_rate=0.9 * limit, **settings)
    np.testing.assert_allclose(descent.critical_learning_rate, limit, rtol=1e-12)
    np.testing.assert_allclose(descent(STEPS, p.Z), loop(p, 0.9 * limit, momentum, nesterov), rtol=0, atol=1e-10)
    assert descent(7).shape == (10, 2)


@pytest.mark.parametrize(("momentum", "nesterov"), KINDS)
def test_it_is_what_optax_makes_of_a_linear_model(p, momentum, nesterov):
    phi = rf.features.Neurons(jnp.asarray(p.Y.T @ p.X), None, rf.activations.relu)
    F, y = jnp.asarray(np.maximum(p.X @ (p.Y.T @ p.X).T, 0)), jnp.asarray(p.Y[:, 0])
    descent = rf.gradient_descent(phi, p.X, y, learning_rate=0.02, momentum=momentum, nesterov=nesterov)
    optimizer = optax.sgd(0.02, momentum, nesterov)

    def step(carry, _):
        params, state = carry
        update, state = optimizer.update(jax.grad(lambda u: ((F @ u - y) ** 2).mean() / 2)(params), state)
        return (optax.apply_updates(params, update), state), F @ params

    params = jnp.zeros(2)
    values = jax.lax.scan(step, (params, optimizer.init(params)), length=30)[1]
    assert np.abs(values[5] - values[29]).max() > 1e-3
    np.testing.assert_allclose(descent(jnp.arange(30)), values, rtol=0, atol=1e-12)


def test_very_many_steps_reach_the_interpolant(p):
    ridgeless = p.cross @ scipy.linalg.solve(p.K, p.Y)
    for momentum, nesterov in KINDS:
        descent = rf.gradient_descent(p.kernel, p.X, p.Y, learning_rate=1.0, momentum=momentum, nesterov=nesterov)
        np.testing.assert_allclose(descent(10**12, p.Z), ridgeless, rtol=0, atol=1e-10)


def test_small_steps_are_the_flow(p):
    descent = rf.gradient_descent(p.kernel, p.X, p.Y, learning_rate=1e-7)
    np.testing.assert_allclose(descent(5 * 10**7, p.Z), rf.gradient_flow(p.kernel, p.X, p.Y)(5.0, p.Z), atol=1e-7)


def test_float32_keeps_slow_modes(p):
    low = [a.astype(np.float32) for a in (p.X, p.Y, p.Z)]
    # Of (1 − η)ᵗ with η = 1e-6, float32 keeps only 6% if it rounds 1 − η.
    for momentum in (0.0, 0.9):
        descent = rf.gradient_descent(p.kernel, *low[:2], learning_rate=1e-5, momentum=momentum)
        values = descent(10**6, low[2])
        assert values.dtype == np.float32
        exact = rf.gradient_descent(p.kernel, p.X, p.Y, learning_rate=1e-5, momentum=momentum)(10**6, p.Z)
        np.testing.assert_allclose(values, exact, rtol=0, atol=3e-4)


def test_duplicates_stay_where_they_are(p):
    twice = np.concatenate([p.X, p.X])
    descent = rf.gradient_descent(p.kernel, twice, np.concatenate([p.Y, -p.Y]), learning_rate=1.0)
    np.testing.assert_allclose(descent(10**9, p.Z), 0, atol=1e-6)  # the best that one function can do for ±y


@pytest.mark.parametrize("solver", ["eigh", "iterate"])
def test_a_rate_that_diverges_raises_and_names_the_critical_one(p, solver):
    limit = 20 / p.largest

    def descend(factor, **settings):
        rate = factor * limit
        return rf.gradient_descent(p.kernel, p.X, p.Y, learning_rate=rate, solver=solver, **settings)

    with pytest.raises(ValueError, match=rf"diverges here: it must be below {limit:.6g}"):
        descend(1.001)
    grown = descend(1.1, throw=False)
    assert float(jnp.abs(grown(200)).max()) > 1e3
    assert float(jnp.abs(descend(0.999)(200)).max()) < 10


def test_it_compiles_and_maps_over_learning_rates(p):
    rates = jnp.asarray([0.1, 1.0, 2.0])

    @jax.jit
    def both(rates, y):
        def one(rate):
            descent = rf.gradient_descent(p.kernel, p.X, y, learning_rate=rate, momentum=0.5)
            return descent(STEPS[:4], p.Z)

        return jax.vmap(one)(rates), jax.jvp(one, (rates[0],), (jnp.ones(()),))[1]

    mapped, slope = both(rates, p.Y)
    for rate, values in zip(rates, mapped, strict=True):
        alone = rf.gradient_descent(p.kernel, p.X, p.Y, learning_rate=float(rate), momentum=0.5)
        np.testing.assert_allclose(values, alone(STEPS[:4], p.Z), rtol=0, atol=1e-13)
    nearby = [rf.gradient_descent(p.kernel, p.X, p.Y, learning_rate=r, momentum=0.5) for r in (0.1 - 1e-5, 0.1 + 1e-5)]
    difference = (nearby[1](STEPS[:4], p.Z) - nearby[0](STEPS[:4], p.Z)) / 2e-5
    np.testing.assert_allclose(slope, difference, rtol=0, atol=1e-6)


def test_iterating_forms_no_matrix(p, no_gram):
    descent = rf.gradient_descent(p.kernel, p.X, p.Y, learning_rate=1.0, solver="iterate")
    assert descent(np.array([3, 1])).shape == (2, 10, 2)


BAD = {
    "rate": ({"learning_rate": 0.0}, ValueError, "learning_rate must be a finite number > 0"),
    "rate text": ({"learning_rate": "small"}, TypeError, "learning_rate must be a real number"),
    "momentum": ({"momentum": 1.0}, ValueError, "momentum must be a finite number >= 0.0 and < 1.0, got 1.0"),
    "nesterov": ({"nesterov": 1}, TypeError, "nesterov must be True or False"),
    "solver": ({"solver": "lanczos"}, ValueError, "solver must be one of eigh, iterate"),
    "y": ({"y": np.ones(3)}, ValueError, "y must have one row a data point"),
    "model": ({"model": 3}, TypeError, "model must be a kernel or a feature map"),
}


@pytest.mark.parametrize(("change", "error", "says"), BAD.values(), ids=BAD)
def test_bad_settings_raise(p, change, error, says):
    settings = {"model": p.kernel, "X": p.X, "y": p.Y, "learning_rate": 0.1} | change
    with pytest.raises(error, match=says):
        rf.gradient_descent(settings.pop("model"), settings.pop("X"), settings.pop("y"), **settings)


def test_bad_steps_raise(p):
    descent = rf.gradient_descent(p.kernel, p.X, p.Y, learning_rate=0.1)
    for t in (1.0, np.inf, True):
        with pytest.raises(TypeError, match="t must be an integer number of steps"):
            descent(t)
    for t in (-1, np.array([1, -1]), 2**63):
        with pytest.raises(ValueError, match="t must be a number of steps from 0 to"):
            descent(t)
    with pytest.raises(ValueError, match=r"t must be a scalar or have shape \[T\]"):
        descent(np.ones((2, 2), int))
