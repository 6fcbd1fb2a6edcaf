"""Every file the project writes: whole or not at all, versioned, keyed by configuration, one writer at a time."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

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
    with replaced(path) as file:
        file.write(content)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of `path` once it is complete, and is gone if an error ends it.

    **Raises** StorageError when the folder cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
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


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `path` as its only writer, by a lock file beside it that is gone afterwards.

    **Raises** StorageError when another writer holds it or the folder cannot be written.
    """
    lock = path.with_name(path.name + ".lock")
    with contextlib.ExitStack() as stack:
        while True:
            try:
                file = stack.enter_context(lock.open("a"))
            except OSError as error:
                raise StorageError(f"cannot write {lock}: {error.strerror}") from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file.fileno()).st_ino == lock.stat().st_ino:
                    break
            except FileNotFoundError:
                continue  # its last holder removed it between our opening and our locking
            except OSError as error:
                raise StorageError(f"{path} is in use by another run: wait for it, or choose another folder") from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


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

    def complete(self, cells: Sequence[str]) -> None:
        """Record that this run is complete, and which cells in which order it consists of."""
        with self._connection:
            self._connection.execute(
                "UPDATE runs SET configuration = json_set(configuration, '$.cells', json(?)) WHERE run = ?",
                (json.dumps(list(cells)), self._run),
            )


@contextlib.contextmanager
def open_store(path: Path, configuration: Mapping[str, Any]) -> Iterator[Store]:
    """Open the store at `path`, making it if need be, and record a run of this configuration; one writer at a time.

    **Raises** StorageError, with nothing changed, when the folder cannot be written, the file is no store or one of
    another version, or another process holds it.
    """
    open_folder(path.parent)
    with locked(path):
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


class StoredRun(NamedTuple):
    """A run as it was recorded: when it began, its configuration, and once complete the cells that it consists of."""

    started: float
    configuration: dict[str, Any]
    cells: list[str] | None


class StoredCell(NamedTuple):
    """A finished cell: its settings and rows."""

    settings: dict[str, Any]
    rows: list[dict[str, Any]]


class Stored(NamedTuple):
    """What a store holds: its runs in their order, and its finished cells by key, in the order they were finished."""

    runs: list[StoredRun]
    cells: dict[str, StoredCell]


def read_store(path: Path) -> Stored:
    """Everything in a store, without changing it; also while a run writes to it.

    **Raises** StorageError for a file that cannot be read or is no store of this version.
    """
    if not path.is_file():
        raise StorageError(f"there is no store {path}")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            application, version = (
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
            )
            if application != _APPLICATION or version != VERSION:
                raise StorageError(f"{path} is not an rfjax store of version {VERSION}")
            runs = connection.execute("SELECT started, configuration FROM runs ORDER BY run").fetchall()
            cells = connection.execute("SELECT cell, settings, rows FROM cells ORDER BY finished").fetchall()
    except sqlite3.DatabaseError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    configurations = [(started, json.loads(text)) for started, text in runs]
    return Stored(
        [StoredRun(started, found, found.get("cells")) for started, found in configurations],
        {cell: StoredCell(json.loads(settings), json.loads(rows)) for cell, settings, rows in cells},
    )


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


class ArrayFile:
    """An .npy file that is written in numbered parts, each kept once it is finished."""

    def __init__(self, matrix: np.ndarray, journal: IO[str], finished: set[int]):
        self._matrix, self._journal, self.finished = matrix, journal, finished

    def finish(self, part: int, write: Callable[[np.ndarray], None]) -> None:
        """Have `write` fill its part of the array, and record it once it is on the disk.  Raises StorageError."""
        try:
            write(self._matrix)
            if isinstance(self._matrix, np.memmap):
                self._matrix.flush()
            print(part, file=self._journal, flush=True)
            os.fsync(self._journal.fileno())
        except OSError as error:
            raise StorageError(
                f"cannot write {self._journal.name}: {error.strerror}; what is finished is kept"
            ) from error
        self.finished.add(part)


@contextlib.contextmanager
def open_array(
    path: Path,
    configuration: Mapping[str, Any],
    shape: tuple[int, ...],
    dtype: np.dtype,
    parts: int,
    *,
    overwrite: bool = False,
) -> Iterator[ArrayFile]:
    """Write the .npy file `path` in `parts`, or go on with it; it has its name once all of them are finished.

    Until then it is `path`.partial, and the journal `path`.progress holds the configuration and, a line each, what is
    finished.  One writer at a time.

    **Raises** StorageError, with nothing changed, when the folder cannot be written, the file exists (unless
    `overwrite`), does not fit on the disk or was begun with another configuration, or another process writes it.
    """
    open_folder(path.parent)
    partial, journal = path.with_name(path.name + ".partial"), path.with_name(path.name + ".progress")
    settings = {**configuration, "version": VERSION, "shape": list(shape), "dtype": str(dtype), "parts": parts}
    with locked(path):
        begun = _read_journal(journal, partial, settings)
        finished = begun or set()
        moved = len(finished) == parts and path.exists() and not partial.exists()  # killed at its very last step
        if path.exists() and not (overwrite or moved):
            raise StorageError(f"{path} exists already: choose another path, or have it overwritten")
        if moved:
            matrix = np.load(path, mmap_mode="r")
        elif begun is not None and partial.exists():
            matrix = np.load(partial, mmap_mode="r+")
        else:
            finished = set()
            journal.unlink(missing_ok=True)  # first, so that no journal ever speaks of another file
            matrix = _allocate(partial, shape, dtype)
        lines = [json.dumps(settings, sort_keys=True), *map(str, sorted(finished))]
        write_whole(journal, ("\n".join(lines) + "\n").encode())
        with journal.open("a") as file:
            yield ArrayFile(matrix, file, finished)
        del matrix
        if len(finished) == parts:
            if not moved:
                os.replace(partial, path)
            journal.unlink()


def _read_journal(journal: Path, partial: Path, settings: Mapping[str, Any]) -> set[int] | None:
    """The parts that are finished; None when nothing was begun.  A last line that a kill cut short does not count."""
    try:
        text = journal.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"cannot read {journal}: {error}") from error
    try:
        first, *lines = text.split("\n")[:-1]
        known, finished = dict(json.loads(first)), {int(line) for line in lines}
    except (ValueError, TypeError) as error:
        raise StorageError(f"{journal} is not an rfjax journal: choose another path") from error
    other = sorted(name for name in known.keys() | settings.keys() if known.get(name) != settings.get(name))
    if other:
        raise StorageError(
            f"{partial} was begun with another {', '.join(other)}: go on with what it was begun with, or remove it and "
            f"{journal.name} to start anew"
        )
    return finished


def _allocate(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A new .npy file that has all of its space on the disk: a write to a map of a full disk would kill the process."""
    try:
        matrix = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        size = path.stat().st_size
        try:
            with path.open("r+b") as file:
                if size > shutil.disk_usage(path.parent).free:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            del matrix
            path.unlink()
            raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror} ({_bytes(shape, dtype)})") from error
    return matrix


def _bytes(shape: tuple[int, ...], dtype: np.dtype) -> str:
    return f"{np.prod([float(n) for n in shape]) * dtype.itemsize / 2**30:.3g} GiB"
