"""Gram matrices on disk: whole, equal to k(X), and the same after a kill."""

import os
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax import activations
from rfjax.kernels import RBF, Kernel, disk, rbf, write_gram
from rfjax.kernels.description import describe
from rfjax.storage import StorageError, locked

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(11, 3)), rng.normal(size=(7, 3))
X[7] = X[0]
K = rbf(1.3)


class StoppedError(Exception):
    pass


def stop_at(tiles: int):
    def report(done: int, total: int) -> None:
        if done == tiles:
            raise StoppedError

    return report


def counted(monkeypatch) -> list[tuple[int, int]]:
    """The tiles that are computed from here on."""
    calls, points = [], disk.Grid.points

    def noted(self, i, j, *, always_two=False):
        if not always_two:
            calls.append((i, j))
        return points(self, i, j, always_two=always_two)

    monkeypatch.setattr(disk.Grid, "points", noted)
    return calls


@pytest.mark.parametrize("tile", [4, 5, 11, 100])
def test_a_matrix_with_itself(tmp_path, tile, monkeypatch):
    calls = counted(monkeypatch)
    path = tmp_path / "deep" / "K.npy"
    written = write_gram(K, X, path=path, tile=tile)
    assert isinstance(written, np.memmap)
    assert not written.flags.writeable
    np.testing.assert_allclose(written, K(X), rtol=1e-14)
    np.testing.assert_array_equal(written, written.T)
    np.testing.assert_array_equal(np.diag(written), 1)
    side = -(-11 // tile)
    assert len(calls) == side * (side + 1) // 2
    assert [file.name for file in path.parent.iterdir()] == ["K.npy"]


def test_two_data_sets_as_memory_maps_in_single_precision(tmp_path):
    for name, data in (("X", X), ("Y", Y)):
        np.save(tmp_path / f"{name}.npy", data.astype(np.float32))
    maps = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "XY"]
    calls = []
    written = write_gram(K, *maps, path=str(tmp_path / "K.npy"), tile=4, progress=lambda *done: calls.append(done))
    assert written.dtype == np.float32
    np.testing.assert_allclose(written, K(*(np.asarray(m) for m in maps)), rtol=1e-6)
    assert calls == [(i + 1, 6) for i in range(6)]


@pytest.mark.parametrize("other", [None, Y], ids=["k(X)", "k(X, Y)"])
def test_after_an_interruption_it_goes_on(tmp_path, monkeypatch, other):
    path = tmp_path / "K.npy"
    whole = np.asarray(write_gram(K, X, other, path=tmp_path / "whole.npy", tile=4))
    with pytest.raises(StoppedError):
        write_gram(K, X, other, path=path, tile=4, progress=stop_at(2))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["K.npy.partial", "K.npy.progress", "whole.npy"]
    with (tmp_path / "K.npy.progress").open("a") as journal:
        journal.write("5")  # a line that a kill cut short: what it says is not finished
    calls = counted(monkeypatch)
    written = write_gram(rbf(1.3), X.copy(), other, path=path, tile=4)
    assert len(calls) == 6 - 2
    np.testing.assert_array_equal(written, whole)
    assert path.read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["K.npy", "whole.npy"]


@pytest.mark.slow
def test_after_a_kill_another_process_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "K.npy"
    np.save(tmp_path / "X.npy", X)
    program = f"""
import os, signal
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
import rfjax as rf
def report(done, total):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)
network = rf.mlp(depth=1, width=1, activation=rf.activations.erf)
X = np.load({str(tmp_path / "X.npy")!r})
rf.kernels.write_gram(2.0 * rf.ntk(network), X, path={str(path)!r}, tile=4, progress=report)
"""
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not path.exists()
    calls = counted(monkeypatch)
    k = 2.0 * rf.ntk(rf.mlp(depth=1, width=1, activation=activations.erf))
    written = write_gram(k, X, path=path, tile=4)
    assert calls == [(2, 0), (2, 1), (2, 2)]
    np.testing.assert_array_equal(written, write_gram(k, X, path=tmp_path / "whole.npy", tile=4))
    np.testing.assert_allclose(written, k(X), rtol=1e-13)


def test_killed_between_its_last_two_steps(tmp_path, monkeypatch):
    path = tmp_path / "K.npy"
    with pytest.raises(StoppedError):
        write_gram(K, X, path=path, tile=4, progress=stop_at(6))
    os.replace(tmp_path / "K.npy.partial", path)
    calls = counted(monkeypatch)
    np.testing.assert_allclose(write_gram(K, X, path=path, tile=4), K(X), rtol=1e-14)
    assert calls == []
    assert [file.name for file in tmp_path.iterdir()] == ["K.npy"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"X": X + 1e-9}, "another X:"),
        ({"X": X.astype(np.float32)}, "another X, dtype:"),
        ({"kernel": rbf(1.3000001)}, "another kernel:"),
        ({"kernel": K * 1.0}, "another kernel:"),
        ({"tile": 6}, "another parts, tile:"),
        ({"Y": X}, "another Y, parts:"),
    ],
    ids=["data", "dtype", "hyperparameter", "kernel", "tile", "Y"],
)
def test_another_matrix_does_not_go_on(tmp_path, change, says):
    arguments = {"kernel": K, "X": X, "path": tmp_path / "K.npy", "tile": 4}
    with pytest.raises(StoppedError):
        write_gram(**arguments, progress=stop_at(1))
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(StorageError, match=says):
        write_gram(**arguments | change)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_existing_file_stays_unless_told(tmp_path):
    path = tmp_path / "K.npy"
    np.save(path, np.ones(3))
    with pytest.raises(StorageError, match="exists already"):
        write_gram(K, X, path=path)
    np.testing.assert_array_equal(np.load(path), 1)
    with pytest.raises(StoppedError):
        write_gram(K, X, path=path, tile=4, progress=stop_at(2), overwrite=True)
    np.testing.assert_array_equal(np.load(path), 1)
    np.testing.assert_allclose(write_gram(K, X, path=path, tile=4, overwrite=True), K(X), rtol=1e-14)


class Pairwise(Kernel):
    """Two values a pair, as of two outputs."""

    def _evaluate(self, pairs):
        return jnp.repeat(RBF(1.0)._evaluate(pairs), 2, axis=-1)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"kernel": "ntk"}, TypeError, "kernel must be a kernel"),
        ({"kernel": rbf([1.0, 2.0])}, ValueError, "length_scale must have one entry a column"),
        ({"X": X[0]}, ValueError, r"X must have shape \[n, d\], got \[3\]"),
        ({"X": X.astype(int)}, TypeError, "X must have a floating dtype, got int64"),
        ({"X": np.where(X > 1, np.nan, X)}, ValueError, r"X must be finite, got \d+ NaN or inf among 33 entries"),
        ({"Y": Y[:, :2]}, ValueError, "Y must have 3 columns"),
        ({"X": jnp.asarray(X, jnp.bfloat16)}, TypeError, "bfloat16"),
        ({"tile": 0}, ValueError, "tile must be at least 1"),
        ({"tile": 2.0}, TypeError, "tile must be an integer"),
        ({"path": "K.txt"}, ValueError, "path must end in .npy"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else None,
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, monkeypatch, change, error, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says):
        write_gram(**{"kernel": K, "X": X, "path": "folder/K.npy"} | change)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_a_file_in_the_way_and_another_writer(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(StorageError, match=r"K.npy.partial: No space left on device \(9.02e-07 GiB\)"):
            write_gram(K, X, path=tmp_path / "K.npy")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        write_gram(K, X, path=tmp_path / "file" / "K.npy")
    with locked(tmp_path / "K.npy"), pytest.raises(StorageError, match="in use by another run"):
        write_gram(K, X, path=tmp_path / "K.npy")
    (tmp_path / "K.npy.progress").write_text("my notes\n")
    with pytest.raises(StorageError, match="not an rfjax journal"):
        write_gram(K, X, path=tmp_path / "K.npy")
    assert (tmp_path / "K.npy.progress").read_text() == "my notes\n"


PROGRAM = """
import jax, numpy as np, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
import rfjax as rf
from rfjax.kernels.description import describe
from rfjax.storage import fingerprint

def make(power, table):
    def net(params, X, sign=1.0):
        return sign * jnp.tanh(X @ params["w"]) ** power + {"a", "b", "c"}.__len__() * table["x"]
    return net

KERNELS = {
    "quadrature": rf.ntk(rf.mlp(depth=1, width=1, activation=jnp.tanh)),
    "relu": rf.ntk(rf.mlp(depth=1, width=1, activation=jax.nn.silu)),
    "lambda": rf.nngp(rf.mlp(depth=1, width=1, activation=lambda x: x**2)),
    "another lambda": rf.nngp(rf.mlp(depth=1, width=1, activation=lambda x: x**3)),
    "function": rf.empirical_ntk(make(2, {"x": 1}), {"w": np.ones((3, 2))}),
    "closure": rf.empirical_ntk(make(3, {"x": 1}), {"w": np.ones((3, 2))}),
    "params": rf.empirical_ntk(make(2, {"x": 1}), {"w": np.zeros((3, 2))}),
    "sum": rf.rbf([1.0, 2.0]) + rf.kernels.Restrict(rf.laplace(), [0]),
}
found = {name: fingerprint({"kernel": describe(k)}) for name, k in KERNELS.items()}
"""


@pytest.mark.slow
def test_kernels_are_known_again_in_another_process():
    here: dict = {"__name__": "__main__"}
    exec(PROGRAM, here)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM + "print(found)"], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert eval(result.stdout) == here["found"]
    assert len(set(here["found"].values())) == len(here["found"])


def test_what_cannot_be_told_apart_is_never_known_again():
    assert describe(object()) != describe(object())
    itself: list = []
    itself.append(itself)
    assert describe(itself) == describe(itself)
    assert describe(jax.random.key(0)) == describe(jax.random.key(0)) != describe(jax.random.key(1))
