"""Every file the project writes: whole or not at all, versioned, keyed by configuration, one writer at a time."""

import contextlib
import fcntl
import hashlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

VERSION = 1
_APPLICATION = 0x52464A58  # "RFJX" in the SQLite header: a file of another program is never taken for a store


class StorageError(Exception):
    """A folder that cannot be written, or a store that is not ours to write: one line, nothing was changed."""


def fingerprint(settings: Mapping[str, Any]) -> str:
    """A short stable hash of JSON-able settings: equal settings give equal results."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    **Raises** StorageError when the folder cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def open_folder(path: Path) -> Path:
    """The folder, made if need be and proved writable.  Raises StorageError otherwise."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise StorageError(f"cannot write to the folder {path}: {error.strerror}") from error
    return path


class Store:
    """Finished cells of experiments in one SQLite file, kept through interruption and kill.

    A cell is named by the fingerprint of its settings; its rows are stored in one transaction when it is finished.
    Runs record the configuration, versions and device under which cells were computed.
    """

    def __init__(self, connection: sqlite3.Connection, run: int):
        self._connection, self._run = connection, run

    def rows(self, cell: str) -> list[dict[str, Any]] | None:
        """The rows of a finished cell, or None when it is not finished."""
        found = self._connection.execute("SELECT rows FROM cells WHERE cell = ?", (cell,)).fetchone()
        return None if found is None else json.loads(found[0])

    def finish(self, cell: str, settings: Mapping[str, Any], rows: list[dict[str, Any]], seconds: float) -> None:
        """Record a finished cell; a second result for the same cell leaves the first as it is."""
        with self._connection:
            self._connection.execute(
                "INSERT OR IGNORE INTO cells VALUES (?, ?, ?, ?, ?, ?)",
                (cell, self._run, json.dumps(settings, sort_keys=True), json.dumps(rows), seconds, time.time()),
            )


@contextlib.contextmanager
def open_store(path: Path, configuration: Mapping[str, Any]) -> Iterator[Store]:
    """Open the store at `path`, making it if need be, and record a run of this configuration; one writer at a time.

    **Raises** StorageError, with nothing changed, when the folder cannot be written, the file is no store or one of
    another version, or another process holds it.
    """
    open_folder(path.parent)
    with _lock(path.with_name(path.name + ".lock"), path):
        connection = None
        try:
            connection = sqlite3.connect(path)
            _check(connection, path)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            with connection:
                run = connection.execute(
                    "INSERT INTO runs (started, configuration) VALUES (?, ?)",
                    (time.time(), json.dumps(configuration, sort_keys=True)),
                ).lastrowid
            yield Store(connection, int(run or 0))
        except sqlite3.OperationalError as error:
            raise StorageError(f"cannot write {path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StorageError(f"{path} is not an rfjax store ({error}): choose another folder") from error
        finally:
            if connection is not None:
                connection.close()


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Make an empty file a store; refuse what is another program's or another version's."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if empty and application == 0 and version == 0:
        with connection:
            connection.execute("BEGIN")
            connection.execute("CREATE TABLE runs (run INTEGER PRIMARY KEY, started REAL, configuration TEXT)")
            connection.execute(
                "CREATE TABLE cells (cell TEXT PRIMARY KEY, run INTEGER REFERENCES runs, settings TEXT, rows TEXT,"
                " seconds REAL, finished REAL)"
            )
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
    elif application != _APPLICATION:
        raise StorageError(f"{path} is not an rfjax store: choose another folder")
    elif version != VERSION:
        raise StorageError(
            f"{path} is a store of version {version}, this rfjax writes version {VERSION}: choose another folder"
        )


@contextlib.contextmanager
def _lock(lock: Path, path: Path) -> Iterator[None]:
    try:
        file = lock.open("a")
    except OSError as error:
        raise StorageError(f"cannot write {lock}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageError(f"{path} is in use by another run: wait for it, or choose another folder") from error
        yield
