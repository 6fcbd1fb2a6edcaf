"""A training that is killed goes on from its checkpoint and ends bit for bit where it would have ended."""

import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import optax
import pytest

import rfjax as rf
from rfjax.storage import StorageError
from rfjax.training import checkpoint as module

pytest.importorskip("orbax.checkpoint")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=12)
KEYS = jax.random.split(jax.random.key(0), 2)


def train(folder=None, **changes):
    arguments = {
        "optimizer": optax.adam(0.05), "steps": 40, "key": KEYS, "batch_size": 4, "record": 5, "checkpoint": folder,
        "validation": (X, Y), "patience": 50,
    } | changes  # fmt: skip
    with jax.numpy_dtype_promotion("standard"):
        return rf.train(rf.neuron(), (X, Y), **arguments)


def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.0)
    whole, folder, write = train(), tmp_path / "run", module.Checkpoints.write
    written = []

    def stop(self, now):
        write(self, now)
        written.append(int(now.record))
        if len(written) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.Checkpoints, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        train(folder)
    assert folder.exists()
    with pytest.raises(StorageError, match="has the checkpoint of another training"):
        train(folder, optimizer=optax.adam(0.06))
    resumed = train(folder)
    assert written == [1, 2, 3, 4, 5, 6, 7, 8, 9]  # it went on with the fifth
    jax.tree.map(np.testing.assert_array_equal, resumed.params, whole.params)
    jax.tree.map(np.testing.assert_array_equal, resumed.history, whole.history)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write to the folder"):
        train(tmp_path / "file")


def test_inside_of_compiled_functions_it_says_so(tmp_path):
    with pytest.raises(TypeError, match="works outside of compiled functions"):
        jax.jit(lambda y: rf.train(rf.neuron(), (X, y), optimizer=optax.sgd(0.1), steps=2, key=KEYS[0],
                                   checkpoint=tmp_path / "run").params)(Y)  # fmt: skip


PROGRAM = """
import sys
import jax, numpy as np, optax
import rfjax as rf
from rfjax.training import checkpoint

checkpoint.SECONDS = 0.5
task = rf.tasks.single_neuron(5, bias=-1.0)
schedule = optax.cosine_decay_schedule(0.05, 2_000)
run = rf.train(
    rf.mlp(depth=1, width=8), task, optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule)),
    steps=2_000, batch_size=64, key=jax.random.key(0), record=50, checkpoint=sys.argv[1] or None,
)
np.savez(sys.argv[2], *jax.tree.leaves((run.params, run.history)))
"""


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_bits(tmp_path):
    def start(folder, out):
        return subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(out)], env=os.environ)

    assert start("", tmp_path / "whole.npz").wait(900) == 0
    kills, folder = 0, tmp_path / "run"

    def checkpoints():
        return {path.name for path in folder.glob("*") if path.name.isdigit()}

    for _ in range(2):
        before = checkpoints()
        process, deadline = start(folder, tmp_path / "resumed.npz"), time.monotonic() + 900
        while process.poll() is None and time.monotonic() < deadline and not checkpoints() - before:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)  # at a new checkpoint
        kills += process.wait(60) == -signal.SIGKILL
    assert kills == 2
    assert start(tmp_path / "run", tmp_path / "resumed.npz").wait(900) == 0
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "resumed.npz") as resumed:
        assert whole.files == resumed.files
        for name in whole.files:
            np.testing.assert_array_equal(resumed[name], whole[name])
    assert not (tmp_path / "run").exists()
