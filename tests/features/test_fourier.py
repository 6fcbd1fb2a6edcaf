"""Fourier features: unbiased draw by draw, equal to their formulas, and as exact as they say."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.features import frequencies, rows
from rfjax.features.fourier import DRAWS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3))
ARD = np.array([1.0, 2.0, 0.7])
KERNELS = {
    "rbf": 2.0 * rf.rbf(ARD),
    "laplace": rf.laplace(1.5),
    "matern": rf.matern(2.5, 1.5),
    "rational quadratic": 0.5 * rf.rational_quadratic(0.7, 1.2).on([2, 0]),
}
KEY = jax.random.key(0)


def upper(K):
    """The pairs of different points."""
    return K[..., *np.triu_indices(5, 1)]


def needs(draw: str) -> dict:
    return {"data": RNG.normal(size=(30, 3)), "ridge": 0.1} if draw == "leverage" else {}


# --- the mean -------------------------------------------------------------------------------------------------------


def waves(phi, kernel) -> np.ndarray:
    """What each frequency of a map gives to k(x, y)/k(0) at all pairs, [r, pairs], from its law by NumPy."""
    height, scale, columns = {
        "Scaled": lambda: (2.0, ARD, [0, 1, 2]) if kernel is KERNELS["rbf"] else (0.5, 1.2, [2, 0]),
        "Matern": lambda: (1.0, 1.5, [0, 1, 2]),
    }[type(kernel).__name__]()
    angles = (X[:, columns] / scale) @ np.asarray(phi.frequencies.W).T  # [points, r]
    i, j = np.triu_indices(5, 1)
    if phi.phases is None:
        return height * np.cos(angles[i] - angles[j]).T
    shifted = np.cos(angles + np.asarray(phi.phases))
    return 2 * height * (shifted[i] * shifted[j]).T


@pytest.mark.parametrize("form", ["sincos", "phase"])
@pytest.mark.parametrize("name", KERNELS)
def test_independent_frequencies_follow_every_law(name, form, monte_carlo):
    kernel = KERNELS[name]
    phi = rf.features.fourier(kernel, 3, 40_000, key=KEY, form=form)
    monte_carlo(waves(phi, kernel), upper(np.asarray(kernel(X))), resolution=0.02, scale=1.0)


@pytest.mark.parametrize("name", ["rbf", "laplace"])
def test_orthogonal_blocks_follow_the_law(name, monte_carlo):
    kernel = KERNELS[name]
    phi = rf.features.fourier(kernel, 3, 60_000, key=KEY, draw="orthogonal")
    blocks = waves(phi, kernel).reshape(10_000, 3, -1).mean(axis=1)  # these are independent
    monte_carlo(blocks, upper(np.asarray(kernel(X))), resolution=0.02, scale=1.0)


@pytest.mark.parametrize(("name", "features"), [("rbf", 14), ("laplace", 14), ("laplace", 90)])
@pytest.mark.parametrize("draw", ["sobol", "halton"])
def test_every_scrambled_sequence_has_the_kernel_as_its_mean(draw, name, features, monte_carlo):
    # 7 frequencies of 3 columns are brought to right angles, 45 are not.
    kernel, form = KERNELS[name], "phase" if draw == "halton" else "sincos"
    keys = jax.random.split(KEY, 200)
    maps = [rf.features.fourier(kernel, 3, features, key=key, draw=draw, form=form) for key in keys]
    draws = [waves(phi, kernel).mean(axis=0) for phi in maps]
    monte_carlo(draws, upper(np.asarray(kernel(X))), resolution=0.03, scale=2.0)


@pytest.mark.slow
def test_resampling_by_leverage_keeps_the_mean(monte_carlo):
    kernel, data = KERNELS["laplace"], RNG.normal(size=(30, 3))

    def draw(key):
        phi = rf.features.fourier(kernel, 3, 14, key=key, draw="leverage", data=data, ridge=0.1)
        return phi.frequencies.W, phi.share

    W, share = jax.jit(jax.vmap(draw))(jax.random.split(KEY, 2000))
    assert 0.2 < np.asarray(share).std() * 7 < 2  # it does prefer some
    i, j = np.triu_indices(5, 1)
    draws = (np.cos(np.asarray(W) @ (X[i] - X[j]).T / 1.5) * np.asarray(share)[..., None]).sum(axis=1)
    monte_carlo(draws, upper(np.asarray(kernel(X))), resolution=0.02, scale=1.0)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 200])
def test_structured_draws_have_the_kernel_as_their_mean(columns, monte_carlo):
    # Of 200 columns it is so up to O(1/d), which these draws do not see; along an axis it would be largest.
    Z = np.zeros((3, columns))
    Z[1, 0], Z[2] = 1.5, RNG.normal(size=columns) / columns**0.5
    kernel = rf.matern(1.5, 1.3)

    def one(key):
        F = rf.features.fourier(kernel, columns, 300, key=key, draw="structured")(Z)
        return (F @ F.T)[np.triu_indices(3, 1)]

    values = jax.jit(jax.vmap(one))(jax.random.split(KEY, 1000))
    monte_carlo(values, np.asarray(kernel(Z))[np.triu_indices(3, 1)], resolution=0.003)


@pytest.mark.parametrize(("columns", "multiple"), [(3, 2), (3, 8), (3, 100), (16, 2), (16, 20)])
def test_orthogonal_and_quasi_random_draws_err_less_than_independent_ones(columns, multiple):
    Z = RNG.normal(size=(8, columns)) / columns**0.5
    i, j = np.triu_indices(8, 1)
    expected = np.exp(-((Z[i] - Z[j]) ** 2).sum(1) / 2)

    def error(draw):
        keys = jax.random.split(KEY, 40)
        maps = [rf.features.fourier(rf.rbf(1.0), columns, multiple * columns, key=key, draw=draw) for key in keys]
        means = [np.cos((Z[i] - Z[j]) @ np.asarray(phi.frequencies.W).T).mean(axis=1) for phi in maps]
        return np.mean((np.array(means) - expected) ** 2)

    independent = error("iid")
    assert all(error(draw) < 0.75 * independent for draw in ("orthogonal", "sobol", "halton"))


# --- what is exact --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", DRAWS)
def test_the_sin_cos_form_is_its_formula(draw, dtype):
    kernel, x = KERNELS["rbf"], X.astype(dtype)
    phi = rf.features.fourier(kernel, 3, 70, key=KEY, draw=draw, **needs(draw))
    F = np.asarray(phi(x))
    W, share = np.asarray(phi.frequencies.W), 1 / 35 if phi.share is None else np.asarray(phi.share)
    angles = x.astype(float) / ARD @ W.T
    expected = np.sqrt(2 * share) * np.stack([np.cos(angles), np.sin(angles)])
    expected = np.concatenate(list(expected), axis=1)[:, : F.shape[1]]
    assert F.dtype == dtype and F.shape == (5, 70 if draw != "hermite" else 64)
    np.testing.assert_allclose(F, expected, rtol=0, atol=20 * np.finfo(dtype).eps)
    if draw != "leverage":
        np.testing.assert_allclose((F**2).sum(1), 2.0, rtol=20 * np.finfo(dtype).eps)
    np.testing.assert_allclose(phi.kernel(x), F @ F.T, rtol=0, atol=40 * np.finfo(dtype).eps)
    assert phi.approximates is kernel and phi.in_dim == 3 and phi.neurons is None


def test_the_phase_form_is_its_formula():
    phi = rf.features.fourier(KERNELS["laplace"], 3, 7, key=KEY, form="phase")
    angles = X / 1.5 @ np.asarray(phi.frequencies.W).T + np.asarray(phi.phases)
    np.testing.assert_allclose(phi(X), np.sqrt(2 / 7) * np.cos(angles), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("columns", "features", "nodes"), [(1, 24, 24), (1, 25, 25), (2, 256, 256), (2, 230, 225)])
def test_quadrature_is_exact_where_it_has_nodes_enough(columns, features, nodes):
    kernel = rf.rbf(2.0).on(range(columns))
    phi = rf.features.fourier(kernel, columns, features, draw="hermite")
    x = X[:, :columns]
    assert phi(x).shape == (5, nodes)
    np.testing.assert_allclose(phi.kernel(x), kernel(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("columns", "count"), [(1, 5), (3, 7), (40, 30)])
def test_orthogonal_frequencies_are_at_right_angles_block_by_block(columns, count):
    W = np.asarray(rf.features.fourier(rf.rbf(1.0), columns, 2 * count, key=KEY, draw="orthogonal").frequencies.W)
    assert W.shape == (count, columns)
    angles = (W @ W.T) / np.linalg.norm(W, axis=1) / np.linalg.norm(W, axis=1)[:, None]
    block = np.arange(count) // columns
    same = block == block[:, None]
    np.testing.assert_allclose(angles[same], np.eye(count)[same], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "columns", [pytest.param(64, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.slow), 256]
)
def test_the_structured_transform_is_a_product_with_orthogonal_rows(columns):
    phi = rf.features.fourier(rf.rbf(1.0), columns, 600, key=KEY, draw="structured")  # 300 are no multiple of a block
    assert isinstance(phi.frequencies, frequencies.Structured)
    size = phi.frequencies.signs.shape[1]
    W = np.asarray(phi.frequencies.project(jnp.eye(columns, dtype=float))).T
    assert W.shape == (300, columns)
    x = RNG.normal(size=(4, columns)) / 10
    np.testing.assert_allclose(phi.frequencies.project(x), x @ W.T, rtol=0, atol=1e-12)
    if columns == size:
        directions = W[:size] / np.linalg.norm(W[:size], axis=1, keepdims=True)
        np.testing.assert_allclose(directions @ directions.T, np.eye(size), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "draw", ["iid", *(pytest.param(draw, marks=pytest.mark.slow) for draw in ("orthogonal", "structured"))]
)
def test_regenerated_frequencies_are_the_stored_ones(draw):
    x = RNG.normal(size=(4, 40))
    kept, drawn = (
        rf.features.fourier(rf.rbf(5.0), 40, 30, key=KEY, draw=draw, stored=stored) for stored in (True, False)
    )
    np.testing.assert_allclose(drawn(x), kept(x), rtol=0, atol=1e-13)
    assert sum(np.size(leaf) for leaf in jax.tree.leaves(drawn.frequencies)) <= 2


# --- transformations ------------------------------------------------------------------------------------------------


def test_it_differentiates_by_length_scales_heights_and_points():
    def total(scale, height, x):
        return (rf.features.fourier(height * rf.rbf(scale), 3, 8, key=KEY)(x) ** 3).sum()

    W = np.asarray(rf.features.fourier(rf.rbf(1.0), 3, 8, key=KEY).frequencies.W)

    def reference(scale, height, x):
        angles = x / scale @ W.T
        return np.sqrt(height / 4) ** 3 * (np.cos(angles) ** 3 + np.sin(angles) ** 3).sum()

    at = (ARD, np.array(1.7), X)
    slopes = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(*at)
    for index, slope in enumerate(slopes):
        direction = RNG.normal(size=np.shape(at[index]))
        ends = []
        for step in (1e-5, -1e-5):
            moved = list(at)
            moved[index] = moved[index] + step * direction
            ends.append(reference(*moved))
        assert float((slope * direction).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_blocks_of_rows_give_what_all_at_once_does(monkeypatch):
    def function(W, x):
        return jnp.cos(x @ W), jnp.sin(x @ W)

    def whole(W, x):
        return jnp.concatenate(function(W, x), axis=1)

    x, W = RNG.normal(size=(150, 3)), RNG.normal(size=(3, 4))  # no multiple of the 64 rows of a block
    monkeypatch.setattr(rows, "_BLOCK", 1)
    by_blocks = partial(rows.by_rows, function)
    np.testing.assert_allclose(by_blocks(W, x), whole(W, x), rtol=0, atol=1e-15)
    slopes, expected = (
        jax.grad(lambda *at, f=f: (f(*at) ** 3).sum(), argnums=(0, 1))(W, x) for f in (by_blocks, whole)
    )
    for slope, other in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, other, rtol=0, atol=1e-13)


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"draw": "best"}, "draw must be one of iid"),
        ({"form": "cosine"}, "form must be one of"),
        ({"features": 0}, "features must be at least 1"),
        ({"features": 7}, "features must be even"),
        ({"in_dim": 0}, "in_dim must be at least 1"),
        ({"in_dim": 2, "kernel": rf.rbf(1.0).on(2)}, "in_dim must be above"),
        ({"kernel": rf.rbf(ARD), "in_dim": 2}, "length_scale must have one entry a column"),
        ({"key": None}, "key is required"),
        ({"draw": "sobol", "stored": False}, "stored"),
        ({"draw": "leverage"}, "data and ridge"),
        ({"draw": "leverage", "data": X}, "data and ridge"),
        ({"data": X, "ridge": 1.0}, "data and ridge"),
        ({"draw": "leverage", "data": X, "ridge": 0.0}, "ridge"),
        ({"draw": "leverage", "data": X[:, :2], "ridge": 1.0}, "data must have 3 columns"),
        ({"draw": "hermite", "features": 62}, "hermite"),
        ({"draw": "hermite", "kernel": rf.laplace(1.0), "features": 200}, "hermite"),
        ({"draw": "hermite", "form": "phase", "features": 200}, "hermite"),
    ],
)
def test_bad_settings_raise(settings, word):
    arguments = {"kernel": rf.rbf(1.0), "in_dim": 3, "features": 8, "key": KEY} | settings
    with pytest.raises(ValueError, match=word):
        rf.features.fourier(**arguments)


@pytest.mark.parametrize("kernel", [rf.polynomial(2), rf.rbf(1.0) + rf.rbf(2.0), "rbf"])
def test_kernels_without_a_law_raise_and_name_those_with_one(kernel):
    with pytest.raises(TypeError, match="kernel must be rbf, laplace, matern or rational_quadratic"):
        rf.features.fourier(kernel, 3, 8, key=KEY)


def test_a_bandwidth_of_zero_raises():
    with pytest.raises(ValueError, match="length_scale"):
        rf.features.fourier(rf.rbf(0.0), 3, 8, key=KEY)


def test_host_draws_under_tracing_say_so():
    with pytest.raises(TypeError, match="host"):
        jax.jit(lambda key: rf.features.fourier(rf.rbf(1.0), 3, 8, key=key, draw="sobol")(X))(KEY)


def test_constant_columns_change_nothing():
    constant = np.hstack([X, np.full((5, 1), 7.0)])
    phi = rf.features.fourier(rf.rbf(1.0), 4, 4000, key=KEY, draw="orthogonal")
    np.testing.assert_allclose(phi.kernel(constant), rf.rbf(1.0)(X), rtol=0, atol=0.1)


def test_data_of_other_columns_raise():
    with pytest.raises(ValueError, match="X must have 3 columns"):
        rf.features.fourier(rf.rbf(1.0), 3, 8, key=KEY)(X[:, :2])
