"""The comparison: its contenders predict what the library's verbs do, its arithmetic is that of the books."""

import contextlib
import json
import re
import sqlite3

import jax
import numpy as np
import pytest

from rfjax.datasets import Source, folds, read, split
from rfjax.experiments import compare
from rfjax.experiments.contenders import CONTENDERS, errors
from rfjax.experiments.paired import standings, verdict

pytest.importorskip("pandas")
LABELS = compare.LABELS


def row(view, fold, error):
    return {
        "view": view,
        "fold": fold,
        "error": error,
        "seconds": 1.0 + fold,
        "fit_seconds": 0.5,
        "memory": fold,
        "chosen": {},
    }


def rows(**errors):
    return [row(view, fold, error) for view, found in errors.items() for fold, error in enumerate(found)]


def test_standard_errors_are_paired_and_count_the_rows_that_folds_share():
    network, ntk = [0.3, 0.5, 0.4, 0.6], [0.25, 0.42, 0.37, 0.51]
    first, second = standings(rows(network=network, ntk=ntk))
    assert (first.view, second.view) == ("ntk", "network")
    difference = np.subtract(ntk, network)
    np.testing.assert_allclose(first.difference, difference.mean())
    np.testing.assert_allclose(first.difference_stderr**2, difference.var(ddof=1) * (1 / 4 + 1 / 3))
    np.testing.assert_allclose(second.stderr**2, np.var(network, ddof=1) * (1 / 4 + 1 / 3))
    assert second.difference is None
    assert (first.seconds, first.memory) == (2.5, 3)


@pytest.mark.parametrize(
    ("ntk", "rbf", "said"),
    [
        ([0.40, 0.51, 0.59], [0.45, 0.56, 0.64], "Yes: the network beats every kernel here; the best, the NTK kernel"),
        ([0.20, 0.31, 0.39], [0.45, 0.56, 0.64], "No: the NTK kernel errs by 0.1"),
        ([0.20, 0.31, 0.39], [0.19, 0.30, 0.38], r"No: the RBF kernel errs by 0.11 .* \(and the NTK kernel too\)"),
        (
            [0.20, 0.50, 0.45],
            [0.45, 0.56, 0.64],
            "Not clearly: the NTK kernel, the best of the kernels, errs by .* less",
        ),
        ([0.40, 0.51, 0.59], [0.25, 0.50, 0.70], "Not clearly: the RBF kernel, .* more"),
    ],
)
def test_the_verdict_counts_differences_beyond_two_standard_errors(ntk, rbf, said):
    found = standings(rows(network=[0.3, 0.4, 0.5], ntk=ntk, rbf=rbf))
    assert re.match(said, verdict(found, LABELS)), verdict(found, LABELS)


def test_errors_are_shares_of_rows_and_mean_squares():
    Y = np.eye(3)[[0, 1, 2, 2]]
    assert errors(Y[[1, 1, 2, 0]], Y, True) == 0.5
    assert errors(Y + 2, Y, False) == 4
    np.testing.assert_array_equal(errors(np.stack([Y, Y * np.nan]), Y, True), [0, np.inf])


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A function linear in one column, and two classes; 48 rows each."""
    folder, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    X = rng.normal(size=(48, 3))
    np.savez(folder / "line.npz", X=X, y=2 * X[:, 0] + 0.1 * rng.normal(size=48))
    words = "\n".join(f"{a},{b},{'up' if a > 0 else 'down'}" for a, b in X[:, :2])
    (folder / "signs.csv").write_text(f"a,b,sign\n{words}\n")
    return folder


@pytest.fixture
def standard():
    """Optax needs the promotion that users have."""
    jax.config.update("jax_numpy_dtype_promotion", "standard")  # for threads too
    yield
    jax.config.update("jax_numpy_dtype_promotion", "strict")


def small(path, **changes):
    source = Source(str(path))
    return compare.with_changes(
        "smoke", source, **{"width": 16, "features": 32, "steps": (10, 100), "folds": 2, **changes}
    )


def test_the_rows_say_what_ridge_regression_says(tables, tmp_path, standard):
    spec = small(tables / "line.npz", views=("rbf",), lengths=(2.0,), ridges=(0.1,))
    first, second = compare.run(spec, tmp_path)
    from sklearn.kernel_ridge import KernelRidge

    table = read(spec.source)
    for found, held in zip((first, second), folds(table, 2, 0), strict=True):
        fold = split(table, held, "float64")
        length = 2 * np.sqrt(3)
        theirs = KernelRidge(alpha=0.1, kernel="rbf", gamma=1 / (2 * length**2)).fit(fold.X, fold.Y).predict(fold.X_new)
        fit = np.setdiff1d(range(48), held)
        back = theirs[:, 0] * table.y[fit].std() + table.y[fit].mean()
        np.testing.assert_allclose(found["error"], np.mean((back - table.y[held]) ** 2) / table.y.var(), rtol=1e-8)
        np.testing.assert_allclose(found["chosen"]["length_scale"], length)
        constant = np.mean((table.y[fit].mean() - table.y[held]) ** 2) / table.y.var()
        np.testing.assert_allclose(found["constant"], constant)
        assert found["memory"] is None or found["memory"] >= 0
    for name in ("compare.png", "compare.svg"):
        assert (tmp_path / name).stat().st_size > 3000
    with contextlib.closing(sqlite3.connect(tmp_path / "compare.sqlite")) as connection:
        configuration = json.loads(connection.execute("SELECT configuration FROM runs").fetchone()[0])
    assert configuration["target"] == "y" and len(configuration["cells"]) == 2
    assert compare.run(spec, tmp_path) == [first, second]  # from the store: the same seconds


@pytest.mark.slow
def test_the_network_learns_classes_too(tables, tmp_path, standard):
    found = compare.run(small(tables / "signs.csv", views=("network",), rates=(0.03,)), tmp_path)
    assert {row["task"] for row in found} == {"classification"}
    assert np.mean([row["error"] for row in found]) < 0.5 * np.mean([row["constant"] for row in found])
    assert {row["chosen"]["steps"] for row in found} <= {10, 100}


@pytest.mark.slow
def test_every_contender_learns_a_line_and_two_classes(tables, tmp_path, standard):
    for name in ("line.npz", "signs.csv"):
        found = standings(compare.run(small(tables / name), tmp_path / name))
        assert {standing.view for standing in found} == set(CONTENDERS)
        for standing in found:
            assert standing.error < 0.45, (name, standing)


@pytest.mark.slow
def test_many_rows_are_fitted_through_centres_and_blocks(tmp_path, standard):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(44_000, 2)).astype("float32")
    np.savez(tmp_path / "many.npz", X=X, y=np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=44_000))
    spec = small(
        tmp_path / "many.npz", views=("rbf", "random_features"), exact=300, centres=100, features=512, dtype="float32"
    )
    spec = compare.replace(spec, source=Source(str(tmp_path / "many.npz")))
    for standing in standings(compare.run(spec, tmp_path)):
        assert standing.error < 0.1, standing


def test_a_table_that_changed_or_is_too_small_is_refused(tables, tmp_path):
    spec = small(tables / "line.npz", views=("rbf",))
    with pytest.raises(ValueError, match="has changed since"):
        compare._measure(spec, "another", "rbf", 0)
    (tmp_path / "three.csv").write_text("a,y\n1,0.5\n2,1.5\n3,2.5\n")
    with pytest.raises(ValueError, match="three has 3 rows: 5 folds need at least 20"):
        compare.run(compare.with_changes("default", Source(str(tmp_path / "three.csv"))), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": ("ntk", "forest")}, "views must be one of network"),
        ({"steps": ()}, "steps must not be empty"),
        ({"rates": (0.0,)}, "rates must be a finite number > 0"),
        ({"folds": 1}, "folds must be at least 2"),
        ({"rounds": 5}, "rounds must be at most 4"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        compare.Spec(Source("digits"), **changes)
