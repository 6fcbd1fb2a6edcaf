"""Features of polynomial and exponential kernels: their means in standard errors, and their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.features import arc_cosine_neurons, maclaurin, positive, tensor_sketch
from rfjax.features.laws import draw_weights
from rfjax.features.tensor_sketch import CountSketch

RNG = np.random.default_rng(0)
X = jnp.asarray(0.6 * RNG.normal(size=(5, 3)))
KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 3000)


@pytest.mark.parametrize(
    ("kernel", "make"),
    [
        (rf.polynomial(2, 0.5, 1.0), lambda k, key: tensor_sketch(k, 3, 16, key=key)),
        (rf.polynomial(2, 0.5, 1.0), lambda k, key: maclaurin(k, 3, 16, key=key)),
        (rf.exponential(0.5), lambda k, key: positive(k, 3, 16, key=key)),
        (rf.arc_cosine(2), lambda k, key: arc_cosine_neurons(2, 3, 16, key=key)),
        pytest.param(rf.exponential(0.5), lambda k, key: maclaurin(k, 3, 16, key=key), marks=pytest.mark.slow),
        pytest.param(
            rf.exponential(0.5), lambda k, key: positive(k, 3, 16, key=key, draw="iid"), marks=pytest.mark.slow
        ),
    ],
)
def test_the_mean_is_the_kernel(monte_carlo, kernel, make):
    def once(key):
        F = make(kernel, key)._features(X)
        return F @ F.T

    K = np.asarray(kernel(X))
    scale = np.sqrt(np.multiply.outer(np.diag(K), np.diag(K)))
    draws = np.asarray(jax.jit(jax.vmap(once))(KEYS)) / scale
    fixed = draws.std(axis=0) < 1e-12  # some entries have no noise at all: every neuron sees ⟨w, x⟩⁰
    np.testing.assert_allclose(draws.mean(axis=0)[fixed], (K / scale)[fixed], atol=1e-9)
    monte_carlo(draws[:, ~fixed], (K / scale)[~fixed], resolution=0.06)


def test_positive_features_are_positive_and_vary_as_stated():
    kernel, short = rf.exponential(0.5), X / 3  # where the law has few outliers
    F = jax.vmap(lambda key: positive(kernel, 3, 2, key=key, draw="iid")._features(short))(KEYS)
    assert F.min() > 0
    entries = np.asarray(jnp.einsum("snp,smp->snm", F, F))
    x, K = np.asarray(short), np.asarray(kernel(short))
    stated = K**2 * (np.cosh(0.5 * ((x[:, None] + x) ** 2).sum(-1)) - 1)
    np.testing.assert_allclose(entries.var(axis=0), stated, rtol=0.4)


def test_a_count_sketch_is_its_matrix():
    sketch = CountSketch.draw(KEY, 9, 4)
    S = np.zeros((9, 4))
    S[np.arange(9), sketch.places] = sketch.signs
    F = RNG.normal(size=(6, 9))
    np.testing.assert_allclose(sketch(jnp.asarray(F)), F @ S, atol=1e-12)


def test_orthogonal_weights_are_at_right_angles_and_of_their_law():
    W = draw_weights("sphere", KEY, 7, 4, "orthogonal")
    np.testing.assert_allclose(W[:4] @ W[:4].T, np.eye(4), atol=1e-12)
    G = draw_weights("gaussian", KEY, 4000, 4, "orthogonal")
    np.testing.assert_allclose((G**2).sum(axis=1).mean(), 1.0, atol=4.5 * np.sqrt(2 / 4 / 4000))
    np.testing.assert_allclose((G[:, 0] ** 4).mean() * 16, 3.0, atol=0.6)  # Gaussian columns


@pytest.mark.slow
def test_quasi_random_neurons_have_the_kernel_as_their_mean(monte_carlo):
    def neurons(key, weights):
        F = rf.random_neurons(3, 7, key=key, weights=weights, bias=rf.features.Zero(), draw="sobol")(X[:3])
        return F @ F.T

    K = np.asarray(rf.arc_cosine(1)(X[:3])) / 2  # E [⟨w, x⟩]₊[⟨w, y⟩]₊ for w ~ N(0, I)
    for weights in ("gaussian", "sphere"):
        monte_carlo([neurons(key, weights) for key in KEYS[:150]], K / 3, resolution=0.08)


@pytest.mark.slow
def test_orthogonal_neurons_err_less():
    kernel = rf.arc_cosine(1)
    x, K = X[:, :], kernel(X)

    def error(key, draw):
        F = arc_cosine_neurons(1, 3, 12, key=key, draw=draw)._features(x)
        return ((F @ F.T - K) ** 2).mean()

    one, other = (jax.vmap(lambda k, d=d: error(k, d))(KEYS[:1000]) for d in ("orthogonal", "iid"))
    assert one.mean() + 3 * one.std() / 1000**0.5 < other.mean()
    quasi = np.array([error(key, "sobol") for key in KEYS[:100]])
    assert quasi.mean() + 3 * quasi.std() / 100**0.5 < other.mean()


@pytest.mark.parametrize(
    "make",
    [
        lambda: tensor_sketch(rf.polynomial(3), 3, 8, key=KEY),
        pytest.param(lambda: maclaurin(rf.exponential(0.5), 3, 8, key=KEY), marks=pytest.mark.slow),
        pytest.param(lambda: positive(rf.exponential(0.5), 3, 8, key=KEY), marks=pytest.mark.slow),
    ],
)
def test_dtype_follows_the_input(make):
    phi = make()
    single = phi(X.astype(jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, phi(X), rtol=0, atol=1e-4)


def test_the_exponential_kernel():
    x = np.asarray(X)
    np.testing.assert_allclose(rf.exponential(0.5)(X), np.exp(0.5 * x @ x.T), rtol=1e-12)
    with pytest.raises(ValueError, match="scale"):
        rf.exponential(0.0)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: tensor_sketch(rf.rbf(), 3, 8, key=KEY), TypeError, "rf.polynomial, got RBF"),
        (lambda: maclaurin(rf.rbf(), 3, 8, key=KEY), TypeError, "got RBF"),
        (lambda: positive(rf.rbf(), 3, 8, key=KEY), TypeError, "got RBF"),
        (lambda: positive(rf.exponential(), 3, 7, key=KEY), ValueError, "features must be even"),
        (lambda: tensor_sketch(rf.polynomial(2), 3, 0, key=KEY), ValueError, "features"),
        (lambda: arc_cosine_neurons(-1, 3, 8, key=KEY), ValueError, "order"),
        (
            lambda: arc_cosine_neurons(1, 3, 8, key=KEY, draw="halton"),
            ValueError,
            "draw must be one of iid, orthogonal",
        ),
        (
            lambda: positive(rf.exponential(), 3, 8, key=KEY, draw=True),
            ValueError,
            "draw must be one of iid, orthogonal",
        ),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()
