"""Tables are read as they stand, and what is wrong with one is said by column and row."""

import sys

import numpy as np
import pytest

from rfjax.datasets import Source, folds, read, split

pytest.importorskip("pandas")
GOOD = "age,city,income\n1,Rome,10.5\n2,Paris,11\n3,Rome,12.25\n4,Paris,9\n"


@pytest.fixture
def table(tmp_path):
    """A function from the text of a CSV file, or arrays, to a source of it."""

    def write(content, suffix=".csv", **settings):
        path = tmp_path / f"table{len(list(tmp_path.iterdir()))}{suffix}"
        if isinstance(content, dict):
            np.savez(path, **content)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Source(str(path), **settings)

    return write


def test_text_columns_become_a_column_a_value_and_the_last_is_the_target(table):
    found = read(table(GOOD))
    assert found.columns == ("age", "city=Paris", "city=Rome")
    np.testing.assert_array_equal(found.X, [[1, 0, 1], [2, 1, 0], [3, 0, 1], [4, 1, 0]])
    np.testing.assert_array_equal(found.y, [10.5, 11, 12.25, 9])
    assert (found.target, found.task) == ("income", "regression")


@pytest.mark.parametrize(
    "text", [GOOD.replace(",", ";"), GOOD.replace(",", "\t"), "\ufeff" + GOOD, GOOD.replace(",", ", ")]
)
def test_other_separators_and_marks_read_the_same(table, text):
    same, found = read(table(GOOD)), read(table(text))
    assert found.columns == same.columns
    assert found.fingerprint == same.fingerprint


def test_a_file_of_numbers_alone_has_no_header(table):
    found = read(table("1,2,0.5\n3,4,1.5\n5,6,2.5\n"))
    assert found.columns == ("1", "2")
    np.testing.assert_array_equal(found.y, [0.5, 1.5, 2.5])


def test_targets_are_classes_where_they_look_like_it_or_where_told(table):
    by_text = read(table(GOOD, target="city"))
    assert by_text.classes == ("Paris", "Rome")
    np.testing.assert_array_equal(by_text.y, [1, 0, 1, 0])
    whole = "x,y\n" + "\n".join(f"{i},{i % 2}" for i in range(8))
    assert read(table(whole)).task == "classification"
    assert read(table(whole, task="regression")).task == "regression"
    assert read(table("x,y\n1,true\n2,false\n3,true\n4,false\n")).classes == ("False", "True")


def test_npz_files_hold_points_and_targets(table):
    X, y = np.arange(12.0).reshape(6, 2), np.linspace(0.5, 3, 6)
    found = read(table({"X": X, "y": y}, ".npz"))
    np.testing.assert_array_equal(found.X, X)
    np.testing.assert_array_equal(found.y, y)
    other = read(table({"X": X, "y": y, "z": y[::-1]}, ".npz", target="z", drop=("y",)))
    np.testing.assert_array_equal(other.y, y[::-1])
    with pytest.raises(ValueError, match=r"X \[6, 2\]"):
        read(table({"X": X, "y": y[:3]}, ".npz"))


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("a,b,y\n1,,0.5\n2,3,1.5\n,4,2.5\n", {}, r"column 'a' \(row 3\); column 'b' \(row 1\)"),
        ("a,y\n1,0.5\n2,\n", {}, r"column 'y' \(row 2\)"),
        ("a,y\n1,0.5\n2,1.5\nthree,2.5\n", {}, r"column 'a' holds 1 entries that are no numbers, such as 'three' \(row 3\)"),
        ("a,y\n1,0.5\ninf,1.5\n", {}, r"column 'a' holds infinite values \(row 2\)"),
        (GOOD, {"target": "incme"}, "target must name a column, and there is no 'incme': did you mean 'income'"),
        (GOOD, {"drop": ("Age",)}, "drop must name a column, and there is no 'Age': did you mean 'age'"),
        (GOOD, {"target": "zzz"}, "There are 'age', 'city', 'income'"),
        (GOOD, {"drop": ("income",)}, "drop must leave the target"),
        ("a,y\n1,2\n2,2\n3,2\n", {"task": "regression"}, "the target 'y' is 2 in every row"),
        ("a,y\n1,no\n2,no\n3,no\n", {}, "the target 'y' is no in every row"),
        ("a,y\n1,u\n2,v\n3,v\n", {}, "each class needs at least two rows: 'u'"),
        ("y\n1\n2\n", {}, "no column beside its target"),
        ("a,y\n", {}, "has no rows"),
        ("", {}, "cannot read a table"),
        (b"\xff\xfe\x00\x01,\x80", {}, "cannot read"),
        ("a,a,y\n1,2,3\n", {}, "more than one column 'a'"),
        ("name,y\n" + "".join(f"n{i},{i / 7}\n" for i in range(40)), {}, "column 'name' holds 40 different texts"),
        ("x,y\n" + "".join(f"{i},n{i % 25}\n" for i in range(50)), {}, "25 different values in 50 rows"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(table, text, settings, message):
    with pytest.raises(ValueError, match=message):
        read(table(text, **settings))


def test_files_that_are_none(table, tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        read(Source(str(tmp_path / "none.csv")))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match="Is a directory"):
        read(Source(str(tmp_path / "folder.csv")))
    with pytest.raises(ValueError, match=r"must be a file \(.csv, .tsv, .parquet, .npz\) or one of digits, diabetes"):
        read(Source("digit"))
    with pytest.raises(ValueError, match="cannot read arrays"):
        read(table("no zip", ".npz"))
    with pytest.raises(ValueError, match="rows must be at least 1"):
        Source("digits", rows=0)


def test_parquet_without_pyarrow_says_so(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        read(table("anything", ".parquet"))


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    import pandas

    frame = pandas.DataFrame({"a": [1, 2, None], "b": ["u", "v", "u"], "c": [True, False, True], "y": [0.5, 1.5, 2.5]})
    frame.dropna().to_parquet(tmp_path / "good.parquet")
    assert read(Source(str(tmp_path / "good.parquet"))).columns == ("a", "b=u", "b=v", "c")
    frame.to_parquet(tmp_path / "holes.parquet")
    with pytest.raises(ValueError, match=r"column 'a' \(row 3\)"):
        read(Source(str(tmp_path / "holes.parquet")))
    frame.assign(t=pandas.Timestamp("2020-01-01")).dropna().to_parquet(tmp_path / "dates.parquet")
    with pytest.raises(ValueError, match=r"column 't' of .* holds Timestamp"):
        read(Source(str(tmp_path / "dates.parquet"), target="y"))


def test_folds_share_the_rows_out_and_keep_the_classes_shares():
    pytest.importorskip("sklearn")
    table = read(Source("digits", rows=403))
    held = folds(table, 5, 0)
    assert [len(rows) for rows in held] == [80] * 5
    assert len(np.unique(np.concatenate(held))) == 400
    shares = np.stack([np.bincount(table.y[rows], minlength=10) for rows in held])
    assert (shares.max(axis=0) - shares.min(axis=0) <= 1).all()
    with pytest.raises(ValueError, match="403 rows: 200 folds need at least 800"):
        folds(table, 200, 0)


def test_scaling_never_sees_the_rows_held_out(table):
    rng = np.random.default_rng(0)
    X, y = rng.normal(3, 2, (40, 3)), rng.normal(size=40)
    X[:, 2] = 0
    spoiled = X.copy()
    held = folds(read(table({"X": X, "y": y}, ".npz")), 4, 0)[0]
    spoiled[held] += 100 * rng.normal(size=(10, 3))
    fold, other = (split(read(table({"X": inputs, "y": y}, ".npz")), held, "float64") for inputs in (X, spoiled))
    np.testing.assert_array_equal(fold.X, other.X)
    np.testing.assert_allclose(fold.X[:, :2].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(fold.X[:, :2].std(axis=0), 1)
    assert (fold.X[:, 2] == 0).all()
    assert (other.X_new[:, 2] == 0).all()  # a column that says nothing where it is fitted
    np.testing.assert_allclose(
        fold.Y_new[:, 0] * y[np.setdiff1d(range(40), held)].std(), y[held] - np.delete(y, held).mean()
    )
    np.testing.assert_allclose(fold.scale, np.delete(y, held).var() / y.var())
