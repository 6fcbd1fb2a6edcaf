"""Coincident, nearly coincident, opposite and collinear points: where a Gram product has lost the angle.

The reference is 60-digit arithmetic on the very points that the kernel is given, rounded to its dtype.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax import activations
from rfjax.kernels import CrossPairs, DiagonalPairs, rbf
from rfjax.networks import mlp

DISTANCES = np.array([0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 4.4e-2, 4.6e-2, 0.1, 0.3, 1.0])


def points(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """X [3, 5], norms from 0.05 to 50, and Y: each x moved by DISTANCES, those reflected, multiples of x, and 0."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3, 5)) * np.array([[0.02], [1.0], [20.0]])
    Y = []
    for x in X:
        direction = rng.normal(size=5)
        direction *= np.linalg.norm(x) / np.linalg.norm(direction)
        moved = x + DISTANCES[:, None] * direction
        Y += [*moved, *-moved, 2 * x, 0.1 * x, -3 * x, np.zeros(5)]
    return X.astype(dtype), np.array(Y).astype(dtype)


SETTINGS = [
    ("relu", 1, 2**0.5, 0.0),
    ("relu", 2, 2**0.5, 0.0),
    ("relu", 3, 2**0.5, 0.0),
    ("relu", 3, 1.2, 0.3),
    ("abs", 2, 1.1, 0.1),
    ("erf", 2, 1.5, 0.2),
]
CASES = {"float32": SETTINGS, "float64": SETTINGS[2:4]}
EACH = [
    pytest.param(d, s, id=f"{d}-{s[0]}-depth {s[1]}-b_std {s[3]}") for d, settings in CASES.items() for s in settings
]


@pytest.fixture(scope="module")
def tables(readings):
    """dtype -> X, Y and for every setting both kernels of X with Y, of each x with itself and of each y with itself."""

    def table(dtype, settings):
        networks = [
            mlp(depth=d, width=1, activation=getattr(activations, n), w_std=w, b_std=b) for n, d, w, b in settings
        ]
        X, Y = points(np.dtype(dtype))
        values, n = readings(networks, np.concatenate([X, Y])), len(X)
        own = np.diagonal(values, axis1=-2, axis2=-1)
        return X, Y, {s: (values[i, :, :n, n:], own[i, :, :n], own[i, :, n:]) for i, s in enumerate(settings)}

    return {dtype: table(dtype, settings) for dtype, settings in CASES.items()}


@pytest.mark.parametrize(("dtype", "setting"), EACH)
def test_every_pair_is_within_the_budget(tables, dtype, setting, mp_gram):
    X, Y, values = tables[dtype]
    budget = 1e-5 if dtype == "float32" else 1e-12
    cross, *computed = values[setting]
    own = [np.array([mp_gram([v], [v], *setting)[:, 0, 0] for v in V]).T for V in (X, Y)]
    scale = np.sqrt(own[0][:, :, None] * own[1][:, None, :])
    error = np.abs(cross - mp_gram(X, Y, *setting)) / np.where(scale > 0, scale, 1)
    assert error.max() < budget
    for one, exact in zip(computed, own, strict=True):
        np.testing.assert_allclose(one, exact, rtol=budget)


@pytest.mark.parametrize(("dtype", "setting"), [case for case in EACH if case.values[1][0] == "relu"])
def test_small_angles_are_seen(tables, dtype, setting, mp_gram):
    # √(k(x,x)k(y,y)) − k(x,y) of the NTK vanishes like θ: at θ = 1e-4 … 1e-2 it must still be that, to 2%.
    X, Y, values = tables[dtype]
    near = slice(4, 7) if dtype == "float32" else slice(2, 7)
    cross, left, right = (v[1].astype(np.float64) for v in values[setting])
    gap = np.sqrt(left[0] * right[near]) - cross[0, near]
    own = [mp_gram([v], [v], *setting)[1, 0, 0] for v in (X[0], *Y[near])]
    exact = np.sqrt(own[0] * np.array(own[1:])) - mp_gram(X[:1], Y[near], *setting)[1, 0]
    assert (exact > 0).all()
    np.testing.assert_allclose(gap, exact, rtol=0.02)


def test_zero_points_have_the_kernel_of_the_biases(tables):
    _, Y, values = tables["float32"]
    zero = np.flatnonzero(~Y.any(axis=1))
    assert zero.size == 3
    for setting, (cross, _, right) in values.items():
        if setting[3] == 0:
            np.testing.assert_array_equal(cross[:, :, zero], 0)
            np.testing.assert_array_equal(right[:, zero], 0)
        else:
            assert (cross[:, :, zero] > 0).all()
            assert (right[:, zero] > 0).all()


@pytest.mark.parametrize("d", [3, 784])
def test_a_sign_of_signs_keeps_the_angle_of_multiples(d):
    # It goes like √θ, where nothing is harder: an angle of eps, as rounding leaves it between x and 2.7·x, is √eps.
    rng = np.random.default_rng(3)
    X = rng.normal(size=(6, d)).astype(np.float32)
    moves = np.array([0, 1e-7, 1e-6, 1e-4, 1e-2, 0.04, 0.05, 0.09, 0.11, 0.3])[:, None, None] * rng.normal(size=(6, d))
    factors = np.array([1, -1, 2.7, -1.3, 1.001, 1e-3])[:, None, None, None]
    Y = (factors * (X + moves)).reshape(-1, d).astype(np.float32)
    unit = [v / np.sqrt((v**2).sum(axis=1, keepdims=True)) for v in (X.astype(np.longdouble), Y.astype(np.longdouble))]
    length = [np.sqrt(((unit[0][:, None] + sign * unit[1]) ** 2).sum(axis=-1)).astype(float) for sign in (-1, 1)]
    share = 2 * np.arctan2(*length) / np.pi  # θ/π; the next layer has cos θ' = 1 − 2θ/π, that is sin²(θ'/2) = θ/π
    exact = 1 - 4 * np.arctan2(np.sqrt(share), np.sqrt(1 - share)) / np.pi
    gram = rf.nngp(mlp(depth=2, width=1, activation=activations.sign, w_std=1.0))(X, Y)
    assert gram.dtype == np.float32
    np.testing.assert_allclose(gram, exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("length_scale", [1.0, 1e-2, 1e-3])
def test_rbf_keeps_small_distances(dtype, length_scale):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(4, 6)) + 3  # far from the origin, where ‖x‖² + ‖y‖² − 2⟨x, y⟩ cancels
    X = np.concatenate([base, base + length_scale / 3 * rng.normal(size=(4, 6))]).astype(dtype)
    wide = X.astype(np.float64)
    exact = np.exp(-np.sum((wide[:, None] - wide) ** 2, axis=-1) / (2 * length_scale**2))
    assert ((exact > 0.1) & (exact < 0.95)).any()
    gram = np.asarray(rbf(length_scale)(X))
    assert gram.dtype == dtype
    np.testing.assert_allclose(gram, exact, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)
    np.testing.assert_array_equal(np.diag(gram), 1)


def test_pairs_in_both_layouts():
    # What a kernel of one's own is given: exact on the diagonal when told so, and the same numbers as a vector.
    X = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    X[1], X[2] = X[0] * np.float32(1.37), 0

    numbers = np.arange(4)

    @jax.jit
    def readings(X):
        def read(pairs):
            return {
                "cross": pairs.covariance.cross,
                "angle": pairs.covariance.angle,
                "distance": pairs.squared_distance,
                "inner": pairs.inner(jnp.sin),
                "matrix": pairs.matrix(lambda x, y: jnp.sum(x, axis=1)[:, None] * jnp.sum(y**2, axis=1)),
            }

        return read(CrossPairs(X, X, (numbers, numbers))), read(DiagonalPairs(X))

    wide = X.astype(np.float64)
    cross, diagonal = readings(X)
    expected = {
        "cross": wide @ wide.T / 5,
        "distance": np.sum((wide[:, None] - wide) ** 2, axis=-1),
        "inner": np.sin(wide) @ np.sin(wide).T,
        "matrix": np.outer(wide.sum(axis=1), np.sum(wide**2, axis=1)),
    }
    for name, matrix in expected.items():
        np.testing.assert_allclose(cross[name], matrix, rtol=0, atol=1e-6 * np.abs(matrix).max(), err_msg=name)
        np.testing.assert_allclose(diagonal[name], np.diag(matrix), rtol=0, atol=1e-6 * np.abs(matrix).max())
    for pairs in (np.diag(cross["angle"]), diagonal["angle"], np.diag(cross["distance"]), diagonal["distance"]):
        np.testing.assert_array_equal(pairs, 0)
    assert cross["angle"][0, 1] < 1e-6  # collinear, though the multiple was rounded


@pytest.mark.parametrize("decades", [12, 17])
def test_lengths_of_many_decades_scale_a_homogeneous_kernel(decades):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(70, 5)).astype(np.float32)
    sizes = (10.0 ** rng.uniform(-decades, decades, size=70)).astype(np.float32)
    kernel = rf.ntk(mlp(depth=2, width=1))
    K, scaled = np.asarray(kernel(X), float), np.asarray(kernel(X * sizes[:, None]), float)
    scale = np.sqrt(np.multiply.outer(np.diag(K), np.diag(K)))
    inside = np.abs(np.log10(np.multiply.outer(sizes, sizes))) < 30  # of the range of float32
    error = np.abs(scaled / np.multiply.outer(sizes.astype(float), sizes) - K) / scale
    assert error[inside].max() < 2e-6


def crowd(name: str) -> np.ndarray:
    """Points of which each has many near others: in the plane, in clusters, around one point far away, on a line."""
    rng = np.random.default_rng(5)
    clusters = np.repeat(rng.normal(size=(12, 40)), 10, axis=0)
    return {
        "plane": rng.normal(size=(120, 2)),
        "clusters": clusters + rng.choice([1e-6, 1e-3, 3e-2], size=(120, 1)) * rng.normal(size=(120, 40)),
        "offset": 30 + 0.1 * rng.normal(size=(120, 6)),
        "line": rng.normal(size=(120, 1)),
    }[name].astype("float32")


CROWDS = ["plane", "clusters", "offset", "line"]
CROWDED = {
    "relu": rf.ntk(mlp(depth=3, width=1)),
    "sign": rf.ntk(mlp(depth=2, width=1, activation=jnp.sign)),
    "rbf": rbf(0.1),
    "laplace": rf.laplace(0.3),
}


@pytest.mark.parametrize("name", CROWDS)
@pytest.mark.parametrize("kernel", CROWDED.values(), ids=CROWDED)
def test_crowds_are_as_right_as_a_few(name, kernel):
    X = crowd(name)
    exact = np.asarray(kernel(X.astype("float64"), X[::-1].astype("float64")))
    own = np.asarray(kernel.diag(X.astype("float64")))
    error = np.abs(np.asarray(kernel(X, X[::-1])) - exact) / np.sqrt(own[:, None] * own[::-1])
    assert error.max() < 1e-5


@pytest.mark.parametrize("kernel", CROWDED.values(), ids=CROWDED)
def test_slopes_in_crowds_are_those_of_more_digits(kernel):
    slope = jax.jit(jax.grad(lambda x: kernel(x, x[::-1]).sum()))
    for name in CROWDS:
        X = crowd(name)
        X = np.pad(X, ((0, 0), (0, 40 - X.shape[1])))  # of one shape, for one program
        found, exact = (np.asarray(slope(X.astype(dtype))) for dtype in ("float32", "float64"))
        assert np.abs(found - exact).max() < 1e-3 * max(1, np.abs(exact).max()), name


def test_crowds_stay_within_the_memory_bound():
    X = jnp.asarray(np.random.default_rng(0).normal(size=(400, 300)).astype("float32"))
    kernel = rf.ntk(mlp(depth=2, width=1))
    with rf.kernels.memory_bound(2**20):
        program = jax.jit(lambda X, Y: kernel(X, Y)).lower(X, X).compile()
    assert program.memory_analysis().temp_size_in_bytes < 4 * 2**20
