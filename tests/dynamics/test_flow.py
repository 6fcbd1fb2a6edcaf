"""Kernel gradient flow against an ODE solver and SciPy's matrix exponential."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

import rfjax as rf

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(10, 3)), RNG.normal(size=(4, 3))
Y = RNG.normal(size=(10, 2))
KERNEL = rf.rbf(1.5)
TIMES = np.array([0.0, 0.5, 5.0, 50.0])
STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_draws_whatever_ran_before():
    RNG.bit_generator.state = STATE


def gram(A, B):
    return np.exp(-((A[:, None] - B) ** 2).sum(-1) / (2 * 1.5**2))


def start(X):
    return jnp.stack([X[:, 0], X[:, 1] ** 2], axis=1)


def solve(y, start_values, test_start) -> tuple[np.ndarray, np.ndarray]:
    """f on X and on Z at TIMES, by integrating df/dt = −K(f − y)/n."""
    K = np.concatenate([gram(X, X), gram(Z, X)])
    n, shape = len(X), (len(X) + len(Z), *y.shape[1:])

    def velocity(t, flat):
        return -(K @ (flat.reshape(shape)[:n] - y) / n).ravel()

    begin = np.concatenate([start_values, test_start]).ravel()
    path = scipy.integrate.solve_ivp(velocity, (0, TIMES[-1]), begin, "DOP853", TIMES, rtol=1e-11, atol=1e-12).y.T
    path = path.reshape(len(TIMES), *shape)
    return path[:, :n], path[:, n:]


@pytest.fixture(scope="module")
def flow() -> rf.GradientFlow:
    return rf.gradient_flow(KERNEL, X, Y, start=start)


def test_it_solves_the_differential_equation(flow):
    on_train, on_test = solve(Y, np.asarray(start(X)), np.asarray(start(Z)))
    np.testing.assert_allclose(flow(TIMES), on_train, rtol=0, atol=1e-9)
    np.testing.assert_allclose(flow(TIMES, Z), on_test, rtol=0, atol=1e-9)
    # The record: eigenvalues in ascending order, and the residuals at the start in their basis.
    np.testing.assert_allclose(flow.eigenvalues, scipy.linalg.eigvalsh(gram(X, X)), rtol=0, atol=1e-13)
    np.testing.assert_allclose(flow.eigenvectors @ flow.projections, Y - np.asarray(start(X)), rtol=0, atol=1e-13)


def test_it_is_the_matrix_exponential(flow):
    decay = scipy.linalg.expm(-7.0 * gram(X, X) / 10)
    expected = Y + decay @ (np.asarray(start(X)) - Y)
    np.testing.assert_allclose(flow(7.0), expected, rtol=0, atol=1e-12)


def test_it_starts_at_the_start_and_ends_at_the_interpolant(flow):
    np.testing.assert_array_equal(flow(0, Z), start(Z))
    np.testing.assert_allclose(flow(jnp.inf), Y, rtol=0, atol=1e-11)
    ridgeless = np.asarray(start(Z)) + gram(Z, X) @ scipy.linalg.solve(gram(X, X), Y - np.asarray(start(X)))
    np.testing.assert_allclose(flow(jnp.inf, Z), ridgeless, rtol=0, atol=1e-10)
    np.testing.assert_allclose(flow(1e9, Z), ridgeless, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(10,), (10, 1), (10, 2)])
def test_shapes_are_times_points_and_the_trailing_shape_of_y(shape, flow):
    one = rf.gradient_flow(KERNEL, X, Y[:, : np.prod(shape[1:], dtype=int)].reshape(shape))
    trailing = shape[1:]
    assert one(3.0, Z).shape == (4, *trailing)
    assert one(TIMES, Z).shape == (4, 4, *trailing)
    assert one(TIMES[:2]).shape == (2, 10, *trailing)
    np.testing.assert_allclose(one(TIMES, Z)[1], one(TIMES[1], Z), rtol=0, atol=1e-14)
    zero_start = solve(Y, np.zeros((10, 2)), np.zeros((4, 2)))[1].reshape(4, 4, 2)
    expected = zero_start if trailing == (2,) else zero_start[..., 0]
    np.testing.assert_allclose(np.asarray(one(TIMES, Z)).reshape(expected.shape), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("y", [Y[:, 0], Y[:, :1]])
def test_a_start_with_one_output_takes_the_shape_of_y(y):
    for one in (lambda X: X[:, 0], lambda X: X[:, :1]):
        values = rf.gradient_flow(KERNEL, X, y, start=one)(0.0, Z)
        np.testing.assert_array_equal(values, Z[:, 0].reshape(4, *y.shape[1:]))
    with pytest.raises(ValueError, match="start"):
        rf.gradient_flow(KERNEL, X, y, start=start)


def test_directions_without_eigenvalue_stay_where_they_are():
    # Four features for ten points: the flow moves in their span alone, to the least-squares fit.
    phi = rf.features.Neurons(jnp.asarray(RNG.normal(size=(4, 3))), None, rf.activations.relu)
    F, G = (np.maximum(x @ np.asarray(phi.weight).T, 0) for x in (X, Z))
    flow = rf.gradient_flow(phi, X, Y, start=start)
    # in features: du/dt = −Fᵀ(Fu + start − y)/n from u = 0
    values, vectors = scipy.linalg.eigh(F.T @ F)
    for t in (0.7, 1e6, np.inf):
        gain = (1 - np.exp(-values * t / 10)) / values
        u = vectors @ (gain[:, None] * (vectors.T @ F.T @ (Y - np.asarray(start(X)))))
        np.testing.assert_allclose(flow(t, Z), np.asarray(start(Z)) + G @ u, rtol=0, atol=1e-11)


def test_float32_stays_float32(flow):
    low = rf.gradient_flow(KERNEL, X.astype(np.float32), Y.astype(np.float32), start=start)
    values = low(np.float32(5.0), Z.astype(np.float32))
    assert values.dtype == low.eigenvalues.dtype == np.float32
    np.testing.assert_allclose(values, flow(5.0, Z), rtol=0, atol=2e-5)
    assert low(jnp.inf).dtype == np.float32


def test_it_compiles_maps_and_differentiates(flow):
    @jax.jit
    def speed(t, y):
        def value(t):
            return rf.gradient_flow(KERNEL, X, y, start=start)(t)

        return jax.jvp(value, (t,), (jnp.ones_like(t),))

    value, change = speed(jnp.asarray(0.5), Y)
    np.testing.assert_allclose(value, flow(0.5), rtol=0, atol=1e-12)
    np.testing.assert_allclose(change, -gram(X, X) @ (np.asarray(value) - Y) / 10, rtol=0, atol=1e-12)
    through = jax.jit(lambda flow, t: flow(t, Z))(flow, TIMES)
    np.testing.assert_allclose(through, flow(TIMES, Z), rtol=0, atol=1e-13)
    several = jax.vmap(lambda y: rf.gradient_flow(KERNEL, X, y)(0.5))(Y.T)
    np.testing.assert_allclose(several.T, Y - scipy.linalg.expm(-0.05 * gram(X, X)) @ Y, rtol=0, atol=1e-12)
