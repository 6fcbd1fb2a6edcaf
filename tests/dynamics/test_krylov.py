"""Gradient flow without the matrix, against SciPy's matrix exponential; its error bound; the critical step size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import rfjax as rf
from rfjax.dynamics.step_size import critical

TIMES = np.array([0.0, 3.0, 100.0, np.inf])


def exact(p, times):
    """f_t on the training points, from a start that is not zero."""
    begin = np.asarray(p.start(p.X))
    decays = [np.zeros((10, 10)) if np.isinf(t) else scipy.linalg.expm(-t / 10 * p.K) for t in times]
    return np.stack([p.Y + decay @ (begin - p.Y) for decay in decays])


@pytest.mark.slow
def test_full_rank_is_exact(p, no_gram):
    flow = rf.gradient_flow(p.kernel, p.X, p.Y, start=p.start, solver="lanczos")
    assert flow.eigenvalues.shape == (2, 10)  # the rank is at most n
    np.testing.assert_allclose(flow(TIMES), exact(p, TIMES), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(flow(0.0, p.Z), p.start(p.Z))
    decay = scipy.linalg.solve(p.K, (np.eye(10) - scipy.linalg.expm(-0.3 * p.K)) @ (p.Y - np.asarray(p.start(p.X))))
    np.testing.assert_allclose(flow(3.0, p.Z), np.asarray(p.start(p.Z)) + p.cross @ decay, rtol=0, atol=1e-12)


def test_the_error_is_a_bound_and_no_loose_one(p):
    flow = rf.gradient_flow(p.kernel, p.X, p.Y, start=p.start, solver="lanczos", rank=4, tolerance=1e3)
    times = np.array([3.0, 30.0, 300.0, np.inf])
    scale = np.linalg.norm(p.Y - np.asarray(p.start(p.X)), axis=0)
    error = (np.linalg.norm(flow(times) - exact(p, times), axis=1) / scale).max(axis=1)
    bound = np.asarray(flow.error(times))
    assert (error > 1e-9).all()
    assert (error <= bound * (1 + 1e-9)).all()
    assert (bound < 300 * error).all()
    assert (np.diff(bound) > 0).all()
    np.testing.assert_allclose(bound[-1], error[-1], rtol=1e-6)  # at ∞ it is the residual itself
    assert flow.error(3.0).shape == ()


def test_an_answer_beyond_the_tolerance_is_refused(p):
    flow = rf.gradient_flow(p.kernel, p.X, p.Y, start=p.start, solver="lanczos", rank=4)
    assert flow(0.5).shape == (10, 2)
    with pytest.raises(ValueError, match=r"rank=4 leaves a relative error of .* give a larger rank"):
        flow(300.0)


@pytest.mark.slow
def test_it_compiles_maps_and_keeps_float32(p):
    low = [a.astype(np.float32) for a in (p.X, p.Y, p.Z)]

    @jax.jit
    def value(y, t):
        return rf.gradient_flow(p.kernel, low[0], y, solver="lanczos", rank=8)(t, low[2])

    values = jax.vmap(value, (1, None), -1)(low[1], jnp.asarray(3.0, jnp.float32))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, rf.gradient_flow(p.kernel, p.X, p.Y)(3.0, p.Z), rtol=0, atol=2e-5)


def test_points_that_are_there_twice_are_met_in_the_mean(p, dtype):
    # Targets that no function meets: at ∞, conjugate gradients would run away along the null space of K.
    X, y = np.concatenate([p.X[:5]] * 2).astype(dtype), p.Y.astype(dtype)
    flow = rf.gradient_flow(p.kernel, X, y, solver="lanczos", rank=10)
    mean = np.concatenate([(p.Y[:5] + p.Y[5:]) / 2] * 2)
    assert float(flow.error(np.inf)) < 1e-4
    np.testing.assert_allclose(flow(np.inf), mean, rtol=0, atol=1e-3 if dtype == np.float32 else 1e-9)


def test_float32_has_its_small_eigenvalues_too(p):
    # Ritz values below eps·n·λ_max are no rounding yet; what is below eps·rank·λ_max and not an eigenvalue is owned up to.
    X = np.random.default_rng(2).normal(size=(300, 3))
    y, times = X[:, 0] ** 3, np.array([10.0, 1e3, 1e5, 1e7])
    values, vectors = np.linalg.eigh(p.gram(X, X))
    exact = y - (np.exp(-values * times[:, None] / 300) * (y @ vectors)) @ vectors.T
    flow = rf.gradient_flow(p.kernel, X.astype("f"), y.astype("f"), solver="lanczos", rank=10, tolerance=1.0)
    off = np.linalg.norm(np.asarray(flow(times)) - exact, axis=1) / np.linalg.norm(y)
    bound = np.asarray(flow.error(times))
    assert (off < bound + 3e-6).all()
    assert off[0] < 3e-6
    assert (bound[1:] < 1.5 * off[1:]).all()


def test_krylov_spaces_that_end_early(p):
    # One column of zeros, and one that is an eigenvector: spaces of dimension 0 and 1.
    values, vectors = scipy.linalg.eigh(p.K)
    y = np.stack([np.zeros(10), vectors[:, -1]], axis=1)
    flow = rf.gradient_flow(p.kernel, p.X, y, solver="lanczos", rank=5)
    expected = y * (1 - np.exp(-values[-1] * 2.0 / 10))
    np.testing.assert_allclose(flow(2.0), expected, rtol=0, atol=1e-13)
    assert float(flow.error(np.inf)) < 1e-12


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.8, False), (0.8, True)])
def test_at_the_critical_rate_a_root_is_on_the_circle(p, momentum, nesterov, no_gram):
    rate = float(rf.critical_learning_rate(p.kernel, p.X, momentum=momentum, nesterov=nesterov))

    def radius(rate):
        eta = rate * p.largest / 10
        companion = (
            [1, -(1 + momentum) * (1 - eta), momentum * (1 - eta)] if nesterov else [1, eta - 1 - momentum, momentum]
        )
        return np.abs(np.roots(companion)).max()

    np.testing.assert_allclose(radius(rate), 1, rtol=1e-9)
    assert radius(0.99 * rate) < 1 < radius(1.01 * rate)


@pytest.mark.slow
def test_the_critical_rate_of_other_models(p):
    X = np.random.default_rng(1).normal(size=(130, 3))
    flat = rf.matern(0.5, 0.01)  # eigenvalues that are all nearly one
    for dtype, tolerance in ((np.float64, 1e-8), (np.float32, 1e-4)):
        rate = rf.critical_learning_rate(flat, X.astype(dtype))
        assert rate.dtype == dtype
        np.testing.assert_allclose(rate, 260 / np.linalg.eigvalsh(np.asarray(flat(X)))[-1], rtol=tolerance)
    phi = rf.features.Neurons(jnp.asarray(p.X[:4]), None, rf.activations.relu)
    F = np.maximum(p.Z @ p.X[:4].T, 0)
    np.testing.assert_allclose(rf.critical_learning_rate(phi, p.Z), 8 / np.linalg.norm(F, 2) ** 2, rtol=1e-10)
    assert critical(jnp.asarray(0.0), 4, 0.5, False) == np.inf  # of a kernel that is zero


class _Distance(rf.Kernel):
    """‖x − y‖² + 1, which is no kernel."""

    def _evaluate(self, pairs):
        return pairs.squared_distance + 1.0


def test_a_kernel_that_is_none_is_named_with_an_eigenvalue():
    X = np.random.default_rng(0).normal(size=(12, 3))
    y, bad = X[:, 0], _Distance()
    for train in (
        lambda: rf.gradient_flow(bad, X, y),
        lambda: rf.gradient_flow(bad, X, y, solver="lanczos"),
        lambda: rf.gradient_descent(bad, X, y, learning_rate=0.1, solver="iterate"),
        lambda: rf.critical_learning_rate(bad, X),
    ):
        with pytest.raises(ValueError, match="not positive semi-definite at these points: the 12 x 12 matrix has"):
            train()


def test_bad_settings_raise(p):
    for settings, error, says in (
        ({"rank": 3}, ValueError, "belong to solver='lanczos'"),
        ({"tolerance": 0.1}, ValueError, "belong to solver='lanczos'"),
        ({"solver": "krylov"}, ValueError, "solver must be one of eigh, lanczos"),
        ({"solver": "lanczos", "rank": 0}, ValueError, "rank must be at least 1"),
        ({"solver": "lanczos", "tolerance": 0.0}, ValueError, "tolerance must be a finite number > 0"),
    ):
        with pytest.raises(error, match=says):
            rf.gradient_flow(p.kernel, p.X, p.Y, **settings)
    with pytest.raises(TypeError, match="model must be a kernel"):
        rf.critical_learning_rate(p.X, p.X)
    with pytest.raises(ValueError, match=r"momentum must be a finite number >= 0.0 and < 1.0"):
        rf.critical_learning_rate(p.kernel, p.X, momentum=1.5)
    with pytest.raises(ValueError, match="leave the range"):
        rf.critical_learning_rate(rf.polynomial(8), 1e40 * p.X)
