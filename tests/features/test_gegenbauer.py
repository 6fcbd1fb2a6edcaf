"""Gegenbauer features against the kernels they stand for, which are computed by layers and never by series."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy

import rfjax as rf
from rfjax.features import gegenbauer
from rfjax.features.directions import Directions
from rfjax.features.gegenbauer import _components, _radial
from rfjax.features.powers import TERMS, NoSeriesError, power_series

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(7, 3)) * np.exp(RNG.normal(size=(7, 1))))
KEY = jax.random.key(0)
NETWORK = rf.mlp(depth=2, width=1, b_std=0.3)
RESIDUAL = rf.Serial(
    rf.Dense(4, 1.2, 0.2),
    rf.Residual(rf.LayerNorm(0.1), rf.Activation(rf.activations.erf), rf.Dense(4, 1.1)),
    rf.Activation(rf.activations.erf),
    rf.Dense(1, 1.3, 0.1),
)


@pytest.fixture(scope="module")
def phi():
    return gegenbauer(rf.ntk(NETWORK), 3, 300, key=KEY)


def cosines(x):
    u = np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True)
    return u @ u.T


@pytest.mark.parametrize(
    ("kernel", "error"),
    [
        (rf.ntk(NETWORK), 3e-3),
        (rf.polynomial(3, 0.5, 2.0) * rf.angular() + 2.0 * rf.arc_cosine(2), 3e-3),
        pytest.param(rf.ntk(RESIDUAL), 1e-5, marks=pytest.mark.slow),
        pytest.param(rf.nngp(RESIDUAL), 1e-5, marks=pytest.mark.slow),
        pytest.param(rf.ntk(rf.mlp(depth=2, width=5, parameterization="standard", b_std=1.0)), 3e-3, marks=pytest.mark.slow),
        pytest.param(rf.kernels.Normalised(rf.ntk(rf.mlp(depth=1, width=1))), 3e-3, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_kernel_is_its_power_series(kernel, error):
    A = power_series(kernel, np.linalg.norm(X, axis=1), 3)
    assert A.min() > -1e-9 * A.max()
    series = (A * cosines(X) ** np.arange(TERMS)[:, None, None]).sum(axis=0)
    K = np.asarray(kernel(X))
    scale = np.sqrt(np.multiply.outer(np.diag(K), np.diag(K)))
    off = ~np.eye(len(K), dtype=bool)
    np.testing.assert_allclose((series / scale)[off], (K / scale)[off], rtol=0, atol=error)
    np.testing.assert_allclose(np.diag(series), np.diag(K), rtol=1e-5)


def test_the_kernel_is_approximated(phi):
    K = np.asarray(rf.ntk(NETWORK)(X))
    F = phi(X)
    assert F.shape == (7, 300)
    assert phi.exact
    off = np.abs(F @ F.T - K) / np.sqrt(np.multiply.outer(np.diag(K), np.diag(K)))
    assert np.quantile(off, 0.9) < 0.02
    assert off.max() < 0.1


@pytest.mark.parametrize("orthogonal", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_mean_is_the_kernel(monte_carlo, orthogonal):
    kernel = rf.polynomial(2, 0.5, 1.0)
    phi = gegenbauer(kernel, 3, 6, key=KEY, exact=False, draw="orthogonal" if orthogonal else "iid")
    assert phi.exact == ()
    law = np.full(phi.radial.shape[1], 1 / phi.radial.shape[1])
    assert len(law) > 1

    def again(key):
        one, other = jax.random.split(key)
        W = Directions.of(one, 6, 3, "orthogonal" if orthogonal else "iid", stored=True)
        component, weight = _components(other, law, 6)
        F = replace(phi, directions=W, component=component, weight=weight)._features(X)
        return F @ F.T

    K = np.asarray(kernel(X))
    scale = np.sqrt(np.multiply.outer(np.diag(K), np.diag(K)))
    monte_carlo(jax.jit(jax.vmap(again))(jax.random.split(KEY, 4000)) / scale, K / scale, resolution=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "apart"), [(rf.mlp(depth=5, width=1), 3e-4), (rf.mlp(depth=3, width=1, b_std=1.0), 5e-3)]
)
def test_what_is_left_out_is_as_little_as_stated(net, apart):
    d, kernel = 8, rf.ntk(net)
    radial, _ = _radial(kernel, d)
    r, c = np.array([0.3, 1.0, 1.3, 4.0]) * d**0.5, np.array([1, 0.9999, 0.999, 0.998, 0.97, 0.95, 0.5, 0, -0.95, -1])
    h = np.einsum(
        "mts,ns->mnt", radial, np.polynomial.chebyshev.chebvander(2 * r / (r + d**0.5) - 1, radial.shape[2] - 1)
    )
    P = [
        scipy.special.eval_gegenbauer(m, d / 2 - 1, c) / scipy.special.eval_gegenbauer(m, d / 2 - 1, 1)
        for m in range(65)
    ]
    mean = np.einsum("mit,mjt,mc->ijc", h, h, P)
    x, y = np.zeros((4, d)), np.zeros((4, len(c), d))
    x[:, 0], y[..., 0], y[..., 1] = r, np.outer(r, c), np.outer(r, np.sqrt(1 - c**2))
    root = np.sqrt(np.asarray(kernel.diag(x)))
    error = np.abs(np.asarray(kernel(x, y.reshape(-1, d))).reshape(mean.shape) / np.outer(root, root)[..., None] - mean)
    assert error[..., c <= 0.95].max() < apart
    assert error.max() < 0.02


def test_a_polynomial_is_exact_in_few_columns():
    kernel = rf.polynomial(3, 0.5, 1.0)
    phi = gegenbauer(kernel, 3, 60, key=KEY)
    assert phi.directions is None
    assert phi(X).shape[1] <= 60
    np.testing.assert_allclose(phi.kernel(X), kernel(X), rtol=0, atol=1e-3 * float(kernel.diag(X).max()))


@pytest.mark.parametrize("d", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_few_columns(d):
    x = X[:, :d]
    K = np.asarray(rf.arc_cosine(1)(x))
    F = gegenbauer(rf.arc_cosine(1), d, 200, key=KEY)(x)
    np.testing.assert_allclose(F @ F.T, K, rtol=0, atol=0.02 * K.max())


@pytest.mark.slow
def test_forgotten_neurons_are_the_same_neurons():
    stored, drawn = (gegenbauer(rf.arc_cosine(1), 3, 20, key=KEY, stored=s) for s in (True, False))
    assert drawn.directions.rows is None
    np.testing.assert_allclose(stored(X), drawn(X), rtol=0, atol=1e-12)


def test_gegenbauer_features_differentiate_at_zero_too():
    phi = gegenbauer(rf.arc_cosine(1), 3, 20, key=KEY)
    step = 1e-6 * np.array([[1.0, -2.0, 0.5]])
    points = jnp.concatenate([X[:1], X[:1] + step, X[:1] - step, jnp.zeros((1, 3))])
    values, slopes = jax.jit(lambda x: jax.jvp(phi._features, (x,), (jnp.broadcast_to(step / 1e-6, x.shape),)))(points)
    np.testing.assert_allclose(slopes[0], (values[1] - values[2]) / 2e-6, atol=1e-5)
    assert np.isfinite(slopes[3]).all()
    np.testing.assert_array_equal(values[3], 0)


@pytest.mark.slow
def test_gegenbauer_features_in_float32_and_backwards():
    phi = gegenbauer(rf.arc_cosine(1), 3, 20, key=KEY)
    single = phi(X.astype(jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, phi(X), rtol=0, atol=2e-5 * float(jnp.abs(X).max()))
    back = jax.jit(jax.grad(lambda x: phi._features(x).sum()))(X)
    _, along = jax.jvp(lambda x: phi._features(x).sum(), (X,), (jnp.ones_like(X),))
    np.testing.assert_allclose(back.sum(), along, rtol=1e-9)


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ({"kernel": rf.laplace()}, NoSeriesError, "Matern"),
        ({"kernel": rf.arc_cosine(1).on([0])}, NoSeriesError, "Restrict"),
        ({"kernel": rf.nngp(rf.Serial(rf.Dense(2), rf.Dropout(0.1), rf.Dense(1)))}, NoSeriesError, "Dropout"),
        ({"kernel": 1.0}, TypeError, "kernel must be"),
        ({"features": 0}, ValueError, "features"),
        ({"in_dim": 0}, ValueError, "in_dim"),
        ({"draw": "best"}, ValueError, "draw must be one of"),
        ({"key": None}, ValueError, "key is required"),
    ],
)
def test_bad_input(wrong, error, match):
    given = {"kernel": rf.arc_cosine(1), "in_dim": 3, "features": 5, "key": KEY} | wrong
    with pytest.raises(error, match=match):
        gegenbauer(**given)
