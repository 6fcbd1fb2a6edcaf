"""Coincident, nearly coincident, opposite and collinear points: where a Gram product has lost the angle.

The reference is 60-digit arithmetic on the very points that the kernel is given, rounded to its dtype.
"""

import numpy as np
import pytest

from rfjax import activations
from rfjax.kernels import InfiniteWidth, rbf
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
NAMES = [f"{name}, depth {depth}{', bias' if b else ''}" for name, depth, _, b in SETTINGS]


@pytest.fixture(scope="module", params=["float32", "float64"])
def table(request, stacked):
    """Both readings [2, n, m] of every setting at `points`, and their diagonals."""
    nets = [mlp(depth=d, width=1, activation=getattr(activations, n), w_std=w, b_std=b) for n, d, w, b in SETTINGS]
    kernel = stacked([InfiniteWidth(net, reading) for net in nets for reading in ("nngp", "ntk")])
    X, Y = points(np.dtype(request.param))
    values, left, right = (np.asarray(v) for v in (kernel(X, Y), kernel.diag(X), kernel.diag(Y)))
    assert values.dtype == request.param
    per = lambda v: dict(zip(SETTINGS, v.reshape(len(SETTINGS), 2, *v.shape[1:]), strict=True))
    return X, Y, per(values), per(left), per(right)


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_every_pair_is_within_the_budget(table, setting, mp_gram):
    X, Y, values, left, right = table
    exact = mp_gram(X, Y, *setting)
    diagonals = [mp_gram(V[:, None], V[:1], *setting) if False else None for V in ()]
    assert not diagonals
    own = [np.array([mp_gram([v], [v], *setting)[:, 0, 0] for v in V]).T for V in (X, Y)]
    scale = np.sqrt(own[0][:, :, None] * own[1][:, None, :])
    error = np.abs(values[setting] - exact) / np.where(scale > 0, scale, 1)
    assert error.max() < (1e-5 if X.dtype == np.float32 else 1e-12)
    eps = np.finfo(X.dtype).eps
    np.testing.assert_allclose(left[setting], own[0], rtol=20 * eps)
    np.testing.assert_allclose(right[setting], own[1], rtol=20 * eps)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_gap_to_the_diagonal_keeps_relative_digits(table, depth, mp_gram):
    # k(x,x)k(y,y) − k(x,y)² vanishes like θ for the NTK: what θ is worth shows in √(k(x,x)k(y,y)) − k(x,y) itself.
    X, Y, values, left, right = table
    setting = ("relu", depth, 2**0.5, 0.0)
    near = slice(4, 11)  # distances 1e-4 … 0.1 of the first point
    scale = np.sqrt(left[setting][1, 0].astype(float) * right[setting][1, near].astype(float))
    gap = scale - values[setting][1, 0, near].astype(float)
    x, y = X[:1], Y[near]
    exact_scale = np.sqrt([float(mp_gram(x, x, *setting)[1, 0, 0] * mp_gram([v], [v], *setting)[1, 0, 0]) for v in y])
    exact = exact_scale - mp_gram(x, y, *setting)[1, 0]
    resolution = 40 * np.finfo(X.dtype).eps * exact_scale
    assert (exact > 3 * resolution).all() or X.dtype == np.float32
    np.testing.assert_array_less(np.abs(gap - exact), resolution + 1e-3 * exact)


def test_zero_points_have_the_kernel_of_the_biases(table):
    X, Y, values, _, right = table
    zero = np.flatnonzero(~Y.any(axis=1))
    assert zero.size == 3
    for setting in SETTINGS:
        if setting[3] == 0:
            np.testing.assert_array_equal(values[setting][:, :, zero], 0)
            np.testing.assert_array_equal(right[setting][:, zero], 0)
        else:
            assert (values[setting][:, :, zero] > 0).all() and (right[setting][:, zero] > 0).all()


def test_narrow_rbf_keeps_small_distances(dtype):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(4, 6)) + 3  # far from the origin, where ‖x‖² + ‖y‖² − 2⟨x, y⟩ cancels
    X = np.concatenate([base, base + 1e-3 * rng.normal(size=(4, 6))]).astype(dtype)
    wide = X.astype(np.float64)
    distance = np.sum((wide[:, None] - wide) ** 2, axis=-1)
    k = rbf(3e-3)
    gram = np.asarray(k(X))
    assert gram.dtype == dtype
    exact = np.exp(-distance / (2 * 3e-3**2))
    assert ((exact > 0.1) & (exact < 0.9)).any()
    np.testing.assert_allclose(gram, exact, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)
    np.testing.assert_array_equal(np.diag(gram), 1)
