"""Singular systems: an error that names a ridge which works, or NaN and a flag where that was asked for."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
ONCE = RNG.normal(size=(6, 3))
X = np.concatenate([ONCE, ONCE])  # each point twice: the Gram matrix has rank 6
Y = np.concatenate([RNG.normal(size=6)] * 2)
KERNEL = rf.rbf(1.5)
WEIGHT = jnp.asarray(np.repeat(RNG.normal(size=(3, 3)), 2, axis=0))
TWINS = rf.features.Neurons(WEIGHT, None, rf.activations.relu)  # each neuron twice: ΦᵀΦ has rank 3

STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_draws_whatever_ran_before():
    RNG.bit_generator.state = STATE


@pytest.mark.parametrize(("model", "size"), [(KERNEL, "12 x 12"), (TWINS, "6 x 6")], ids=["kernel", "primal"])
@pytest.mark.parametrize("ridge", [0.0, 1e-30])
def test_the_error_names_a_ridge_that_works(model, size, ridge, dtype):
    x, y = X.astype(dtype), Y.astype(dtype)
    with pytest.raises(
        ValueError, match=f"{size} matrix plus ridge={ridge:g} is not positive definite in {dtype}"
    ) as e:
        rf.ridge_regression(model, x, y, ridge=ridge)
    named = float(re.search(r"ridge=(\S+) works", str(e.value)).group(1))
    assert named > 0
    fit = rf.ridge_regression(model, x, y, ridge=named)
    assert bool(fit.stats.ok)
    assert fit.stats.ridge == named
    # It is as small as the dtype allows within a factor of 1000: the twins' common target is still met.
    if model is KERNEL:
        np.testing.assert_allclose(fit(x), y, rtol=0, atol=2e4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("model", [KERNEL, TWINS], ids=["kernel", "primal"])
def test_without_throw_the_fit_says_that_it_failed(model):
    fit = rf.ridge_regression(model, X, Y, ridge=0.0, throw=False)
    assert not bool(fit.stats.ok)
    assert np.isnan(fit.coefficients).all()
    assert np.isnan(fit(X)).all()


def test_under_tracing_the_error_comes_at_run_time():
    @jax.jit
    def fit(X, y, ridge):
        return rf.ridge_regression(KERNEL, X, y, ridge=ridge).coefficients

    good = fit(X, Y, 0.1)
    np.testing.assert_allclose(good, rf.ridge_regression(KERNEL, X, Y, ridge=0.1).coefficients, rtol=1e-12)
    with pytest.raises(Exception, match="not positive definite: a larger ridge is needed"):
        jax.block_until_ready(fit(X, Y, 0.0))


def test_under_tracing_without_throw_only_the_bad_one_is_nan():
    ridges = jnp.asarray([0.0, 0.1])
    fits = jax.jit(jax.vmap(lambda ridge: rf.ridge_regression(KERNEL, X, Y, ridge=ridge, throw=False)))(ridges)
    np.testing.assert_array_equal(fits.stats.ok, [False, True])
    assert np.isnan(fits.coefficients[0]).all()
    np.testing.assert_allclose(
        fits.coefficients[1], rf.ridge_regression(KERNEL, X, Y, ridge=0.1).coefficients, rtol=1e-12
    )


@pytest.mark.slow
def test_a_kernel_that_is_not_one_is_told_apart():
    # k(x, y) = ⟨x, y⟩ − 100 has a negative eigenvalue that no small ridge mends.
    indefinite = rf.kernels.Sum(rf.polynomial(1, 1.0, 0.0), _Negative())
    least, *_ = np.linalg.eigvalsh(X @ X.T - 100.0)
    for solver in ("cholesky", "cg", "nystrom", "eigenpro"):
        with pytest.raises(ValueError, match="not positive semi-definite") as error:
            rf.ridge_regression(indefinite, X, Y, ridge=1e-3, solver=solver, key=jax.random.key(0))
        named = float(re.search(r"eigenvalue (?:at or below )?(\S+) ", str(error.value)).group(1))
        assert named < -1e-3 and (solver != "cholesky" or abs(named - least) < 1e-5 * abs(least))


class _Negative(rf.Kernel):
    def _evaluate(self, pairs):
        return jnp.full_like(pairs.covariance.below, -100.0)


def test_dead_features_name_a_ridge_too():
    dead = rf.features.Neurons(WEIGHT, jnp.full(6, -1e3), rf.activations.relu)  # ΦᵀΦ = 0
    with pytest.raises(ValueError, match="works") as error:
        rf.ridge_regression(dead, X, Y, ridge=0.0)
    named = float(re.search(r"ridge=(\S+) works", str(error.value)).group(1))
    np.testing.assert_array_equal(rf.ridge_regression(dead, X, Y, ridge=named)(X), 0)


def test_rounding_that_passes_for_definiteness_shows_in_the_residual():
    # Rank 4 among 12 points: whether the factorisation fails is a matter of rounding, and silence is not an answer.
    points = RNG.normal(size=(12, 3))
    y = RNG.normal(size=12)
    try:
        fit = rf.ridge_regression(rf.polynomial(1), points, y, ridge=0.0)
    except ValueError as error:
        assert "works" in str(error)  # noqa: PT017 (either outcome is right)
    else:
        assert float(fit.stats.residual) > 1e-6
