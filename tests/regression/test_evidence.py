"""The log marginal likelihood against SciPy's multivariate normal density, and estimated without the matrix."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import rfjax as rf

RNG = np.random.default_rng(0)
N = 40
X = RNG.normal(size=(N, 3))
Y = RNG.normal(size=(N, 2))
NOISES = RNG.uniform(0.1, 0.5, size=N)
KEY = jax.random.key(0)
MEAN = {"zero": None, "linear": lambda X: X[:, :2]}


def gram(scale: float, X: np.ndarray = X) -> np.ndarray:
    return np.exp(-((X[:, None] - X) ** 2).sum(-1) / (2 * scale**2))


def density(y: np.ndarray, noise: object) -> float:
    covariance = gram(1.5) + np.diag(np.broadcast_to(noise, N))
    return sum(multivariate_normal(np.zeros(N), covariance).logpdf(column) for column in y.T)


def value(scale, noise, X=X, y=Y, **settings):
    return rf.log_marginal_likelihood(rf.rbf(scale), X, y, noise=noise, **settings).value


estimate = jax.jit(
    lambda scale, noise, y, key: rf.log_marginal_likelihood(
        rf.rbf(scale), X, y, noise=noise, method="lanczos", key=key, probes=8, order=20
    )
)


@pytest.mark.parametrize("noise", [0.3, NOISES], ids=["one noise", "noises"])
@pytest.mark.parametrize("mean", MEAN)
def test_it_is_the_density_of_a_multivariate_normal(noise, mean, dtype):
    expected = density(Y - (0 if mean == "zero" else X[:, :2]), noise)
    found = rf.log_marginal_likelihood(rf.rbf(1.5), X.astype(dtype), Y.astype(dtype), noise=noise, start=MEAN[mean])
    assert found.value.dtype == dtype
    np.testing.assert_allclose(found.value, expected, rtol=500 * np.finfo(dtype).eps)
    assert float(found.stderr) == 0
    assert bool(found.ok)


def test_one_output_is_a_column_and_features_are_their_kernel():
    np.testing.assert_allclose(value(1.5, 0.3, y=Y[:, 0]), density(Y[:, :1], 0.3), rtol=1e-12)
    phi = rf.features.Neurons(jnp.asarray(RNG.normal(size=(7, 3))), None, rf.activations.relu)
    one = rf.log_marginal_likelihood(phi, X, Y, noise=0.3)
    np.testing.assert_allclose(one.value, rf.log_marginal_likelihood(phi.kernel, X, Y, noise=0.3).value, rtol=1e-12)


def test_its_derivatives_are_finite_differences():
    def along(t):
        return value(1.5 + t, 0.3 + 2 * t, X + t * np.cos(X), Y + t * np.sin(Y))

    h = 1e-4
    np.testing.assert_allclose(jax.jit(jax.grad(along))(0.0), (along(h) - along(-h)) / (2 * h), rtol=1e-6)


def test_it_vmaps():
    scales = jnp.asarray([1.0, 1.5, 2.0])
    stacked = jax.jit(jax.vmap(lambda scale: value(scale, 0.3)))(scales)
    np.testing.assert_allclose(stacked, [float(value(float(scale), 0.3)) for scale in scales], rtol=1e-12)


@pytest.mark.slow
def test_the_estimate_is_unbiased_and_says_how_far_it_is(monte_carlo):
    found = jax.vmap(lambda key: estimate(1.5, 0.3, Y, key))(jax.random.split(KEY, 200))
    expected = density(Y, 0.3)
    monte_carlo(found.value, expected, resolution=0.01)
    # The standard error that each states is the one they have.
    spread = float(np.std(found.value, ddof=1))
    assert 0.8 < np.sqrt(np.mean(np.square(found.stderr))) / spread < 1.2
    assert float(found.residual.max()) < 1e-7


@pytest.mark.slow
def test_a_small_noise_is_met_by_the_columns_of_the_preconditioner():
    points = np.random.default_rng(5).normal(size=(300, 2))
    y = np.sin(points[:, 0])

    def of(noise, **settings):
        return rf.log_marginal_likelihood(rf.rbf(1.5), points, y, noise=noise, **settings)

    exact = of(1e-4).value
    found = of(1e-4, method="lanczos", key=KEY, order=20, iterations=40, rank=100)
    assert abs(found.value - exact) < 5 * found.stderr + 1e-6 * abs(exact)
    assert found.stderr < 1e-4 * abs(exact)
    without = of(1e-4, method="lanczos", key=KEY, order=20, iterations=40, rank=0, throw=False)
    assert not without.ok
    slope, expected = (
        jax.grad(lambda noise, settings=settings: of(noise, **settings).value)(1e-4)
        for settings in ({"method": "lanczos", "key": KEY, "order": 20, "rank": 100}, {})
    )
    np.testing.assert_allclose(slope, expected, rtol=0.05)


@pytest.mark.slow
def test_the_derivative_of_the_estimate_is_unbiased(monte_carlo):
    def slope(of, *arguments):
        return jax.grad(lambda scale, noise, y: of(scale, noise, y, *arguments), (0, 1, 2))(1.5, NOISES, Y)

    exact = slope(lambda scale, noise, y: value(scale, noise, y=y))
    found = jax.vmap(lambda key: slope(lambda *a: estimate(*a).value, key))(jax.random.split(KEY, 200))
    monte_carlo(found[0], exact[0], resolution=0.05)
    monte_carlo(found[1].sum(axis=1), exact[1].sum(), resolution=0.05)
    np.testing.assert_allclose(found[2][0], exact[2], rtol=1e-5)  # of y only the quadratic term knows


@pytest.mark.slow
def test_the_estimate_in_float32_and_beside_the_exact_value():
    found = rf.log_marginal_likelihood(
        rf.rbf(1.5), X.astype(np.float32), Y.astype(np.float32), noise=0.3, method="lanczos", key=KEY, probes=32
    )
    assert found.value.dtype == np.float32
    assert abs(float(found.value) - density(Y, 0.3)) < 4.5 * float(found.stderr)


@pytest.mark.slow
def test_a_krylov_space_that_is_used_up_is_no_fault():
    # k(X) = ones: two eigenvalues, so that after two steps nothing is left.
    one = rf.log_marginal_likelihood(rf.kernels.Constant(1.0), X, Y, noise=0.5, method="lanczos", key=KEY, probes=400)
    covariance = np.ones((N, N)) + 0.5 * np.eye(N)
    expected = sum(multivariate_normal(np.zeros(N), covariance).logpdf(column) for column in Y.T)
    assert abs(float(one.value) - expected) < 4.5 * float(one.stderr) + 1e-12 * abs(expected)
    zero = rf.log_marginal_likelihood(rf.kernels.Constant(0.0), X, Y, noise=0.5, method="lanczos", key=KEY, probes=400)
    np.testing.assert_allclose(
        zero.value, multivariate_normal(np.zeros(2), 0.5 * np.eye(2)).logpdf(Y).sum(), rtol=1e-12
    )


TWICE = np.concatenate([X, X])


def test_a_singular_matrix_names_a_noise_that_works(dtype):
    x, y = TWICE.astype(dtype), np.concatenate([Y, Y]).astype(dtype)
    with pytest.raises(ValueError, match="80 x 80 Gram matrix plus noise=0 is not positive definite") as error:
        value(1.5, 0.0, x, y)
    named = float(re.search(r"noise=(\S+) works", str(error.value)).group(1))
    assert np.isfinite(value(1.5, named, x, y))
    failed = rf.log_marginal_likelihood(rf.rbf(1.5), x, y, noise=0.0, throw=False)
    assert not bool(failed.ok)
    assert np.isnan(failed.value)


class Indefinite(rf.Kernel):
    """⟨x, y⟩ − 1."""

    def _evaluate(self, pairs):
        return pairs.inner(lambda X: X) - 1


@pytest.mark.parametrize("settings", [{}, {"method": "lanczos", "key": KEY}], ids=["cholesky", "lanczos"])
def test_an_indefinite_kernel_is_named(settings):
    with pytest.raises(ValueError, match="not positive") as error:
        rf.log_marginal_likelihood(Indefinite(), X, Y, noise=1e-3, **settings)
    named = float(re.search(r"eigenvalue (?:below )?(-\S+)", str(error.value)).group(1).rstrip(";"))
    smallest = np.linalg.eigvalsh(X @ X.T - 1)[0]
    if settings:  # a bound: what a Krylov space of the whitened matrix has seen
        assert smallest < named < 0
    else:
        np.testing.assert_allclose(named, smallest, rtol=1e-5)


def test_conjugate_gradients_that_do_not_converge_say_how_far_they_came():
    settings = {"method": "lanczos", "key": KEY, "iterations": 2}
    with pytest.raises(
        ValueError, match=r"reached a relative residual of \S+ in 2 iterations, above tolerance=1.5e-08"
    ):
        value(1.5, 1e-3, **settings)
    found = rf.log_marginal_likelihood(rf.rbf(1.5), X, Y, noise=1e-3, throw=False, **settings)
    assert not bool(found.ok)
    assert float(found.residual) > 1e-8


BAD = {
    "noise negative": (lambda: value(1.5, -0.1), ValueError, "noise must be a finite number >= 0.0, got -0.1"),
    "noise short": (lambda: value(1.5, NOISES[:3]), ValueError, "noise must have one row a data point"),
    "noise square": (lambda: value(1.5, np.eye(N)), ValueError, r"noise must be a number or have shape \[n\]"),
    "noises negative": (lambda: value(1.5, -NOISES), ValueError, "noise must be a finite number >= 0.0"),
    "y nan": (lambda: value(1.5, 0.1, y=Y * np.nan), ValueError, "y must be finite"),
    "method": (lambda: value(1.5, 0.1, method="lu"), ValueError, "method must be one of cholesky, lanczos"),
    "key": (lambda: value(1.5, 0.1, method="lanczos"), ValueError, "key is required"),
    "probes": (lambda: value(1.5, 0.1, method="lanczos", key=KEY, probes=1), ValueError, "probes must be at least 2"),
    "order": (lambda: value(1.5, 0.1, method="lanczos", key=KEY, order=0), ValueError, "order must be at least 1"),
    "model": (lambda: rf.log_marginal_likelihood(np.dot, X, Y, noise=0.1), TypeError, "model must be a kernel"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
