"""The views agree where theory says that they must: exact equalities to rounding, limits by their rate in width.

A network of finite width is random, so that a limit is tested two ways: its mean in standard errors, and the slope of
its root mean square deviation in width, both two-sided.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.linalg
import scipy.stats

import rfjax as rf

D, N = 3, 8  # input columns, training points
RNG = np.random.default_rng(0)
X, Z = jnp.asarray(RNG.normal(size=(N, D))), jnp.asarray(RNG.normal(size=(5, D)))
XZ = jnp.concatenate([X, Z])
Y, Y2 = RNG.normal(size=N), RNG.normal(size=(N, 2))
STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_draws_whatever_ran_before():
    RNG.bit_generator.state = STATE


def draw(net, *seeds: int):
    """Standard normal parameters, with leading axes `seeds`, from NumPy: drawing them in JAX compiles for each shape."""
    shapes = jax.eval_shape(lambda key: net.init(key, D), jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=(*seeds, *leaf.shape))), shapes)


def neurons(count: int) -> rf.features.Neurons:
    # None of them dead on all the points, as a ReLU can be.
    return rf.features.Neurons(
        *map(jnp.asarray, (RNG.normal(size=(count, D)), RNG.normal(size=count))), rf.activations.abs
    )


def slope(widths, errors) -> float:
    """The power of the width that fits the errors."""
    return float(np.polyfit(np.log(widths), np.log(errors), 1)[0])


WIDTHS = (32, 128, 512)


@pytest.mark.parametrize("depth", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_finite_kernels_go_to_their_limits_as_the_root_of_the_width(depth, monte_carlo):
    nets = [rf.mlp(depth=depth, width=width, w_std=1.3, b_std=0.4) for width in WIDTHS]
    limits = [np.asarray(limit(nets[0])(X, Z)) for limit in (rf.nngp, rf.ntk)]

    def finite(net):
        def both(p, X, Z):
            return rf.random_features(net, params=p).kernel(X, Z), rf.empirical_ntk(net, p)(X, Z)

        return jax.jit(jax.vmap(both, (0, None, None)))(draw(net, 150 if depth == 1 else 80), X, Z)

    for limit, *grams in zip(limits, *map(finite, nets), strict=True):
        if depth == 1:  # the mean over weights is the limit itself, at any width; deeper it is off by O(1/width)
            for draws in grams:
                monte_carlo(draws, limit, resolution=0.06)
        rms = [np.sqrt(((np.asarray(draws) - limit) ** 2).mean()) / np.abs(limit).max() for draws in grams]
        assert -0.58 < slope(WIDTHS, rms) < -0.42
        assert rms[-1] < 0.2


@pytest.mark.parametrize("parameterization", ["ntk", "standard", "mean_field"])
def test_tangent_features_are_the_factor_of_the_empirical_ntk(parameterization):
    net = rf.mlp(depth=2, width=6, b_std=0.4, out=3, parameterization=parameterization)
    params = draw(net)
    psi, k = np.asarray(rf.tangent_features(net, params)(XZ)), rf.empirical_ntk(net, params)
    np.testing.assert_allclose(k(XZ), psi @ psi.T, rtol=0, atol=1e-13 * np.abs(psi @ psi.T).max())


# --- training the tangent model -------------------------------------------------------------------------------------

NET = rf.mlp(depth=2, width=6, activation=jnp.tanh, b_std=0.4)
PARAMS = draw(NET)
LINEAR = rf.linearize(NET, PARAMS)


network_at_start = jax.jit(partial(NET.apply, PARAMS))


@pytest.fixture(scope="module")
def tangent():
    """K on the training points, K from test to training points and the start, by forward-mode AD and NumPy alone."""
    jacobian = jax.jit(jax.jacfwd(NET.apply))(PARAMS, XZ)
    J = np.concatenate([np.asarray(leaf).reshape(len(XZ), -1) for leaf in jax.tree.leaves(jacobian)], axis=1)
    start = np.asarray(network_at_start(XZ))[:, 0]
    return J[:N] @ J[:N].T, J[N:] @ J[:N].T, start[:N], start[N:]


def descend(K, cross, start, test_start, y, step, steps):
    """Gradient descent on ½·mean(f − y)² in function space: residuals shrink by 1 − step·λ/n, at X and at Z."""
    values, vectors = scipy.linalg.eigh(K)
    shrunk = (1 - step * values / len(y)) ** steps
    change = vectors @ ((1 - shrunk) / values * (vectors.T @ (y - start)))
    return start + K @ change, test_start + cross @ change


@pytest.fixture(scope="module")
def trained() -> rf.Run:
    """The tangent model after 100 full-batch steps of 0.02."""
    return rf.train(LINEAR, (X, Y), optimizer=optax.sgd(0.02), steps=100, params=PARAMS, record=[1, 7])


def test_gradient_descent_on_the_tangent_model_is_its_closed_form(tangent, trained):
    for at, loss in zip(trained.history.steps, trained.history.loss, strict=True):
        fitted, _ = descend(*tangent, Y, 0.02, int(at))
        assert float(loss) == pytest.approx(((fitted - Y) ** 2).mean() / 2, rel=1e-10)
    np.testing.assert_allclose(trained(Z), descend(*tangent, Y, 0.02, 100)[1], rtol=0, atol=1e-11)


def test_several_outputs_need_the_full_kernel():
    net = rf.mlp(depth=1, width=6, activation=jnp.tanh, b_std=0.4, out=2)
    params = draw(net)
    K = np.asarray(rf.empirical_ntk(net, params, outputs="full")(XZ))
    start = np.asarray(net.apply(params, XZ)).ravel()
    step = N / float(scipy.linalg.eigvalsh(K)[-1])
    run = rf.train(
        rf.linearize(net, params), (X, Y2), optimizer=optax.sgd(step), steps=30, params=params, record=[1, 7]
    )
    k = 2 * N  # rows (x, output); the loss averages over the points, not the outputs
    values, vectors = scipy.linalg.eigh(K[:k, :k])
    change = vectors @ ((1 - (1 - step * values / N) ** 30) / values * (vectors.T @ (Y2.ravel() - start[:k])))
    np.testing.assert_allclose(run(Z), (start[k:] + K[k:, :k] @ change).reshape(-1, 2), rtol=0, atol=1e-11)


def test_gradient_flow_on_the_tangent_model_is_kernel_gradient_flow(tangent, trained):
    K, cross, start, test_start = tangent
    times = np.array([0.0, 0.3, 2.0, 10.0])
    flow = rf.gradient_flow(rf.empirical_ntk(NET, PARAMS), X, Y, start=network_at_start)

    def velocity(t, f):
        return -np.concatenate([K, cross]) @ (f[:N] - Y) / N

    ode = scipy.integrate.solve_ivp(
        velocity, (0, times[-1]), np.concatenate([start, test_start]), "DOP853", times, rtol=1e-11, atol=1e-12
    ).y.T
    np.testing.assert_allclose(flow(times), ode[:, :N], rtol=0, atol=1e-9)
    np.testing.assert_allclose(flow(times, Z), ode[:, N:], rtol=0, atol=1e-9)
    psi = rf.gradient_flow(rf.tangent_features(NET, PARAMS), X, Y, start=network_at_start)
    np.testing.assert_allclose(psi(times, Z), ode[:, N:], rtol=0, atol=1e-9)
    # Small steps are near it, off by half a step: a second-order start to the difference of their closed forms.
    values, vectors = scipy.linalg.eigh(K)
    lag = 0.02 / 2 * 2.0 * vectors @ ((values / N) ** 2 * np.exp(-2.0 * values / N) * (vectors.T @ (Y - start)))
    np.testing.assert_allclose(trained(X) - ode[2, :N], lag, rtol=0, atol=0.05 * np.abs(lag).max())


def test_the_flow_ends_at_the_minimum_norm_fit(tangent):
    K, cross, start, test_start = tangent
    flow = rf.gradient_flow(rf.empirical_ntk(NET, PARAMS), X, Y, start=network_at_start)
    ridgeless = test_start + cross @ scipy.linalg.solve(K, Y - start, assume_a="pos")
    np.testing.assert_allclose(flow(jnp.inf, Z), ridgeless, rtol=0, atol=1e-9)
    np.testing.assert_allclose(flow(jnp.inf), Y, rtol=0, atol=1e-10)
    fit = rf.ridge_regression(rf.empirical_ntk(NET, PARAMS), X, Y, ridge=0.0, start=network_at_start)
    np.testing.assert_allclose(fit(Z), ridgeless, rtol=0, atol=1e-9)
    # In parameters: of all tangent models that interpolate, the one nearest to the start.
    psi = rf.tangent_features(NET, PARAMS)
    nearest = np.linalg.pinv(np.asarray(psi(X))) @ (Y - start)
    fit = rf.ridge_regression(psi, X, Y, ridge=0.0, start=network_at_start)
    np.testing.assert_allclose(fit.coefficients, nearest, rtol=0, atol=1e-9)


def test_the_flow_ends_at_the_least_squares_fit_when_features_are_few():
    phi = neurons(5)
    limit = np.asarray(phi(Z)) @ np.linalg.lstsq(np.asarray(phi(X)), Y)[0]
    np.testing.assert_allclose(rf.gradient_flow(phi, X, Y)(jnp.inf, Z), limit, rtol=0, atol=1e-9)
    np.testing.assert_allclose(rf.ridge_regression(phi, X, Y, ridge=0.0)(Z), limit, rtol=0, atol=1e-9)


@pytest.mark.parametrize("count", [5, 20])
def test_primal_and_dual_ridge_are_one_predictor(count):
    phi = neurons(count)
    primal, dual = (rf.ridge_regression(model, X, Y, ridge=0.01) for model in (phi, phi.kernel))
    assert (primal.stats.form, dual.stats.form) == ("primal" if count <= N else "dual", "dual")
    F, G = np.asarray(phi(X)), np.asarray(phi(Z))
    in_features = G @ scipy.linalg.solve(F.T @ F + 0.01 * np.eye(count), F.T @ Y)
    in_points = G @ F.T @ scipy.linalg.solve(F @ F.T + 0.01 * np.eye(N), Y)
    for values in (in_features, in_points, dual(Z)):
        np.testing.assert_allclose(primal(Z), values, rtol=0, atol=1e-11)


@pytest.mark.slow
def test_trained_networks_go_to_their_linearisation_as_they_widen():
    widths, steps, keys, optimizer = (64, 256, 1024), 150, jax.random.split(jax.random.key(0), 10), optax.sgd(1.0)
    gaps, moved = [], []
    for width in widths:
        net = rf.mlp(depth=1, width=width, activation=jnp.tanh)
        params = draw(net, len(keys))
        run = rf.train(net, (X, Y), optimizer=optimizer, steps=steps, params=params, key=keys, record=steps)
        at_start = jax.jit(
            jax.vmap(lambda p, X, net=net: (net.apply(p, X)[:, 0], rf.empirical_ntk(net, p)(X)), (0, None))
        )
        start, K = (np.asarray(value) for value in at_start(params, XZ))
        linear = [
            descend(k[:N, :N], k[N:, :N], f[:N], f[N:], Y, 1.0, steps)[1] - f[N:] for f, k in zip(start, K, strict=True)
        ]
        start = start[:, N:]
        gap = np.sqrt(((np.asarray(run(Z)) - start - np.stack(linear)) ** 2).mean(axis=1))
        gaps.append(np.exp(np.log(gap).mean()))  # over seeds: a few start far from where they end
        moved.append(np.sqrt((np.stack(linear) ** 2).mean()))
    assert -1.3 < slope(widths, gaps) < -0.5
    assert gaps[-1] < 0.2 * moved[-1]  # near the linearisation, far from the start


# --- what fixed features cannot learn -------------------------------------------------------------------------------

DIRECTIONS = np.random.default_rng(1).normal(size=(40, 5))
TASKS = [rf.tasks.single_neuron(5, bias=-1.0, direction=direction) for direction in DIRECTIONS]


def above_the_bound(risks, count: int, most: float) -> None:
    """The mean over directions is at least the bound, within its standard error, and the bound is worth having."""
    mean, stderr, bound = np.mean(risks), scipy.stats.sem(risks), float(rf.theory.risk_lower_bound(TASKS[0], count))
    assert stderr < 0.15 * bound
    assert bound - 4 * stderr < mean < most * bound


def test_random_features_obey_the_lower_bound():
    risks = []
    for seed, task in enumerate(TASKS):
        fit = rf.population_regression(rf.random_neurons(5, 16, key=jax.random.key(seed)), task, ridge=1e-9)
        risks.append(float(rf.population_risk(fit, task).relative))
    above_the_bound(risks, 16, most=2.5)


@pytest.mark.slow
def test_kernels_obey_the_lower_bound_of_their_samples():
    risks = []
    for seed, task in enumerate(TASKS):
        points = np.random.default_rng(seed).normal(size=(12, 5))
        fit = rf.ridge_regression(rf.rbf(3.0), points, task(points), ridge=1e-2)
        risks.append(float(rf.population_risk(fit, task, key=jax.random.key(seed), samples=2048).relative))
    above_the_bound(risks, 12, most=4.0)
