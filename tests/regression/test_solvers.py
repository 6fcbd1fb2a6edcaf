"""Every solver finds the solution of the same system, says how, and fails in words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import rfjax as rf
from rfjax.regression.solvers import choice
from rfjax.regression.solvers import cholesky as direct
from rfjax.regression.solvers.preconditioner import LowRank

RNG = np.random.default_rng(0)
N, M = 300, 7
X, Z = RNG.normal(size=(N, 3)), RNG.normal(size=(M, 3))
Y = np.stack([np.sin(X[:, 0]) + X[:, 1] ** 2, X[:, 2], np.zeros(N)], axis=1)
KERNEL = rf.rbf(1.5)
RIDGE = 0.1


def gram(X, Z):
    return np.exp(-((X[:, None] - Z) ** 2).sum(-1) / (2 * 1.5**2))


ALPHA = scipy.linalg.solve(gram(X, X) + RIDGE * np.eye(N), Y, assume_a="pos")
EXPECTED = gram(Z, X) @ ALPHA
CG = rf.solvers.ConjugateGradients


@pytest.mark.parametrize(
    "solver",
    [
        "cg",
        CG(preconditioner="nystrom", rank=40, tolerance=1e-8),
        CG(preconditioner="none", tolerance=1e-8),
        CG(rank=0, tolerance=1e-8, precision="full"),
        CG(rank=40, tolerance=1e-8, precision="mixed"),
    ],
)
def test_conjugate_gradients_solve_the_system(solver):
    fit = rf.ridge_regression(KERNEL, X, Y, ridge=RIDGE, solver=solver)
    assert fit.stats.solver == "cg" and fit.stats.form == "dual" and fit.stats.size == N
    assert bool(fit.stats.ok) and 0 < int(fit.stats.iterations) < N and fit.stats.seconds > 0
    left = (gram(X, X) + RIDGE * np.eye(N)) @ np.asarray(fit.coefficients) - Y
    reached = np.linalg.norm(left[:, :2], axis=0) / np.linalg.norm(Y[:, :2], axis=0)
    assert reached.max() < 1.01e-8
    assert float(fit.stats.residual) == pytest.approx(reached.max(), rel=1e-3)
    np.testing.assert_allclose(fit(Z), EXPECTED, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_preconditioner_saves_steps():
    steps = {
        rank: int(rf.ridge_regression(KERNEL, X, Y, ridge=1e-3, solver=CG(rank=rank, tolerance=1e-6)).stats.iterations)
        for rank in (0, 60, 200)
    }
    assert steps[0] > 3 * steps[60] > 3 * steps[200]


def test_float32_reaches_its_own_tolerance():
    fit = rf.ridge_regression(KERNEL, X.astype("float32"), Y.astype("float32"), ridge=RIDGE, solver="cg")
    assert fit.stats.dtype == fit.coefficients.dtype == "float32"
    assert float(fit.stats.residual) <= 1e-4
    np.testing.assert_allclose(fit(Z.astype("float32")), EXPECTED, rtol=0, atol=2e-3)


@pytest.mark.parametrize("ridge", [1.0, 1e-2, 1e-6])
def test_float32_says_whether_it_arrived(ridge):
    # Small ridges make ‖α‖ large, and with it what the rounding of K's entries does to the residual.
    y = RNG.normal(size=N)
    fit = rf.ridge_regression(KERNEL, X.astype("float32"), y.astype("float32"), ridge=ridge, solver="cg", throw=False)
    alpha = np.asarray(fit.coefficients, np.float64)
    reached = np.linalg.norm(gram(X, X) @ alpha + ridge * alpha - y) / np.linalg.norm(y)
    assert bool(fit.stats.ok) == (reached < 1e-3) == (ridge > 1e-4)


def test_conjugate_gradients_under_jit():
    def fit(ridge, y):
        return rf.ridge_regression(KERNEL, X, y, ridge=ridge, solver=CG(tolerance=1e-8)).coefficients

    np.testing.assert_allclose(jax.jit(fit)(RIDGE, Y[:, 0]), ALPHA[:, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "choice",
    [pytest.param("uniform", marks=pytest.mark.slow), "rpcholesky", pytest.param("leverage", marks=pytest.mark.slow)],
)
def test_centres_solve_the_restricted_problem(choice):
    solver = rf.solvers.Nystrom(centres=50, choice=choice, key=jax.random.key(1), tolerance=1e-10)
    fit = rf.ridge_regression(KERNEL, X, Y, ridge=RIDGE, solver=solver)
    centres = np.asarray(fit.X)
    assert fit.stats.form == "restricted" and fit.stats.size == len(centres) == 50
    assert (np.abs(centres[:, None] - X).sum(-1).min(axis=1) == 0).all()
    assert len(np.unique(centres, axis=0)) == 50
    A, b = gram(X, centres), gram(centres, centres)
    beta = scipy.linalg.solve(A.T @ A + RIDGE * b, A.T @ Y)
    np.testing.assert_allclose(fit(Z), gram(Z, centres) @ beta, rtol=0, atol=1e-5)


def test_many_centres_are_their_own_preconditioner():
    # So many that rows to sample for it would cost more than the steps that they save.
    X = RNG.normal(size=(600, 3))
    y = np.sin(X[:, 0])
    solver = rf.solvers.Nystrom(centres=560, key=jax.random.key(1), tolerance=1e-10)
    fit = rf.ridge_regression(KERNEL, X, y, ridge=RIDGE, solver=solver)
    centres = np.asarray(fit.X)
    A, b = gram(X, centres), gram(centres, centres)
    expected = gram(Z, centres) @ np.linalg.lstsq(A.T @ A + RIDGE * b, A.T @ y, rcond=1e-14)[0]
    assert fit.stats.size == 560 and 0 < int(fit.stats.iterations) < 20
    np.testing.assert_allclose(fit(Z), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_all_points_as_centres_are_the_whole_problem(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, X)
    on_disk = np.load(path, mmap_mode="r")
    fit = rf.ridge_regression(KERNEL, on_disk, Y[:, 0], ridge=RIDGE, solver=rf.solvers.Nystrom(centres=X))
    assert fit.coefficients.shape == (N,)
    np.testing.assert_allclose(fit(Z), EXPECTED[:, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "solver", ["cholesky", *(pytest.param(s, marks=pytest.mark.slow) for s in ("cg", "nystrom", "eigenpro"))]
)
def test_a_kernel_of_nothing_but_zeros_fits_nothing(solver):
    X = np.zeros((8, 3))
    fit = rf.ridge_regression(rf.polynomial(1, 1.0, 0.0), X, Y[:8], ridge=RIDGE, solver=solver, key=jax.random.key(0))
    assert bool(fit.stats.ok)
    np.testing.assert_array_equal(fit(X), 0)


@pytest.mark.slow
@pytest.mark.parametrize("stored", [np.asarray, jnp.asarray])
def test_stochastic_descent_arrives(stored):
    solver = rf.solvers.EigenPro(batch=64, subsample=200, directions=60, tolerance=1e-4, epochs=300)
    fit = rf.ridge_regression(KERNEL, stored(X), Y, ridge=1.0, solver=solver)
    alpha = scipy.linalg.solve(gram(X, X) + np.eye(N), Y)
    assert float(fit.stats.residual) < 1.1e-4
    np.testing.assert_allclose(fit(Z), gram(Z, X) @ alpha, rtol=0, atol=3e-3)


@pytest.mark.slow
def test_blocks_of_any_size_are_the_same(monkeypatch):
    for module in (rf.regression.solvers.columns, rf.regression.solvers.eigenpro):
        monkeypatch.setattr(module, "_ENTRIES", 50 * 77)
    solver = rf.solvers.Nystrom(centres=X[:50], tolerance=1e-10)
    A, b = gram(X, X[:50]), gram(X[:50], X[:50])
    beta = scipy.linalg.solve(A.T @ A + RIDGE * b, A.T @ Y)
    for nbytes in (8 * N * 50, 8 * N * 50 - 1):  # with room for all of k(X, Z), and not
        with rf.kernels.memory_bound(nbytes):
            fit = rf.ridge_regression(KERNEL, X, Y, ridge=RIDGE, solver=solver)
        np.testing.assert_allclose(fit(Z), gram(Z, X[:50]) @ beta, rtol=0, atol=1e-5)
    slow = rf.solvers.EigenPro(batch=50, subsample=200, directions=60, tolerance=1e-3, epochs=300)
    fit = rf.ridge_regression(KERNEL, X, Y, ridge=1.0, solver=slow)
    assert float(fit.stats.residual) < 1.1e-3


def test_cholesky_in_place_is_cholesky(monkeypatch):
    monkeypatch.setattr(direct, "_IN_PLACE", 100)
    monkeypatch.setattr(direct, "_TILE", 64)
    fit = rf.ridge_regression(KERNEL, X, Y, ridge=RIDGE, solver="cholesky")
    np.testing.assert_allclose(fit.coefficients, ALPHA, rtol=0, atol=1e-11)
    assert fit.stats.memory == 8 * N * N
    assert float(fit.stats.residual) < 1e-13
    twice = np.concatenate([X, X])
    with pytest.raises(ValueError, match=r"600 x 600 matrix plus ridge=0 .* ridge=.* works"):
        rf.ridge_regression(KERNEL, twice, np.concatenate([Y, Y]), ridge=0.0, solver="cholesky")
    failed = rf.ridge_regression(KERNEL, twice, np.concatenate([Y, Y]), ridge=0.0, solver="cholesky", throw=False)
    assert not bool(failed.stats.ok) and np.isnan(failed(Z)).all()


def test_a_feature_map_by_conjugate_gradients():
    phi = rf.random_neurons(3, 20, key=jax.random.key(0))
    one, other = (rf.ridge_regression(phi, X, Y, ridge=RIDGE, solver=solver) for solver in ("cholesky", "cg"))
    np.testing.assert_allclose(other(Z), one(Z), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="a feature map knows cholesky and cg"):
        rf.ridge_regression(phi, X, Y, ridge=RIDGE, solver=rf.solvers.Nystrom(key=jax.random.key(0)))


def test_low_rank_inverse(dtype):
    factor = RNG.normal(size=(5, 40)).astype(dtype)
    V = RNG.normal(size=(40, 2)).astype(dtype)
    inverse = LowRank.of(jnp.asarray(factor), jnp.asarray(0.3, dtype))
    exact = np.linalg.solve(factor.T.astype(float) @ factor + 0.3 * np.eye(40), V)
    np.testing.assert_allclose(inverse(V), exact, rtol=0, atol=1e3 * np.finfo(dtype).eps)


def test_auto_goes_by_size_and_memory(monkeypatch):
    class Data:
        def __init__(self, n, dtype="float32"):
            self.shape, self.dtype = (n, 10), np.dtype(dtype)

    monkeypatch.setattr(choice, "free_memory", lambda: 8 * 2**30)
    cases = {1000: "cholesky", 20_000: "cholesky", 36_000: "cg", 200_000: "cg", 1_000_000: "nystrom"}
    for n, name in cases.items():
        solver, reason = choice.choose(Data(n), None, traced=False)
        assert solver.name == name and str(n) in reason
    monkeypatch.setattr(choice, "free_memory", lambda: 2**28)
    assert choice.choose(Data(10_000), None, traced=False)[0].name == "cg"
    assert choice.choose(Data(10**7), None, traced=True)[0].name == "cholesky"
    fit = rf.ridge_regression(KERNEL, X, Y, ridge=RIDGE)
    assert fit.stats.solver == "cholesky" and "300 x 300" in fit.stats.reason
    assert choice.free_memory() > 0


def test_auto_factors_where_steps_would_take_longer(monkeypatch):
    monkeypatch.setattr(choice, "_DIRECT", 100)
    fit = rf.ridge_regression(KERNEL, X, Y, ridge=1e-7)
    assert fit.stats.solver == "cholesky" and "1 steps did not reach" in fit.stats.reason and fit.stats.ok
    exact = rf.ridge_regression(KERNEL, X, Y, ridge=1e-7, solver="cholesky")
    np.testing.assert_array_equal(fit.coefficients, exact.coefficients)
    monkeypatch.setattr(choice, "_FACTORED", 1)
    fit = rf.ridge_regression(KERNEL, X, Y, ridge=RIDGE)
    assert fit.stats.solver == "cg" and fit.stats.iterations > 0 and "300 products" in fit.stats.reason


def test_a_killed_solve_goes_on(tmp_path):
    path = str(tmp_path / "solve.npz")
    short = CG(rank=0, tolerance=1e-8, max_iterations=15, precision="full", checkpoint=path)
    with pytest.raises(ValueError, match=r"relative residual of .* in 15 steps"):
        rf.ridge_regression(KERNEL, X, Y, ridge=RIDGE, solver=short)
    with pytest.raises(rf.storage.StorageError, match="another problem"):
        rf.ridge_regression(KERNEL, X, Y, ridge=2 * RIDGE, solver=short)
    long = CG(rank=0, tolerance=1e-8, precision="full", checkpoint=path)
    seen = []
    resumed = CG(rank=0, tolerance=1e-8, precision="full", checkpoint=path, progress=lambda done, _: seen.append(done))
    fit = rf.ridge_regression(KERNEL, X, Y, ridge=RIDGE, solver=resumed)
    assert min(seen) > 15 and not (tmp_path / "solve.npz").exists()
    whole = rf.ridge_regression(KERNEL, X, Y, ridge=RIDGE, solver=long)
    np.testing.assert_allclose(fit.coefficients, whole.coefficients, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: CG(tolerance=-1.0), ValueError, "tolerance"),
        (lambda: CG(preconditioner="jacobi"), ValueError, "preconditioner must be one of"),
        (lambda: CG(precision="half"), ValueError, "precision must be one of"),
        (lambda: rf.solvers.Nystrom(choice="best"), ValueError, "choice must be one of"),
        (lambda: rf.solvers.Nystrom(centres=0), ValueError, "centres"),
        (lambda: rf.solvers.EigenPro(epochs=0), ValueError, "epochs"),
        (lambda: rf.ridge_regression(KERNEL, X, Y, ridge=1.0, solver="newton"), ValueError, "solver must be one of"),
        (lambda: rf.ridge_regression(KERNEL, X, Y, ridge=1.0, solver=3), TypeError, "solver must be a name"),
        (lambda: rf.ridge_regression(KERNEL, X, Y, ridge=1.0, solver="nystrom"), ValueError, "key is required"),
        (lambda: rf.kernels.pivoted_cholesky(KERNEL, X, N + 1, key=jax.random.key(0)), ValueError, "rank must be at most"),
        (
            lambda: jax.jit(lambda y: rf.ridge_regression(KERNEL, X, y, ridge=1.0, solver="eigenpro").coefficients)(Y),
            TypeError,
            "not traceable",
        ),
        (
            lambda: rf.ridge_regression(KERNEL, np.where(X > 2.5, np.nan, X), Y, ridge=1.0, solver="eigenpro"),
            ValueError,
            "X must be finite",
        ),
        (
            lambda: rf.ridge_regression(
                KERNEL, X, Y, ridge=1e-9, solver=rf.solvers.EigenPro(epochs=2, subsample=100, tolerance=1e-6)
            ),
            ValueError,
            "eigenpro reached a relative residual of",
        ),
        (
            lambda: rf.ridge_regression(
                KERNEL, X.astype("float32"), Y.astype("float32"), ridge=1e-7, solver=CG(tolerance=1e-9)
            ),
            ValueError,
            "in float32, not the tolerance 1e-09.*float64",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_told(call, error, message):
    with pytest.raises(error, match=message):
        call()
