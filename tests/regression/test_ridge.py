"""Ridge regression against scikit-learn, and what holds of every fit: shapes, dtypes, starts and transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

import rfjax as rf

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(14, 3)), RNG.normal(size=(5, 3))
Y = RNG.normal(size=(14, 3))
KERNEL = rf.rbf(1.5)
STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_draws_whatever_ran_before():
    RNG.bit_generator.state = STATE


def neurons(count: int) -> rf.features.Neurons:
    weight, bias = RNG.normal(size=(count, 3)), RNG.normal(size=count)
    return rf.features.Neurons(jnp.asarray(weight), jnp.asarray(bias), rf.activations.relu)


FEW, MANY = neurons(6), neurons(30)


def in_numpy(phi: rf.features.Neurons, X: np.ndarray) -> np.ndarray:
    return np.maximum(X @ np.asarray(phi.weight).T + np.asarray(phi.bias), 0)


def gram(X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    return np.exp(-((X[:, None] - Z) ** 2).sum(-1) / (2 * 1.5**2))


@pytest.mark.parametrize("ridge", [1e-2, 1.0])
def test_kernel_ridge_is_that_of_scikit_learn(ridge, dtype):
    x, y, z = (v.astype(dtype) for v in (X, Y, Z))
    expected = KernelRidge(kernel="rbf", gamma=1 / (2 * 1.5**2), alpha=ridge).fit(x.astype(float), y.astype(float))
    fit = rf.ridge_regression(KERNEL, x, y, ridge=ridge)
    values = fit(z)
    assert values.dtype == fit.coefficients.dtype == dtype
    np.testing.assert_allclose(values, expected.predict(z.astype(float)), rtol=0, atol=20 * np.finfo(dtype).eps / ridge)
    stats = fit.stats
    assert (stats.solver, stats.form, stats.dtype, stats.size) == ("cholesky", "dual", str(dtype), 14)
    assert stats.ridge == ridge
    assert bool(stats.ok)
    assert float(stats.residual) < 20 * np.finfo(dtype).eps / ridge


@pytest.mark.parametrize(("phi", "form", "size"), [(FEW, "primal", 6), (MANY, "dual", 14)])
def test_feature_ridge_is_that_of_scikit_learn(phi, form, size, dtype):
    x, y, z = (v.astype(dtype) for v in (X, Y, Z))
    expected = Ridge(alpha=0.1, fit_intercept=False).fit(in_numpy(phi, x.astype(float)), y.astype(float))
    fit = rf.ridge_regression(phi, x, y, ridge=0.1)
    assert fit(z).dtype == fit.coefficients.dtype == dtype
    tolerance = 2000 * np.finfo(dtype).eps
    np.testing.assert_allclose(fit.coefficients, expected.coef_.T, rtol=0, atol=tolerance)
    np.testing.assert_allclose(fit(z), expected.predict(in_numpy(phi, z.astype(float))), rtol=0, atol=20 * tolerance)
    assert (fit.stats.form, fit.stats.size, fit.stats.dtype) == (form, size, str(dtype))


def test_mixed_dtypes_follow_the_data():
    # The system is solved in the dtype of X.
    for x, y in ((X.astype(np.float32), Y), (X, Y.astype(np.float32))):
        fit = rf.ridge_regression(KERNEL, x, y, ridge=1.0)
        assert fit.stats.dtype == str(fit(x[:5]).dtype) == str(x.dtype)


def test_without_x64_float64_data_are_computed_in_float32_and_it_says_so():
    with jax.enable_x64(False):
        fit = rf.ridge_regression(KERNEL, X, Y, ridge=1.0)
        assert fit.stats.dtype == "float32"
        assert fit(Z).dtype == np.float32
    np.testing.assert_allclose(fit.coefficients, scipy.linalg.solve(gram(X, X) + np.eye(14), Y), rtol=0, atol=1e-5)


# --- shapes ---------------------------------------------------------------------------------------------------------


def start_vector(X):
    return X[:, 0] ** 2


def start_column(X):
    return X[:, :1] ** 2


def start_matrix(X):
    return X**2


@pytest.mark.parametrize("model", [KERNEL, FEW, MANY], ids=["kernel", "primal", "dual"])
def test_predictions_have_the_trailing_shape_of_y(model):
    three = np.asarray(rf.ridge_regression(model, X, Y, ridge=0.1)(Z))
    assert three.shape == (5, 3)
    for y, shape in ((Y[:, 0], (5,)), (Y[:, :1], (5, 1))):
        values = np.asarray(rf.ridge_regression(model, X, y, ridge=0.1)(Z))
        assert values.shape == shape
        np.testing.assert_allclose(values.reshape(5), three[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", [KERNEL, FEW], ids=["kernel", "features"])
@pytest.mark.parametrize(
    ("y", "start"),
    [
        (Y[:, 0], start_vector),
        (Y[:, 0], start_column),  # one output counts as scalar where y is [n]
        (Y[:, :1], start_vector),
        (Y[:, :1], start_column),
        (Y, start_matrix),
    ],
)
def test_a_start_is_corrected(model, y, start):
    fit = rf.ridge_regression(model, X, y, ridge=0.1, start=start)

    def at(points):
        return np.asarray(start(points)).reshape(len(points), *y.shape[1:])

    correction = rf.ridge_regression(model, X, y - at(X), ridge=0.1)
    assert fit(Z).shape == (5, *y.shape[1:])
    np.testing.assert_allclose(fit(Z), np.asarray(correction(Z)) + at(Z), rtol=0, atol=1e-13)


def test_a_fit_can_be_the_start_of_another():
    first = rf.ridge_regression(KERNEL, X, Y, ridge=1.0)
    second = rf.ridge_regression(KERNEL, X, Y, ridge=1.0, start=first)
    A = np.linalg.inv(gram(X, X) + np.eye(14))
    twice = gram(Z, X) @ A @ (2 * Y - gram(X, X) @ A @ Y)
    np.testing.assert_allclose(second(Z), twice, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("y", "start"),
    [
        (Y[:, 0], start_matrix),
        (Y[:, :1], start_matrix),
        (Y, start_vector),
        (Y, start_column),
        (Y[:, 0], lambda X: X[:1, 0]),  # would broadcast
        (Y, lambda X: X[:1]),
        (Y[:, 0], lambda X: jnp.zeros(())),
    ],
)
def test_a_start_of_another_shape_raises(y, start):
    with pytest.raises(ValueError, match="start"):
        rf.ridge_regression(KERNEL, X, y, ridge=0.1, start=start)


def test_a_start_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match="start"):
        rf.ridge_regression(KERNEL, X, Y[:, 0], ridge=0.1, start=lambda X: jnp.log(X[:, 0] - 100))


# --- ridge ----------------------------------------------------------------------------------------------------------


def test_the_ridge_is_absolute():
    # Not scaled by n: two copies of the data with twice the ridge are the data with the ridge.
    once = rf.ridge_regression(FEW, X, Y, ridge=0.3)
    twice = rf.ridge_regression(FEW, np.concatenate([X, X]), np.concatenate([Y, Y]), ridge=0.6)
    np.testing.assert_allclose(once.coefficients, twice.coefficients, rtol=0, atol=1e-12)
    # Nor by the trace: a kernel times 2 with the ridge times 2.
    scaled = rf.ridge_regression(2.0 * KERNEL, X, Y, ridge=0.6)
    np.testing.assert_allclose(scaled(Z), rf.ridge_regression(KERNEL, X, Y, ridge=0.3)(Z), rtol=0, atol=1e-13)


def test_ridge_zero_interpolates():
    np.testing.assert_allclose(rf.ridge_regression(KERNEL, X, Y, ridge=0)(X), Y, rtol=0, atol=1e-10)
    np.testing.assert_allclose(rf.ridge_regression(MANY, X, Y, ridge=0.0)(X), Y, rtol=0, atol=1e-10)


# --- transformations ------------------------------------------------------------------------------------------------


def predict(scale, ridge, y):
    return rf.ridge_regression(rf.rbf(scale), X, y, ridge=ridge)(Z)


def exact(scale, ridge, y):
    def k(A, B):
        return np.exp(-((A[:, None] - B) ** 2).sum(-1) / (2 * scale**2))

    return k(Z, X) @ scipy.linalg.solve(k(X, X) + ridge * np.eye(14), y)


def test_it_maps_over_targets_ridges_and_hyperparameters():
    scales, ridges = np.array([1.0, 1.5, 2.0]), np.array([1.0, 0.1, 0.01])
    values = jax.jit(jax.vmap(predict))(scales, ridges, Y.T)
    for index, arguments in enumerate(zip(scales, ridges, Y.T, strict=True)):
        np.testing.assert_allclose(values[index], exact(*arguments), rtol=0, atol=1e-11)


@pytest.mark.parametrize("model", ["kernel", "features"])
def test_it_differentiates(model):
    def loss(scale, ridge, y):
        chosen = (
            rf.rbf(scale) if model == "kernel" else rf.features.Neurons(FEW.weight * scale, FEW.bias, FEW.activation)
        )
        return (rf.ridge_regression(chosen, X, y, ridge=ridge)(Z) ** 2).sum()

    def reference(scale, ridge, y):
        if model == "kernel":
            return (exact(scale, ridge, y) ** 2).sum()
        F, G = (np.maximum(x @ np.asarray(FEW.weight).T * scale + np.asarray(FEW.bias), 0) for x in (X, Z))
        return ((G @ scipy.linalg.solve(F.T @ F + ridge * np.eye(6), F.T @ y)) ** 2).sum()

    at = (np.array(1.5), np.array(0.2), Y[:, 0])
    value, slopes = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))(*at)
    assert float(value) == pytest.approx(reference(*at), rel=1e-11)
    towards = RNG.normal(size=14)
    for index, direction in ((0, np.array(1.0)), (1, np.array(1.0)), (2, towards)):
        ends = []
        for step in (2e-4, 1e-4, -1e-4, -2e-4):
            moved = list(at)
            moved[index] = moved[index] + step * direction
            ends.append(reference(*moved))
        central = (8 * (ends[1] - ends[2]) - (ends[0] - ends[3])) / 12e-4
        assert float(np.sum(np.asarray(slopes[index]) * direction)) == pytest.approx(central, rel=1e-7)


def test_a_fit_passes_through_compiled_functions():
    fit = jax.jit(lambda y: rf.ridge_regression(KERNEL, X, y, ridge=0.1, start=start_vector))(Y[:, 0])
    expected = rf.ridge_regression(KERNEL, X, Y[:, 0], ridge=0.1, start=start_vector)
    np.testing.assert_allclose(fit(Z), expected(Z), rtol=0, atol=1e-12)
    np.testing.assert_allclose(jax.jit(lambda f, Z: f(Z))(expected, Z), expected(Z), rtol=0, atol=1e-12)
    assert fit.stats.form == "dual"
