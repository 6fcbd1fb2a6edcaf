"""Files are whole or absent, stores are refused when they are not ours, and finished cells survive."""

import contextlib
import sqlite3
import subprocess
import sys

import pytest

from rfjax.storage import VERSION, StorageError, fingerprint, open_store, write_whole


def test_fingerprint_ignores_order_and_sees_every_value():
    assert fingerprint({"a": 1, "b": [1.5]}) == fingerprint({"b": [1.5], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_write_whole_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "figure.svg"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["figure.svg"]


def test_finished_cells_are_found_again_and_first_results_stay(tmp_path):
    path = tmp_path / "deep" / "store.sqlite"
    with open_store(path, {"seed": 0}) as store:
        store.finish("cell", {"d": 3}, [{"error": 0.5}], 1.0)
        store.finish("cell", {"d": 3}, [{"error": 0.7}], 1.0)
    with open_store(path, {"seed": 1}) as store:
        assert store.rows("cell") == [{"error": 0.5}]
        assert store.rows("another") is None
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert [row[0] for row in connection.execute("SELECT configuration FROM runs")] == [
            '{"seed": 0}',
            '{"seed": 1}',
        ]


def test_another_version_is_refused_and_untouched(tmp_path):
    path = tmp_path / "store.sqlite"
    with open_store(path, {}):
        pass
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match=f"version {VERSION + 1}"), open_store(path, {}):
        pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be read as one" * 30, None])
def test_another_programs_file_is_refused_and_untouched(tmp_path, content):
    path = tmp_path / "store.sqlite"
    if content is None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
        connection.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="not an rfjax store"), open_store(path, {}):
        pass
    assert path.read_bytes() == before


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"), open_store(tmp_path / "file" / "store.sqlite", {}):
        pass


def test_one_writer_at_a_time(tmp_path):
    path = tmp_path / "store.sqlite"
    code = f"""
from pathlib import Path
from rfjax.storage import StorageError, open_store
try:
    with open_store(Path({str(path)!r}), {{}}):
        print("opened")
except StorageError as error:
    print(error)
"""
    with open_store(path, {}):
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "in use by another run" in found
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "opened\n"
