"""Tuned hyperparameters against SciPy's minimiser of the same objective, and what stops it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

import rfjax as rf

RNG = np.random.default_rng(0)
N = 30
X = RNG.normal(size=(N, 2))
Y = np.sin(2 * X[:, 0]) + 0.3 * RNG.normal(size=N)
KEY = jax.random.key(0)
ADAM, SGD = optax.adam(0.1), optax.sgd(0.1)
TOO_FAST = optax.sgd(3e4)


@pytest.fixture(autouse=True)
def _as_a_user_has_it():
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam needs it
        yield


def gram(factor: float, scales: np.ndarray) -> np.ndarray:
    return factor * np.exp(-(((X[:, None] - X) / scales) ** 2).sum(-1) / 2)


def evidence(logs: np.ndarray) -> float:
    factor, first, second, noise = np.exp(logs)
    K = gram(factor, np.array([first, second])) + noise * np.eye(N)
    return -multivariate_normal(np.zeros(N), K).logpdf(Y) / N


def left_out(logs: np.ndarray) -> float:
    inverse = np.linalg.inv(gram(1.0, np.exp(logs[:2])) + np.exp(logs[2]) * np.eye(N))
    return float(np.mean((inverse @ Y / np.diag(inverse)) ** 2))


def test_it_finds_the_most_likely_hyperparameters():
    found = rf.tune(1.0 * rf.rbf([1.0, 1.0]), X, Y, noise=0.5, optimizer=ADAM, steps=250)
    best = minimize(evidence, np.log([1.0, 1.0, 1.0, 0.5]), method="BFGS")
    assert found.history.shape == (251,)
    assert found.history.dtype == found.noise.dtype == X.dtype
    assert not bool(found.diverged)
    assert int(found.steps) == 250
    np.testing.assert_allclose(found.history[0], evidence(np.log([1.0, 1.0, 1.0, 0.5])), rtol=1e-5)
    np.testing.assert_allclose(found.history[-1], best.fun, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.noise, np.exp(best.x[3]), rtol=0.02)
    np.testing.assert_allclose(found.model.kernel.length_scale[0], np.exp(best.x[1]), rtol=0.02)
    # The record is a kernel to go on with.
    again = -rf.log_marginal_likelihood(found.model, X, Y, noise=found.noise).value / N
    np.testing.assert_allclose(again, found.history[-1], rtol=1e-5)


@pytest.mark.slow
def test_it_finds_the_least_leave_one_out_error():
    found = rf.tune(rf.rbf([1.0, 1.0]), X, Y, noise=0.5, optimizer=ADAM, steps=250, objective="loo")
    best = minimize(left_out, np.log([1.0, 1.0, 0.5]), method="BFGS")
    path = rf.ridge_path(rf.rbf([1.0, 1.0]), X, Y, np.array([0.5]))
    np.testing.assert_allclose(found.history[0], path.loo[0], rtol=1e-10)
    np.testing.assert_allclose(found.history[-1], best.fun, rtol=5e-3)


@pytest.mark.slow
def test_subsets_noises_and_starts():
    noises, far = np.linspace(0.2, 0.4, N), Y + 3 * X[:, 1]
    found = rf.tune(
        rf.rbf(1.0), X, far, noise=noises, optimizer=ADAM, steps=100, subset=20, key=KEY, start=lambda X: 3 * X[:, 1]
    )
    assert found.noise.shape == (N,)
    np.testing.assert_allclose(found.noise / noises, float(found.noise[0] / noises[0]), rtol=1e-10)  # one factor

    def on_all(model, noise):
        return float(rf.log_marginal_likelihood(model, X, Y, noise=noise).value)

    assert on_all(found.model, found.noise) > on_all(rf.rbf(1.0), noises) + 1
    assert float(jnp.std(found.history[-10:])) > 0.01  # another subset in every step


def test_what_is_switched_off_stays_off():
    kernel = rf.polynomial(2, 0.5, 0.0)  # without a constant
    found = rf.tune(kernel, X, Y, noise=0.3, optimizer=SGD, steps=5)
    before, after = (np.array(jax.tree.leaves(k)) for k in (kernel, found.model))
    np.testing.assert_array_equal(before, [0.5, 0.0])
    assert after[0] > 0 and after[0] != before[0] and after[1] == 0
    assert float(found.history[-1]) < float(found.history[0])


def test_feature_maps_move_freely():
    phi = rf.features.Neurons(jnp.asarray(RNG.normal(size=(3, 2))), None, rf.activations.relu)
    found = rf.tune(phi, X, Y, noise=0.3, optimizer=optax.sgd(0.01), steps=5)
    assert float(found.history[-1]) < float(found.history[0])
    assert (np.asarray(found.model.weight) != np.asarray(phi.weight)).all()


def test_it_jits_and_vmaps():
    def tuned(noise):
        found = rf.tune(rf.rbf(1.0), X, Y, noise=noise, optimizer=SGD, steps=5)
        return found.history

    noises = jnp.asarray([0.2, 0.4])
    stacked = jax.jit(jax.vmap(tuned))(noises)
    np.testing.assert_allclose(stacked, [tuned(0.2), tuned(0.4)], rtol=1e-10)


def test_it_stops_at_the_step_where_it_fails_and_keeps_the_last_good():
    settings = {"noise": 0.5, "optimizer": TOO_FAST, "steps": 6}
    x, y = X.astype(np.float32), Y.astype(np.float32)
    with pytest.warns(RuntimeWarning, match=r"tuning stopped at step 0 of 6"):
        found = rf.tune(1.0 * rf.rbf([1.0, 1.0]), x, y, **settings)
    assert bool(found.diverged)
    assert int(found.steps) == 0
    assert found.history.dtype == found.noise.dtype == found.model.factor.dtype == np.float32
    assert np.isfinite(found.history[0]) and np.isnan(found.history[1:]).all()
    np.testing.assert_allclose(found.noise, 0.5)
    np.testing.assert_allclose(found.model.kernel.length_scale, 1.0)


def test_a_first_step_that_fails_names_a_noise():
    twice, y = np.concatenate([X[:15], X[:15]]).astype(np.float32), np.concatenate([Y[:15], Y[:15]]).astype(np.float32)
    with pytest.raises(ValueError, match=r"not positive definite in float32 .* noise=\S+ works"):
        rf.tune(1.0 * rf.rbf([1.0, 1.0]), twice, y, noise=1e-20, optimizer=TOO_FAST, steps=6)


def tune(model=None, X=X, y=Y, *, noise=0.1, optimizer=ADAM, steps=3, **settings):
    return rf.tune(
        rf.rbf(1.0) if model is None else model, X, y, noise=noise, optimizer=optimizer, steps=steps, **settings
    )


BAD = {
    "noise zero": (lambda: tune(noise=0.0), ValueError, "noise must be a finite number > 0.0"),
    "steps": (lambda: tune(steps=0), ValueError, "steps must be at least 1"),
    "optimizer": (lambda: tune(optimizer=optax.adam), TypeError, "optimizer must be an optax optimiser"),
    "objective": (lambda: tune(objective="map"), ValueError, "objective must be one of evidence, loo"),
    "subset": (lambda: tune(subset=31, key=KEY), ValueError, "subset must be at most the number of rows, 30, got 31"),
    "subset key": (lambda: tune(subset=3), ValueError, "key is required"),
    "loo of one": (lambda: tune(subset=1, key=KEY, objective="loo"), ValueError, "needs two points"),
    "y nan": (lambda: tune(y=Y * np.nan), ValueError, "y must be finite"),
    "model": (lambda: tune(np.dot), TypeError, "model must be a kernel or a feature map"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
