"""Derivatives of kernels, in the points and in the hyperparameters, also where points coincide or vanish.

The reference differentiates 60-digit arithmetic by central differences: where a kernel has a cusp (an NTK at x = ±y),
that is the mean of its one-sided derivatives.
"""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from rfjax import activations
from rfjax.kernels import InfiniteWidth, polynomial, rbf
from rfjax.networks import mlp

Y = np.array([0.8, -0.5, 1.1])
POINTS = {"elsewhere": np.array([0.3, 1.0, 0.2]), "x = y": Y, "x = -y": -Y, "x = 2y": 2 * Y, "x = 0": 0 * Y}
X = np.stack(list(POINTS.values()))
NETWORKS = {"relu": (1, 1.2, 0.3), "erf": (1, 1.5, 0.4)}


def build(name, w_std, b_std, reading):
    return InfiniteWidth(
        mlp(depth=1, width=1, activation=getattr(activations, name), w_std=w_std, b_std=b_std), reading
    )


@jax.jit
def gradients(kernel, X, Y):
    """∂k(x_i, y_i)/∂x_i and ∂k(x_i, y_i)/∂y_i, for rows of X and of Y alone with each other."""
    return jax.vmap(jax.grad(lambda x, y: kernel(x[None], y[None])[0, 0], argnums=(0, 1)))(X, Y)


@pytest.fixture(scope="module", params=[("relu", "nngp"), ("relu", "ntk"), ("erf", "nngp")], ids="-".join)
def network_gradient(request):
    name, reading = request.param
    _, w_std, b_std = NETWORKS[name]
    by_x, by_y = gradients(build(name, w_std, b_std, reading), X, np.broadcast_to(Y, X.shape))
    return name, reading, np.asarray(by_x), np.asarray(by_y)


@pytest.mark.parametrize("where", POINTS)
def test_in_the_points(network_gradient, where, mp_kernels):
    name, reading, by_x, by_y = network_gradient
    i, which = list(POINTS).index(where), ("nngp", "ntk").index(reading)
    h = mp.mpf(10) ** -20

    def moved(side: int, axis: int, amount: mp.mpf) -> mp.mpf:
        points = [[mp.mpf(v) for v in X[i]], [mp.mpf(v) for v in Y]]
        points[side][axis] += amount
        return mp_kernels(*points, name, *NETWORKS[name])[which]

    with mp.workdps(60):
        exact = [[float((moved(s, a, h) - moved(s, a, -h)) / (2 * h)) for a in range(3)] for s in (0, 1)]
    np.testing.assert_allclose(by_x[i], exact[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(by_y[i], exact[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("where", POINTS)
@pytest.mark.parametrize(
    ("kernel", "by_x"),
    [
        (rbf(1.3), lambda x, y: (y - x) / 1.3**2 * np.exp(-np.sum((x - y) ** 2) / (2 * 1.3**2))),
        (polynomial(3, 0.5, 1.0), lambda x, y: 3 * (0.5 * x @ y + 1) ** 2 * 0.5 * y),
    ],
    ids=["rbf", "polynomial"],
)
def test_classical_kernels_in_the_points(kernel, by_x, where):
    i = list(POINTS).index(where)
    computed = gradients(kernel, X, np.broadcast_to(Y, X.shape))
    np.testing.assert_allclose(computed[0][i], by_x(X[i], Y), rtol=0, atol=1e-13)
    np.testing.assert_allclose(computed[1][i], by_x(Y, X[i]), rtol=0, atol=1e-13)


def test_rbf_at_a_point_that_is_the_mean_of_the_others():
    # Distances are taken from the mean of Y, whose own derivative must not be lost when a point lies on it.
    others = np.array([[1.0, 2.0, 0.0], [-1.0, 0.5, 1.0], [0.0, 1.25, 0.5]])
    k = rbf(1.3)
    weights = np.array([[1.0, -2.0, 0.5]])
    x = np.array([[0.5, 1.0, -0.3]])
    by_x, by_others = jax.jit(jax.grad(lambda x, y: jnp.sum(weights * k(x, y)), argnums=(0, 1)))(x, others)
    value = np.exp(-np.sum((x - others) ** 2, axis=1) / (2 * 1.3**2))[:, None] * weights.T
    np.testing.assert_allclose(by_others, (x - others) / 1.3**2 * value, rtol=0, atol=1e-14)
    np.testing.assert_allclose(by_x[0], np.sum((others - x) / 1.3**2 * value, axis=0), rtol=0, atol=1e-14)


@pytest.mark.slow
def test_gram_matrices_of_degenerate_points_have_finite_gradients():
    points = np.concatenate([X, X[:1] * (1 + 1e-6)]).astype(
        np.float32
    )  # equal, opposite, collinear, zero, nearly equal
    k = InfiniteWidth(mlp(depth=1, width=1), "ntk")
    slopes = jax.jit(jax.grad(lambda z: jnp.sum(k(z))))(points)
    assert slopes.dtype == np.float32
    assert np.isfinite(slopes).all()


def test_in_the_stds(mp_kernels):
    def entries(w_std, b_std):
        return build("relu", w_std, b_std, "ntk")(X[:2], Y[None])[:, 0]

    values, (by_w, by_b) = jax.jit(lambda w, b: (entries(w, b), jax.jacfwd(entries, argnums=(0, 1))(w, b)))(1.2, 0.3)
    with mp.workdps(60):
        w, b, h = mp.mpf(1.2), mp.mpf(0.3), mp.mpf(10) ** -20
        for i in range(2):
            at, *moved = (
                mp_kernels(X[i], Y, "relu", 1, *stds)[1]
                for stds in ((w, b), (w + h, b), (w - h, b), (w, b + h), (w, b - h))
            )
            exact = [at, (moved[0] - moved[1]) / (2 * h), (moved[2] - moved[3]) / (2 * h)]
            np.testing.assert_allclose([values[i], by_w[i], by_b[i]], [float(v) for v in exact], rtol=1e-12)


def test_a_vmap_over_stds_is_the_kernels_one_by_one(mp_kernels):
    stds = np.array([0.5, 1.0, 1.7])
    together = jax.jit(jax.vmap(lambda w: build("relu", w, 0.3, "ntk")(X[:2], Y[None])))(stds)
    exact = [[float(mp_kernels(x, Y, "relu", 1, w, 0.3)[1]) for x in X[:2]] for w in stds]
    np.testing.assert_allclose(together[:, :, 0], exact, rtol=1e-12)


def test_in_the_length_scale_and_a_factor():
    distance = np.sum((X - Y) ** 2, axis=1)
    by_length, by_factor = jax.jit(
        jax.jacfwd(lambda length, factor: (factor * rbf(length))(X, Y[None])[:, 0], argnums=(0, 1))
    )(1.3, 2.0)
    value = np.exp(-distance / (2 * 1.3**2))
    np.testing.assert_allclose(by_length, 2 * value * distance / 1.3**3, rtol=1e-12)
    np.testing.assert_allclose(by_factor, value, rtol=1e-12)
